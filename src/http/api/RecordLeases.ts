/**
 * The leases that records of request ids live as long as: a record costs no command to forget. A lease takes records
 * for one half of its time, and is not kept alive, so each record lives for at least the other half.
 */
import { Clock, Effect, Semaphore } from "effect"
import type { Limits } from "../../config/Limits.ts"
import { Overloaded } from "../../FlareDbError.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import * as Leases from "../../client/Lease.ts"
import type { OperationOptions, RequestPort, WriteFailure } from "../../client/session/Requests.ts"

/** Records of one lease. They are deleted together, in one command. */
const maxLeaseRecords = 5_000

interface RecordLease {
  readonly id: number
  /** When it takes no more records, and when they are gone. */
  readonly fullMs: number
  readonly endsMs: number
  records: number
}

export type RecordLimits = Pick<Limits, "maxLeaseTtlMs" | "maxRequestIds" | "minRequestIdMs">

export class RecordLeases {
  private readonly limits: RecordLimits
  private readonly grant: ReturnType<typeof Leases.make>["grant"]
  private readonly nowMs: () => number
  private readonly turn = Semaphore.makeUnsafe(1)
  private current: RecordLease | undefined
  /** Those whose records are not gone yet, `current` too. */
  private leases: Array<RecordLease> = []

  private constructor(requests: RequestPort, limits: RecordLimits, nowMs: () => number) {
    this.limits = limits
    this.grant = Leases.make(requests).grant
    this.nowMs = nowMs
  }

  static readonly make = (requests: RequestPort, limits: RecordLimits): Effect.Effect<RecordLeases> =>
    Effect.map(Clock.Clock, (clock) => new RecordLeases(requests, limits, () => monotonicMsOf(clock)))

  /** Records that this node made and that may still be there. */
  get records(): number {
    const nowMs = this.nowMs()
    if (this.leases.some(({ endsMs }) => endsMs <= nowMs)) {
      this.leases = this.leases.filter(({ endsMs }) => endsMs > nowMs)
    }
    return this.leases.reduce((sum, { records }) => sum + records, 0)
  }

  /** The lease for one more record, which is counted at once. */
  take(options: OperationOptions): Effect.Effect<number, WriteFailure> {
    return Effect.suspend(() => {
      const { maxRequestIds } = this.limits
      const { records } = this
      if (records >= maxRequestIds) {
        return Effect.fail(new Overloaded({ limit: "maxRequestIds", current: records, maximum: maxRequestIds }))
      }
      const known = this.usable
      if (known !== undefined) {
        known.records += 1
        return Effect.succeed(known.id)
      }
      // Those that wait meanwhile find the lease that the first of them has granted.
      return Effect.flatMap(this.turn.withPermit(this.renew(options)), () => this.take(options))
    })
  }

  /** The record was not made. */
  release(id: number): void {
    const lease = this.leases.find((one) => one.id === id)
    if (lease !== undefined) lease.records -= 1
  }

  /** The lease has ended before its time, as in a cluster that was restored. */
  lost(id: number): void {
    this.leases = this.leases.filter((lease) => lease.id !== id)
    if (this.current?.id === id) this.current = undefined
  }

  private get usable(): RecordLease | undefined {
    const { current } = this
    return current !== undefined && current.records < maxLeaseRecords && this.nowMs() < current.fullMs
      ? current
      : undefined
  }

  private renew(options: OperationOptions): Effect.Effect<void, WriteFailure> {
    return Effect.suspend(() => {
      if (this.usable !== undefined) return Effect.void
      const { maxLeaseTtlMs, minRequestIdMs } = this.limits
      const ttlMs = Math.min(2 * minRequestIdMs, maxLeaseTtlMs)
      const askedMs = this.nowMs()
      return Effect.map(this.grant(ttlMs, options), ({ id }) => {
        const lease = { id, fullMs: askedMs + ttlMs / 2, endsMs: this.nowMs() + ttlMs, records: 0 }
        this.current = lease
        this.leases.push(lease)
      })
    })
  }
}
