/**
 * Elections among the processes of a service: one leads, the others wait for their turn, and everybody can see who
 * leads and what it says. A leader leads for as long as its lease is, with the caveats of a lock (`Lock.ts`).
 */
import { Context, Effect, Option, Stream } from "effect"
import type { Scope } from "effect"
import { LeaseLost } from "../FlareDbError.ts"
import type { Data, KeyValueEntry } from "./Entry.ts"
import type { Ticket, WaitQueueFailure, WaitQueueParts } from "./WaitQueue.ts"
import { holds, WaitQueue, waitQueueOf } from "./WaitQueue.ts"
import { defaultLockTtlMs } from "./Lock.ts"
import type { ReadFailure, ReadOptions, WriteFailure } from "./session/Requests.ts"
import type { Compare } from "./Txn.ts"
import { Op } from "./Txn.ts"
import type { WatchFailure } from "./Watch.ts"

/** How long a leadership outlives its process. */
export interface CampaignOptions {
  /** Milliseconds that a leadership outlives a leader that ends without a word. Default 10,000, at least 1,000. */
  readonly ttlMs?: number | undefined
}

/** This process leads. */
export interface Leadership {
  readonly election: string
  readonly key: Uint8Array
  /** The fencing revision: higher for each later leader of this election. */
  readonly revision: number
  readonly lease: number
  /** For `transact({ if: [leadership.held, …] })`: does nothing once somebody else may lead. */
  readonly held: Compare
  /** Never succeeds, and fails when the leadership is lost. */
  readonly lost: Effect.Effect<never, LeaseLost>
  /** Says something else than what the campaign began with. */
  readonly proclaim: (value: Data) => Effect.Effect<void, WriteFailure | LeaseLost>
  /** Gives the leadership up before the scope closes; `lost` fails then. */
  readonly resign: Effect.Effect<void>
}

/** Who leads, seen by anybody. */
export interface Leader {
  readonly key: Uint8Array
  /** What it proclaims. */
  readonly value: Uint8Array
  /** The fencing revision. */
  readonly revision: number
  readonly lease: number
}

/**
 * Elections among the processes of a service: one leads, the others wait for their turn, and everybody can see who
 * leads.
 *
 * **When to use**
 *
 * When one process is to do a job for as long as it lives, and others have to find it: its value is what it
 * proclaims, an address say. For work with an end, `Locks` is simpler.
 *
 * **Details**
 *
 * `campaign` leads for as long as its scope lives, on a lease of `ttlMs` milliseconds, 10,000 by default.
 * Candidates come to lead in the order in which they began. `flaredb elect` does the same on a command line.
 *
 * **Gotchas**
 *
 * The same as of a lock: a leader that is paused may believe for a while that it leads. Guard writes by `held` and
 * `revision`.
 */
export class Elections extends Context.Service<Elections, {
  /** Waits until this process leads, and leads for as long as the scope lives. `value` is what it proclaims then. */
  readonly campaign: (
    election: string,
    value: Data,
    options?: CampaignOptions
  ) => Effect.Effect<Leadership, WaitQueueFailure, Scope.Scope>

  /** Who leads now; `None` when no process campaigns. */
  readonly leader: (election: string, options?: ReadOptions) => Effect.Effect<Option.Option<Leader>, ReadFailure>

  /** Who leads, and then every change of that or of what the leader proclaims. */
  readonly observe: (
    election: string
  ) => Stream.Stream<Option.Option<Leader>, Exclude<WatchFailure, { readonly _tag: "Compacted" }> | ReadFailure>
}>()("flaredb/client/Elections") {}

export const make = (parts: WaitQueueParts): Elections["Service"] => {
  const { keyValue, watch } = parts

  const campaign: Elections["Service"]["campaign"] = Effect.fnUntraced(
    function*(election: string, value: Data, options?: CampaignOptions) {
      const queue = new WaitQueue(parts, yield* waitQueueOf("election", election))
      const waitForTurn = (ticket: Ticket) => queue.waitForTurn(ticket, undefined)
      const { leave, ticket } = yield* queue.enter(value, options?.ttlMs ?? defaultLockTtlMs, waitForTurn)
      const { key, lease, revision } = ticket
      const held = holds(ticket)
      const proclaim = (next: Data): Effect.Effect<void, WriteFailure | LeaseLost> =>
        Effect.flatMap(
          Effect.catchTag(
            keyValue.transact({ if: [held], do: [Op.put(key, next, { lease: lease.id })] }),
            "LeaseNotFound",
            () => Effect.succeed({ succeeded: false })
          ),
          ({ succeeded }) => succeeded ? Effect.void : Effect.fail(new LeaseLost({ lease: lease.id, reason: "ended" }))
        )
      return {
        election,
        key,
        revision,
        lease: lease.id,
        held,
        lost: lease.lost,
        proclaim,
        resign: leave
      }
    }
  )

  return Elections.of({
    campaign,
    leader: (election, options) =>
      Effect.map(
        Effect.flatMap(
          waitQueueOf("election", election),
          (prefix) => Stream.runCollect(keyValue.scanAll(prefix, options))
        ),
        leaderAmong
      ),
    observe: (election) =>
      Stream.unwrap(Effect.map(waitQueueOf("election", election), (prefix) => watch.mirror(prefix))).pipe(
        Stream.mapAccum(
          () => new Map<string, KeyValueEntry>(),
          (entries, notice) => {
            if (notice._tag === "Listed") {
              entries.clear()
              for (const entry of notice.entries) entries.set(entry.keyText, entry)
            } else {
              for (const event of notice.events) {
                if (event._tag === "Put") entries.set(event.keyText, event.entry)
                else entries.delete(event.keyText)
              }
            }
            return [entries, [leaderAmong(entries.values())]]
          }
        ),
        Stream.changesWith(sameLeader)
      )
  })
}

/** The one whose key was created first. */
const leaderAmong = (entries: Iterable<KeyValueEntry>): Option.Option<Leader> => {
  let first: KeyValueEntry | undefined
  for (const entry of entries) {
    if (first === undefined || entry.createRevision < first.createRevision) first = entry
  }
  return first === undefined ? Option.none() : Option.some({
    key: first.key,
    value: first.value,
    revision: first.createRevision,
    lease: first.lease
  })
}

const sameLeader = (one: Option.Option<Leader>, other: Option.Option<Leader>): boolean =>
  Option.isSome(one) && Option.isSome(other)
    ? one.value.revision === other.value.revision && Buffer.compare(one.value.value, other.value.value) === 0
    : Option.isNone(one) && Option.isNone(other)
