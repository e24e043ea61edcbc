/**
 * Leases that clean up: a row that is good until some time is attached to one that ends after it, and the cluster
 * deletes the row by itself. Nothing is swept, and nothing is left behind by a process that ended.
 *
 * Rows share leases, because the cluster has room for few beside what it has for rows: one lease takes the rows of some
 * thousand puts whose times to live are alike. So a row outlives its time by as much again, and readers judge it by
 * the time that is written in it.
 */
import { Clock, Effect, Semaphore } from "effect"
import type { WriteFailure } from "../../client/KeyValue.ts"
import type { Leases } from "../../client/Lease.ts"
import { monotonicMsOf } from "../../Monotonic.ts"

/** Longest time to live of a lease that a node grants by default (`maxLeaseTtlMs`), in milliseconds. */
const maxLeaseMs = 7 * 24 * 3_600_000

/** Shortest span of times to live that share a lease, in milliseconds. */
const minSpanMs = 1_024

/** Longest time to live whose row is deleted by a lease, in milliseconds: six days. */
const maxLeasedMs = 2 ** 29

/** Rows of one lease. It may hold 10,000 keys. */
const maxRows = 5_000

/** Times that a put is tried when its lease has ended too early or is full. */
const maxAttempts = 3

interface Shared {
  readonly id: number
  /** When a row put with it might outlive it, by this process's monotonic clock. */
  readonly usableUntilMs: number
  /** Rows put with it, some of them perhaps twice. */
  rows: number
}

export interface LeasedPut {
  readonly ttlMs: number
  readonly rows?: number | undefined
  readonly had?: number | undefined
}

export class ExpiryLeases {
  private readonly leases: Leases["Service"]
  private readonly turn = Semaphore.makeUnsafe(1)
  /** Longer times to live get no lease. A node's limit may be lower than the default. */
  private longestMs = maxLeasedMs
  /** By the longest time to live that the lease is for. */
  private readonly shared = new Map<number, Shared>()

  constructor(leases: Leases["Service"]) {
    this.leases = leases
  }

  /**
   * Runs a put of `rows` with a lease that ends after `ttlMs`, and not much more than four times as late. The lease is
   * 0, none, when no lease lives that long. `had` is the lease that a single row has: it is counted there already.
   */
  with<A, E>(
    { had = 0, rows = 1, ttlMs }: LeasedPut,
    put: (lease: number) => Effect.Effect<A, E | WriteFailure>
  ): Effect.Effect<A, E | WriteFailure> {
    if (!(ttlMs <= this.longestMs)) return put(0)
    const attempt = (left: number): Effect.Effect<A, E | WriteFailure> =>
      Effect.flatMap(this.lease(ttlMs, rows, had), (lease) =>
        Effect.catch(put(lease), (error) => {
          if (!isLeaseProblem(error)) return Effect.fail(error)
          this.forget(lease)
          return left > 1 ? attempt(left - 1) : Effect.fail(error)
        }))
    return attempt(maxAttempts)
  }

  private lease(ttlMs: number, rows: number, had: number): Effect.Effect<number, WriteFailure> {
    const spanMs = Math.max(minSpanMs, 2 ** Math.ceil(Math.log2(ttlMs)))
    return Effect.flatMap(Clock.Clock, (clock) => {
      const usable = () => {
        const known = this.shared.get(spanMs)
        if (known === undefined || known.usableUntilMs <= monotonicMsOf(clock)) return undefined
        if (known.id === had) return had
        if (known.rows + rows > maxRows && known.rows > 0) return undefined
        known.rows += rows
        return known.id
      }
      const known = usable()
      if (known !== undefined) return Effect.succeed(known)
      return this.turn.withPermit(Effect.suspend(() => {
        const granted = usable()
        if (granted !== undefined) return Effect.succeed(granted)
        const leaseMs = Math.min(2 * spanMs, maxLeaseMs)
        const usableUntilMs = monotonicMsOf(clock) + leaseMs - spanMs
        return this.leases.grant(leaseMs).pipe(
          Effect.map(({ id }) => {
            this.shared.set(spanMs, { id, usableUntilMs, rows })
            return id
          }),
          Effect.catchTag("InvalidArgument", () =>
            Effect.sync(() => {
              this.longestMs = Math.min(this.longestMs, spanMs / 2)
              return 0
            }))
        )
      }))
    })
  }

  private forget(lease: number): void {
    for (const [spanMs, { id }] of this.shared) if (id === lease) this.shared.delete(spanMs)
  }
}

/** Whether another lease would do: this one has ended, or is full. */
const isLeaseProblem = (error: unknown): boolean => {
  const { _tag, limit } = error as { readonly _tag?: unknown; readonly limit?: unknown }
  return _tag === "LeaseNotFound" || _tag === "Overloaded" && limit === "maxLeaseKeys"
}
