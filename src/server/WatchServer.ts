/**
 * The watches that a node serves. A watch here is a place in the history and nothing more: its client asks for each
 * part, and the part after it is looked for when the next question comes. So a slow client slows only itself; what it
 * may cost is bounded by `maxWatchBytes` and `maxWatchIdleMs`, beyond which it is cancelled and begins again where it
 * was.
 *
 * A watch gets what this node has applied, and learns that there was nothing only when a majority has just
 * confirmed that this node is up to date. At a node that is cut off, a watch therefore ends within `proofMs` after the
 * time its client meant to wait (`WatchReader.ts`), and goes on at another node.
 */
import { Clock, Context, Effect, Exit, Layer } from "effect"
import type { Scope } from "effect"
import { monotonicMsOf } from "../Monotonic.ts"
import { watchTables } from "../BoundedTables.ts"
import { maxWatchWaitMs } from "../protocol/ClientRpcs.ts"
import type { NodeWatch, WatchPart, WatchRequest } from "../client/connection/Connection.ts"
import type { Limits } from "../config/Limits.ts"
import type { WatchError } from "../FlareDbError.ts"
import { InvalidArgument, Overloaded, WatchCancelled } from "../FlareDbError.ts"
import type { KeyRanges } from "../kv/model/KeyRanges.ts"
import { countProblem } from "../kv/model/Limits.ts"
import { ChangeFeed } from "../kv/ChangeFeed.ts"
import { RaftNode } from "../node/RaftNode.ts"
import * as WatchMetrics from "./WatchMetrics.ts"
import { WatchReader } from "./WatchReader.ts"
import type { Watch, WatchOwner } from "./WatchTable.ts"
import { WatchTable } from "./WatchTable.ts"

export type WatchLimits = Pick<Limits, "maxWatches" | "maxWatchBytes" | "maxWatchIdleMs">

export interface WatchCounts {
  readonly watches: number
  /** Bytes sent to watches that did not ask for more yet. */
  readonly unconfirmedBytes: number
}

/**
 * The watches that a node serves.
 *
 * **When to use**
 *
 * Not in programs, which have `Watch`. Its name is public because layers of a node provide it.
 */
export class WatchServer extends Context.Service<WatchServer, {
  /** Begins a watch, and returns the revision that it begins at. */
  readonly open: (
    owner: WatchOwner,
    request: WatchRequest
  ) => Effect.Effect<{ readonly watch: number; readonly from: number }, WatchError>

  /**
   * The next part of a watch, as {@link NodeWatch.next} describes it, and whether the records that the changes replaced
   * were asked for; they may be there when they were not.
   */
  readonly next: (
    owner: WatchOwner,
    watch: number,
    from: number,
    waitMs: number
  ) => Effect.Effect<WatchPart & { readonly previous: boolean }, WatchError>

  /**
   * Has the question that is being answered, or the next one, answered without waiting for a change: with changes, or
   * with the proof that there are none, which begins after this.
   */
  readonly progress: (owner: WatchOwner, watch: number) => Effect.Effect<void>

  readonly end: (owner: WatchOwner, watch: number) => Effect.Effect<void>

  /** The owner is gone, and all its watches with it. */
  readonly endAll: (owner: WatchOwner) => Effect.Effect<void>

  /** What a watch watches; `undefined` when the owner has no such watch. */
  readonly ranges: (owner: WatchOwner, watch: number) => KeyRanges | undefined

  readonly counts: () => WatchCounts
}>()("flaredb/server/WatchServer") {
  /** The watches of the node, from the feed of its changes. */
  static readonly layer = (limits: WatchLimits): Layer.Layer<WatchServer, never, RaftNode | ChangeFeed> =>
    Layer.effect(WatchServer, make(limits))

  /** Those of a node whose state machine has no feed of changes: every watch is refused. */
  static readonly layerNone: Layer.Layer<WatchServer> = Layer.sync(WatchServer, () => noWatches)
}

const noFeed = new InvalidArgument({
  field: "range",
  problem: "cannot be watched: this cluster runs a state machine of its own, which has no feed of changes"
})

const noWatches: WatchServer["Service"] = {
  open: () => Effect.fail(noFeed),
  next: () => Effect.fail(noFeed),
  progress: () => Effect.void,
  end: () => Effect.void,
  endAll: () => Effect.void,
  ranges: () => undefined,
  counts: () => ({ watches: 0, unconfirmedBytes: 0 })
}

