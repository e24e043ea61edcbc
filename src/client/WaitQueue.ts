/**
 * Clients in a queue: what locks and elections are made of. Each has a key under the queue's prefix, attached to a
 * lease of its own; the key that was created first is the head of the queue, and every other client waits for the one
 * before to go. So they come to the head in the order in which their keys were created, and one's going wakes one.
 */
import { Effect, Exit, Option, Scope, Stream } from "effect"
import type { AccessError, WrongCluster } from "../FlareDbError.ts"
import { InvalidArgument, LeaseLost } from "../FlareDbError.ts"
import type { Data, KeyValueEntry } from "./Entry.ts"
import { bytesOf } from "./Entry.ts"
import type { KeyValue } from "./KeyValue.ts"
import { maxKeyBytes } from "../kv/model/Limits.ts"
import type { HeldLease, Leases } from "./Lease.ts"
import type { ReadFailure, ReadOptions, WriteFailure } from "./session/Requests.ts"
import { asRead } from "./session/Requests.ts"
import { Compare, Op } from "./Txn.ts"
import type { Watch } from "./Watch.ts"

/** How waiting in a queue fails. */
export type WaitQueueFailure = WriteFailure | LeaseLost

/** What a client draws when it enters a queue: its place in it. */
export interface Ticket {
  /** Its key, which is there for as long as the ticket is. */
  readonly key: Uint8Array
  /** The revision that created the key: higher than that of everybody who was at the head of this queue before. */
  readonly revision: number
  readonly lease: HeldLease
}

/** Told who is at the head, when one has to wait; `None` when that one has just gone. */
export type OnWait = (head: Option.Option<KeyValueEntry>) => Effect.Effect<void>

export interface WaitQueueParts {
  readonly keyValue: KeyValue["Service"]
  readonly leases: Leases["Service"]
  readonly watch: Watch["Service"]
}

/** Pause before a read that failed is repeated while waiting, in milliseconds. */
const retryMs = 200

/** For what decides who waits for whom: a node that is behind does not know the ticket yet. */
const latest: ReadOptions = { consistency: "linearizable" }

/** Hexadecimal digits enough for every lease, so that the keys of a queue list in the order of their leases. */
const leaseDigits = 14

/** What the keys of all queues of a kind begin with. */
export const waitQueuesPrefix = (kind: "lock" | "election"): string => `flaredb/${kind}/`

/** The prefix of a queue. Names are encoded, so that no queue's keys are within another's. */
const waitQueuePrefix = (kind: "lock" | "election", name: string): string =>
  `${waitQueuesPrefix(kind)}${encodeURIComponent(name)}/`

/** The prefix of the queue of this name. A name that is empty, or that no key has room for, is refused. */
export const waitQueueOf = (kind: "lock" | "election", name: string): Effect.Effect<string, InvalidArgument> => {
  const refused = (problem: string) => Effect.fail(new InvalidArgument({ field: "name", problem }))
  if (name === "") return refused(`is empty; give the ${kind} a name`)
  if (!name.isWellFormed()) return refused("is no Unicode text: it has half of a surrogate pair")
  const prefix = waitQueuePrefix(kind, name)
  // Whatever is not a letter or a digit takes three bytes and more.
  const most = maxKeyBytes - leaseDigits
  return prefix.length > most
    ? refused(`takes ${prefix.length} bytes of a key; at most ${most}, so give a shorter name`)
    : Effect.succeed(prefix)
}

/** A condition that holds while a ticket is kept: it makes what is done in a transaction depend on it. */
export const holds = ({ key, revision }: Pick<Ticket, "key" | "revision">): Compare =>
  Compare.createRevision(key).equals(revision)

export class WaitQueue {
  private readonly parts: WaitQueueParts
  private readonly prefix: string

  constructor(parts: WaitQueueParts, prefix: string) {
    this.parts = parts
    this.prefix = prefix
  }

