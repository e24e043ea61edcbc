/**
 * Locks between processes: one holder at a time, first come first served.
 *
 * A lock is held for as long as its lease is. A holder that is stopped, cut off or slow loses it without taking part,
 * and learns of that after the fact, so a lock alone protects nothing that such a holder still does. What it writes to
 * this store it can make depend on the lock: `held` is a condition for transactions. What it does elsewhere has to be
 * refused there by `revision`, which is higher for each later holder. `docs/locks.md` has examples.
 */
import { Context, Effect, Option } from "effect"
import type { Scope } from "effect"
import type { LeaseLost } from "../FlareDbError.ts"
import type { Data, KeyValueEntry } from "./Entry.ts"
import type { Ticket, WaitQueueFailure, WaitQueueParts } from "./WaitQueue.ts"
import { holds, WaitQueue, waitQueueOf } from "./WaitQueue.ts"
import type { ReadFailure, ReadOptions } from "./session/Requests.ts"
import type { Compare } from "./Txn.ts"

/** How a lock is taken. */
export interface LockOptions {
  /**
   * Milliseconds that the lock outlives its holder when that ends without a word, and that a holder may be cut off
   * without losing it. Default 10,000, at least 1,000.
   */
  readonly ttlMs?: number | undefined
  /** Who holds it, for people who look: the value of the lock's key. Default empty. */
  readonly owner?: Data | undefined
  /** Carried out once, when somebody else has the lock: who that is, or `None` when it was given back just now. */
  readonly onWait?: ((holder: Option.Option<LockHolder>) => Effect.Effect<void>) | undefined
}

/** Who has a lock, for people who look. */
export interface LockHolder {
  /** What the holder said of itself. */
  readonly owner: Uint8Array
  readonly revision: number
  readonly lease: number
}

/** A lock that is held. */
export interface HeldLock {
  readonly name: string
  /** The key that exists while it is held. */
  readonly key: Uint8Array
  /** The fencing revision: higher for each later holder of this lock. */
  readonly revision: number
  /** The lease, to which more keys can be attached that go with the lock. */
  readonly lease: number
  /** For `transact({ if: [lock.held, …] })`: does nothing once the lock is lost. */
  readonly held: Compare
  /** Never succeeds, and fails when the lock is lost. */
  readonly lost: Effect.Effect<never, LeaseLost>
  /** Milliseconds for which the lock is certainly held, as `HeldLease` says it of the lease. */
  readonly remainingMs: Effect.Effect<number>
}

/** How taking a lock fails. */
export type LockFailure = WaitQueueFailure

/**
 * Locks between processes: one holder at a time, first come first served.
 *
 * **When to use**
 *
 * To have something done by one process at a time as a rule: a report, a migration, a scheduled job. `withLock`
 * for work that may be interrupted, `acquire` where you watch over the loss yourself.
 *
 * **Details**
 *
 * A lock is a key attached to a lease of `ttlMs` milliseconds, 10,000 by default. Waiting has no limit: put
 * `Effect.timeout` around it. `held` is a condition for transactions that holds while the lock does, and
 * `revision` is higher for each later holder.
 *
 * **Gotchas**
 *
 * A holder that is paused wakes up after its lease has ended and goes on where it was. What must never happen
 * twice has to be a transaction under `held`, or be refused elsewhere by `revision`: `docs/locks.md`.
 */
export class Locks extends Context.Service<Locks, {
  /**
   * Waits for the lock and holds it for as long as the scope lives. It tells of its loss by `lost`, and interrupts
   * no work: race what depends on it against that, or use `withLock`.
   */
  readonly acquire: (name: string, options?: LockOptions) => Effect.Effect<HeldLock, LockFailure, Scope.Scope>

  /** The same without waiting: `None` when somebody else has it. */
  readonly tryAcquire: (
    name: string,
    options?: LockOptions
  ) => Effect.Effect<Option.Option<HeldLock>, LockFailure, Scope.Scope>

  /** Who has a lock, if anybody has. */
  readonly holder: (name: string, options?: ReadOptions) => Effect.Effect<Option.Option<LockHolder>, ReadFailure>

  /** Waits for the lock, runs `work` with it, and releases it. `work` is interrupted when the lock is lost. */
  readonly withLock: <A, E, R>(
    name: string,
    work: (lock: HeldLock) => Effect.Effect<A, E, R>,
    options?: LockOptions
  ) => Effect.Effect<A, E | LockFailure, R>
}>()("flaredb/client/Locks") {}

export const defaultLockTtlMs = 10_000

export const make = (parts: WaitQueueParts): Locks["Service"] => {
  const queue = (name: string) => Effect.map(waitQueueOf("lock", name), (prefix) => new WaitQueue(parts, prefix))

  const acquire: Locks["Service"]["acquire"] = (name, { onWait, owner = "", ttlMs = defaultLockTtlMs } = {}) => {
    const tell = onWait === undefined
      ? undefined
      : (head: Option.Option<KeyValueEntry>) => onWait(Option.map(head, holderOf))
    return Effect.flatMap(queue(name), (queue) =>
      Effect.map(
        queue.enter(owner, ttlMs, (ticket) => queue.waitForTurn(ticket, tell)),
        ({ ticket }) => lockOf(name, ticket)
      ))
  }

  return Locks.of({
    acquire,
    tryAcquire: (name, { owner = "", ttlMs = defaultLockTtlMs } = {}) =>
      Effect.flatMap(queue(name), (queue) =>
        Effect.flatMap(
          queue.enter(owner, ttlMs, queue.before),
          ({ leave, ticket, result }) =>
            result === undefined ? Effect.succeed(Option.some(lockOf(name, ticket))) : Effect.as(leave, Option.none())
        )),
    holder: (name, options) =>
      Effect.map(
        Effect.flatMap(queue(name), (queue) => queue.headOf(options)),
        Option.map(holderOf)
      ),
    withLock: (name, work, options) =>
      Effect.scoped(
        Effect.flatMap(acquire(name, options), (lock) => Effect.raceFirst(work(lock), lock.lost))
      )
  })
}

const holderOf = ({ createRevision, lease, value }: KeyValueEntry): LockHolder => ({
  owner: value,
  revision: createRevision,
  lease
})

const lockOf = (name: string, ticket: Ticket): HeldLock => ({
  name,
  key: ticket.key,
  revision: ticket.revision,
  lease: ticket.lease.id,
  held: holds(ticket),
  lost: ticket.lease.lost,
  remainingMs: ticket.lease.remainingMs
})
