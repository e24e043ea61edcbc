/**
 * Leases: times to live that keys can be attached to. A lease that is not kept alive ends, and its keys are deleted
 * with it, in one revision. Their time is the log's: it stands still while no node leads, and what is left of it is the
 * same under the next leader.
 */
import { Clock, Context, Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { monotonicMs, monotonicMsOf } from "../Monotonic.ts"
import type { LeaseNotFound } from "../FlareDbError.ts"
import { LeaseLost } from "../FlareDbError.ts"
import type {
  Answer,
  OperationOptions,
  ReadFailure,
  ReadOptions,
  RequestPort,
  WriteFailure
} from "./session/Requests.ts"
import { unexpected } from "./session/Requests.ts"
import { timeLeft } from "./session/Timeout.ts"

/** A lease: its id, and its time to live in milliseconds. */
export interface Lease {
  /** For `put(key, value, { lease: id })`. */
  readonly id: number
  readonly ttlMs: number
}

/** A row of a list of leases. */
export interface LeaseStatus extends Lease {
  /** What is left of its time, in milliseconds. */
  readonly remainingMs: number
  /** How many keys are attached. */
  readonly keys: number
  /** Who was granted it; empty when no name was asked for. */
  readonly caller: string
}

/** A lease with what is left of it, in milliseconds, and its keys. */
export interface LeaseDetails extends Lease {
  readonly remainingMs: number
  /** The keys attached, in byte order. */
  readonly keys: ReadonlyArray<Uint8Array>
}

/** A lease that is kept alive in the background. */
export interface HeldLease extends Lease {
  /**
   * Never succeeds, and fails when the lease is lost: race what depends on it against this. It fails at the latest when
   * the lease's time has passed since the last keep-alive that was answered, so a holder that is cut off learns of
   * it no later than the cluster decides it. A process that was stopped meanwhile learns when it goes on. It fails as
   * well when the scope of `scoped` closes, before the lease is revoked: what is done under it has to end.
   */
  readonly lost: Effect.Effect<never, LeaseLost>
  /**
   * Milliseconds for which the cluster certainly keeps the lease, as far as the last keep-alive that was answered says.
   * What takes time to stop is stopped before this is 0; `lost` comes at 0.
   */
  readonly remainingMs: Effect.Effect<number>
}

/**
 * Times to live that any number of keys can be attached to.
 *
 * **When to use**
 *
 * For keys that are to go when their owner does: presence, service discovery, temporary data.
 *
 * **Details**
 *
 * Keys are attached by `put(key, value, { lease: id })`, and deleted in one revision when the lease ends. `scoped`
 * grants a lease, keeps it alive every third of its time, and revokes it with its scope. Times are milliseconds of
 * the log's clock; the least is 1,000.
 *
 * **Gotchas**
 *
 * A process that is stopped or cut off loses its lease without taking part: `lost` of a held lease tells it
 * afterwards. A new leader gives no lease more time than was left of it.
 */
export class Leases extends Context.Service<Leases, {
  /** Grants a lease of 1,000 milliseconds to `maxLeaseTtlMs` of the nodes: 7 days by default, and 30 at most. */
  readonly grant: (ttlMs: number, options?: OperationOptions) => Effect.Effect<Lease, WriteFailure>

  /** Restarts a lease's time, once. */
  readonly keepAlive: (lease: number, options?: OperationOptions) => Effect.Effect<Lease, WriteFailure>

  /** Keeps a lease alive for as long as the scope lives. It is not revoked afterwards. */
  readonly hold: (lease: number) => Effect.Effect<HeldLease, WriteFailure, Scope.Scope>

  /** Grants a lease, keeps it alive for as long as the scope lives, and revokes it then. */
  readonly scoped: (ttlMs: number) => Effect.Effect<HeldLease, WriteFailure, Scope.Scope>

  /** What is left of a lease, and which keys are attached. */
  readonly timeToLive: (
    lease: number,
    options?: ReadOptions
  ) => Effect.Effect<LeaseDetails, ReadFailure | LeaseNotFound>

  /** Ends a lease and deletes its keys, in one revision. Gives how many those were. */
  readonly revoke: (lease: number, options?: OperationOptions) => Effect.Effect<number, WriteFailure>

  /** Every lease, in the order in which they were granted. */
  readonly list: (options?: ReadOptions) => Effect.Effect<ReadonlyArray<LeaseStatus>, ReadFailure>
}>()("flaredb/client/Leases") {}

/** Keep-alives within the time to live of a lease. Two may be lost. */
const keepAlivesPerTtl = 3

/** Pause before a keep-alive that failed is repeated, in milliseconds. */
const retryMs = 100

const leaseOf = (reply: Answer): Lease => {
  if (reply._tag !== "LeaseReply") throw unexpected(reply)
  return { id: reply.lease, ttlMs: reply.ttlMs }
}

/** Keeps a lease alive that was alive at `aliveMs`, until it is lost. */
const keepOn = Effect.fnUntraced(function*(
  keepAlive: Leases["Service"]["keepAlive"],
  { id, ttlMs }: Lease,
  aliveMs: number,
  confirmed: (atMs: number) => void
) {
  const clock = yield* Clock.Clock
  let confirmedMs = aliveMs
  for (;;) {
    yield* Effect.sleep(ttlMs / keepAlivesPerTtl)
    for (;;) {
      const sentMs = monotonicMsOf(clock)
      const leftMs = confirmedMs + ttlMs - sentMs
      if (leftMs <= 0) return new LeaseLost({ lease: id, reason: "unconfirmed" })
      const kept = yield* Effect.result(
        keepAlive(id, { timeoutMs: timeLeft(Math.min(leftMs, Math.floor(ttlMs / keepAlivesPerTtl)), 0) })
      )
      if (kept._tag === "Success") {
        // Its time began again when the leader took the command, which was not before it was sent.
        confirmedMs = sentMs
        confirmed(sentMs)
        break
      }
      if (kept.failure._tag === "WrongCluster") return new LeaseLost({ lease: id, reason: "wrong-cluster" })
      if (kept.failure._tag === "LeaseNotFound") return new LeaseLost({ lease: id, reason: "ended" })
      yield* Effect.sleep(Math.min(retryMs, leftMs))
    }
  }
})

/** A lease that is kept alive in the background for as long as the scope lives, and what ends it before. */
const hold = Effect.fnUntraced(function*(keepAlive: Leases["Service"]["keepAlive"], lease: Lease, aliveMs: number) {
  const lost = yield* Deferred.make<never, LeaseLost>()
  let endsMs = aliveMs + lease.ttlMs
  const keeping = keepOn(keepAlive, lease, aliveMs, (atMs) => {
    endsMs = atMs + lease.ttlMs
  })
  const end = (error: LeaseLost) =>
    Effect.suspend(() => {
      endsMs = Number.NEGATIVE_INFINITY
      return Deferred.fail(lost, error)
    })
  yield* Effect.forkScoped(Effect.flatMap(keeping, end))
  const held: HeldLease = {
    ...lease,
    lost: Deferred.await(lost),
    remainingMs: Effect.map(monotonicMs, (nowMs) => Math.max(0, endsMs - nowMs))
  }
  return { held, end }
})

export const make = (requests: RequestPort): Leases["Service"] => {
  const grant: Leases["Service"]["grant"] = (ttlMs, options) =>
    Effect.map(requests.write({ _tag: "GrantLease", ttlMs }, options), leaseOf)

  // One that comes twice does no harm, and one that waits behind writes comes late.
  const keepAlive: Leases["Service"]["keepAlive"] = (lease, options) =>
    Effect.map(requests.writeRepeatable({ _tag: "KeepAlive", lease }, options), leaseOf)

  const revoke: Leases["Service"]["revoke"] = (lease, options) =>
    Effect.map(requests.write({ _tag: "RevokeLease", lease }, options), (reply) => {
      if (reply._tag !== "RevokedReply") throw unexpected(reply)
      return reply.deleted
    })

  return Leases.of({
    grant,
    keepAlive,
    revoke,
    hold: (id) =>
      Effect.flatMap(
        monotonicMs,
        (sentMs) =>
          Effect.flatMap(keepAlive(id), (lease) => Effect.map(hold(keepAlive, lease, sentMs), ({ held }) => held))
      ),
    scoped: (ttlMs) =>
      Effect.flatMap(monotonicMs, (sentMs) =>
        Effect.flatMap(
          // Its end by time is what remains when the revocation fails, and a program that ends does not wait for that.
          Effect.acquireRelease(
            grant(ttlMs),
            ({ id }) => Effect.ignore(revoke(id, { timeoutMs: Math.min(ttlMs, requests.requestTimeoutMs) }))
          ),
          (lease) =>
            Effect.flatMap(hold(keepAlive, lease, sentMs), ({ end, held }) =>
              // Before it is revoked: behind that somebody else may hold what depends on it.
              Effect.as(Effect.addFinalizer(() => end(new LeaseLost({ lease: held.id, reason: "ended" }))), held))
        )),
    timeToLive: (lease, options) =>
      Effect.map(requests.read({ _tag: "LeaseKeys", lease }, options), (reply) => {
        if (reply._tag !== "LeaseKeysReply") throw unexpected(reply)
        return { id: reply.lease, ttlMs: reply.ttlMs, remainingMs: reply.remainingMs, keys: reply.keys }
      }),
    list: (options) =>
      Effect.map(
        Effect.catchTag(requests.read({ _tag: "Leases" }, options), "LeaseNotFound", (error) => Effect.die(error)),
        (reply) => {
          if (reply._tag !== "LeasesReply") throw unexpected(reply)
          return reply.leases.map(({ caller, keys, lease, remainingMs, ttlMs }) => ({
            id: lease,
            ttlMs,
            remainingMs,
            keys,
            caller
          }))
        }
      )
  })
}