  /**
   * Takes a ticket at the end, for as long as the scope lives and the lease with it, and carries `then` out. Leaves the
   * queue at once when that fails or is interrupted: others must not wait for a process that does not wait any more.
   */
  enter<A, E>(
    value: Data,
    ttlMs: number,
    then: (ticket: Ticket) => Effect.Effect<A, E>
  ): Effect.Effect<
    { readonly ticket: Ticket; readonly result: A; readonly leave: Effect.Effect<void> },
    E | WaitQueueFailure,
    Scope.Scope
  > {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.flatMap(Effect.scope, Scope.fork), (scope) => {
        const leave = Scope.close(scope, Exit.void)
        return restore(Effect.flatMap(
          Scope.provide(this.join(value, ttlMs), scope),
          (ticket) => Effect.map(then(ticket), (result) => ({ ticket, result, leave }))
        )).pipe(Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : leave))
      })
    )
  }

  private join(value: Data, ttlMs: number): Effect.Effect<Ticket, WaitQueueFailure, Scope.Scope> {
    return Effect.flatMap(this.parts.leases.scoped(ttlMs), (lease) => {
      const key = bytesOf(this.prefix + lease.id.toString(16).padStart(leaseDigits, "0"))
      return Effect.map(this.create(key, bytesOf(value), lease), (revision) => ({ key, revision, lease }))
    })
  }

  /** The key is this client's alone, so that whatever became of an attempt, another one does no harm. */
  private create(key: Uint8Array, value: Uint8Array, lease: HeldLease): Effect.Effect<number, WaitQueueFailure> {
    const created = this.parts.keyValue.transact({
      if: [Compare.missing(key)],
      do: [Op.put(key, value, { lease: lease.id })],
      else: [Op.get(key)]
    })
    return created.pipe(
      Effect.flatMap((txn) => {
        if (txn.succeeded) return Effect.succeed(txn.revision)
        const [entry] = txn.results
        return entry._tag === "Some"
          ? Effect.succeed(entry.value.createRevision)
          : Effect.die(new Error("a key is neither missing nor there"))
      }),
      Effect.catchTags({
        Indeterminate: () => this.create(key, value, lease),
        SessionExpired: () => this.create(key, value, lease),
        ResultsNotKept: () => this.create(key, value, lease),
        LeaseNotFound: () => Effect.fail(new LeaseLost({ lease: lease.id, reason: "ended" }))
      })
    )
  }

  /**
   * Waits until a ticket is the head of the queue; fails when its lease is lost before. `onWait` is carried out once,
   * when there is somebody to wait for.
   */
  readonly waitForTurn = (ticket: Ticket, onWait: OnWait | undefined): Effect.Effect<void, WaitQueueFailure> => {
    const wait = (told: boolean): Effect.Effect<void, WaitQueueFailure> =>
      Effect.flatMap(this.retryForever(this.before(ticket)), (predecessor) => {
        if (predecessor === undefined) return Effect.void
        const tell = told || onWait === undefined
          ? Effect.void
          : Effect.flatMap(this.retryForever(this.headOf(latest)), onWait)
        return Effect.andThen(tell, Effect.andThen(this.retryForever(this.untilGone(predecessor.key)), wait(true)))
      })
    return Effect.raceFirst(wait(false), ticket.lease.lost)
  }

  /** The key of the process at the head, with its value. */
  headOf(options: ReadOptions | undefined): Effect.Effect<Option.Option<KeyValueEntry>, ReadFailure> {
    return Effect.flatMap(this.entriesOf(options), (entries) => {
      let head: KeyValueEntry | undefined
      for (const entry of entries) {
        if (entry.createRevision < (head?.createRevision ?? Number.POSITIVE_INFINITY)) head = entry
      }
      return head === undefined ? Effect.succeed(Option.none()) : this.parts.keyValue.get(head.key, options)
    })
  }

  /** The ticket right before another one; `undefined` at the head. */
  readonly before = (ticket: Ticket): Effect.Effect<KeyValueEntry | undefined, LeaseLost | ReadFailure> => {
    return Effect.flatMap(this.entriesOf(latest), (entries) => {
      // A list of several pages is not one read, but what stood before this ticket all the time is in it.
      let predecessor: KeyValueEntry | undefined
      let own = false
      for (const entry of entries) {
        const { createRevision } = entry
        if (createRevision === ticket.revision) own = true
        if (createRevision < ticket.revision && createRevision > (predecessor?.createRevision ?? 0)) predecessor = entry
      }
      return own
        ? Effect.succeed(predecessor)
        : Effect.fail(new LeaseLost({ lease: ticket.lease.id, reason: "ended" }))
    })
  }

  /** Everybody's keys. */
  private entriesOf(options: ReadOptions | undefined): Effect.Effect<ReadonlyArray<KeyValueEntry>, ReadFailure> {
    return Stream.runCollect(this.parts.keyValue.scanAll(this.prefix, { ...options, keysOnly: true }))
  }

  /** Waits until a key does not exist. */
  private untilGone(key: Uint8Array): Effect.Effect<void, ReadFailure> {
    const { keyValue, watch } = this.parts
    return Effect.flatMap(
      asRead(keyValue.transact({ do: [Op.get(key)] }, latest)),
      (txn) =>
        !txn.succeeded || txn.results[0]._tag === "None"
          ? Effect.void
          : watch.changes({ key }, { fromRevision: txn.revision + 1, only: "deletes" }).pipe(
            Stream.take(1),
            Stream.runDrain,
            // It was so long ago that history is gone: it is looked up again.
            Effect.catchTag(["Compacted", "FutureRevision"], () => this.untilGone(key))
          )
    )
  }

  /** What is waited for is worth more than one deadline: the lease says when waiting has an end. */
  private retryForever<A>(
    read: Effect.Effect<A, LeaseLost | ReadFailure>
  ): Effect.Effect<A, LeaseLost | InvalidArgument | WrongCluster | AccessError> {
    const again = () => Effect.andThen(Effect.sleep(retryMs), this.retryForever(read))
    return Effect.catchTags(read, { Unavailable: again, Overloaded: again })
  }
}