/** A watch of this process, for as long as a scope lives. */
export const watchWithin = (
  server: WatchServer["Service"],
  request: WatchRequest
): Effect.Effect<NodeWatch, WatchError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(server.open("process", request), ({ watch }) => server.end("process", watch)),
    ({ from, watch }): NodeWatch => ({
      from,
      next: (at, waitMs) => server.next("process", watch, at, waitMs),
      progress: server.progress("process", watch)
    })
  )

/** What the calls of a watch work with. */
interface Parts {
  readonly table: WatchTable
  readonly reader: WatchReader
  readonly metrics: WatchMetrics.WatchMetrics
}

const opening = ({ reader, table }: Parts) =>
  Effect.fnUntraced(function*(owner: WatchOwner, request: WatchRequest) {
    const problem = requestProblem(request)
    if (problem !== undefined) return yield* problem
    const watch = table.add(owner, request)
    if (watch instanceof Overloaded) return yield* watch
    const from = yield* Effect.onExit(reader.start(request), (exit) =>
      Effect.sync(() => {
        table.touch(watch)
        if (Exit.isFailure(exit)) table.remove(watch)
      }))
    return { watch: watch.id, from }
  })

const nextPart = ({ metrics, reader, table }: Parts) =>
  Effect.fnUntraced(function*(owner: WatchOwner, id: number, from: number, waitMs: number) {
    const watch = table.find(owner, id)
    if (watch === undefined) {
      return yield* new WatchCancelled({ reason: "it was not asked to go on for too long, or the node was restarted" })
    }
    const problem = questionProblem(watch, from, waitMs)
    if (problem !== undefined) return yield* problem
    watch.asked = true
    table.acknowledge(watch)
    const part = yield* Effect.onExit(reader.next(watch, from, waitMs), (exit) =>
      Effect.sync(() => {
        table.touch(watch)
        // Within a process nothing is in flight.
        if (Exit.isFailure(exit) || owner === "process") table.release(watch)
        table.moveToEnd(watch)
      }))
    let changes = 0
    for (const revision of part.revisions) changes += revision.changes.length
    metrics.sent(changes)
    return { ...part, previous: watch.request.previous }
  })

const make = Effect.fnUntraced(function*({ maxWatchBytes, maxWatchIdleMs, maxWatches }: WatchLimits) {
  const node = yield* RaftNode
  const feed = yield* ChangeFeed
  const clock = yield* Clock.Clock
  const metrics = yield* WatchMetrics.make
  const table = new WatchTable({ maxWatches, maxWatchBytes, metrics, nowMs: () => monotonicMsOf(clock) })
  const { unconfirmed } = table
  yield* watchTables([
    { table: "watches", entries: () => table.ranges, limit: maxWatches, setting: "maxWatches" },
    { table: "watch_bytes", entries: () => unconfirmed.bytes, limit: maxWatchBytes, setting: "maxWatchBytes" }
  ])
  yield* Effect.forkScoped(table.sweeping(maxWatchIdleMs))
  const parts = { table, reader: new WatchReader(node, feed, table), metrics }
  return WatchServer.of({
    open: opening(parts),
    next: nextPart(parts),
    progress: (owner, id) =>
      Effect.sync(() => {
        const watch = table.find(owner, id)
        if (watch === undefined) return
        watch.progressRequested += 1
        watch.hurry.now()
      }),
    end: (owner, id) =>
      Effect.sync(() => {
        const watch = table.find(owner, id)
        if (watch !== undefined) table.remove(watch)
      }),
    endAll: (owner) => Effect.sync(() => table.removeAll(owner)),
    ranges: (owner, id) => table.find(owner, id)?.request.ranges,
    counts: () => ({ watches: table.size, unconfirmedBytes: unconfirmed.bytes })
  })
})

const requestProblem = ({ from }: WatchRequest): InvalidArgument | undefined => {
  const problem = from === undefined ? undefined : countProblem(from, "from")
  if (problem !== undefined) return new InvalidArgument({ field: problem.field, problem: problem.problem })
  return from === 0 ? new InvalidArgument({ field: "from", problem: "is 0; revisions begin at 1" }) : undefined
}

const questionProblem = (watch: Watch, from: number, waitMs: number): InvalidArgument | undefined => {
  if (watch.asked) {
    return new InvalidArgument({ field: "watch", problem: "is being asked already; one question at a time" })
  }
  const problem = countProblem(from, "from")
  if (problem !== undefined) return new InvalidArgument({ field: problem.field, problem: problem.problem })
  return waitMs > maxWatchWaitMs
    ? new InvalidArgument({ field: "waitMs", problem: `${waitMs} is more than ${maxWatchWaitMs} milliseconds` })
    : undefined
}
