/**
 * The watches that a node serves. A watch here is a place in the history and nothing more: its client asks for each
 * part, and the part after it is looked for when the next question comes. So a slow client slows only itself; what it
 * may cost is bounded by `maxWatchBytes` and `maxWatchIdleMs`, beyond which it is cancelled and begins again where it
 * was.
 *
 * A watch gets what this node has applied, and learns that there was nothing only when a majority has just
 * confirmed that this node is up to date. At a node that is cut off, a watch therefore ends within {@link proofMs}
 * behind the time its client meant to wait, and goes on at another node.
 */
import { Clock, Context, Effect, Exit, Latch, Layer, Schedule } from "effect"
import type { Scope } from "effect"
import { monotonicMsOf } from "../Monotonic.ts"
import { watchTables } from "../BoundedTables.ts"
import { maxWatchWaitMs } from "../protocol/ClientRpcs.ts"
import type { NodeWatch, WatchPart, WatchRequest } from "../client/connection/Connection.ts"
import type { Limits } from "../config/Limits.ts"
import type { Compacted, Fatal, ReadError, WatchError } from "../FlareDbError.ts"
import { FutureRevision, InvalidArgument, Overloaded, Unavailable, WatchCancelled } from "../FlareDbError.ts"
import { countProblem } from "../kv/model/Limits.ts"
import { ChangeFeed, Hurry } from "../kv/ChangeFeed.ts"
import type { FeedPart, FeedRequest } from "../kv/FeedPart.ts"
import { partBytes } from "../kv/FeedPart.ts"
import { RaftNode } from "../node/RaftNode.ts"
import { within } from "../net/Deadline.ts"
import type { Part } from "./Unconfirmed.ts"
import { Recipient, Unconfirmed } from "./Unconfirmed.ts"
import * as WatchMetrics from "./WatchMetrics.ts"

export type WatchLimits = Pick<Limits, "maxWatches" | "maxWatchBytes" | "maxWatchIdleMs">

/** Whose watch it is: a connection's number, or this process itself. No other may ask for its parts. */
export type WatchOwner = number | "process"

/** How long a node may take to prove that it is up to date, in milliseconds: an election goes by unnoticed. */
const proofMs = 2_000
const proofPauseMs = 50

/** How often idle watches are looked for, in milliseconds. */
const sweepMs = 1_000

/**
 * When memory is short, a watch that did not ask for more within this time is cancelled, in milliseconds. Connections
 * that do not move were closed before, so that the memory is really there.
 */
const patienceMs = 20_000

export interface WatchFigures {
  readonly watches: number
  /** Bytes told to watches that did not ask for more yet. */
  readonly unconfirmedBytes: number
}

export class WatchServer extends Context.Service<WatchServer, {
  /** Begins a watch, and says from which revision on it will tell. */
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

  readonly figures: () => WatchFigures
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

export const noWatches: WatchServer["Service"] = {
  open: () => Effect.fail(noFeed),
  next: () => Effect.fail(noFeed),
  progress: () => Effect.void,
  end: () => Effect.void,
  endAll: () => Effect.void,
  figures: () => ({ watches: 0, unconfirmedBytes: 0 })
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

interface Watch {
  readonly id: number
  readonly owner: WatchOwner
  readonly recipient: Recipient
  readonly request: FeedRequest
  /** Whether a part is being looked for. */
  asked: boolean
  /** Ends the wait of the question that is being answered. */
  readonly hurry: Hurry
  /** How often progress was requested, and how many of these requests were answered. */
  progressRequested: number
  progressTold: number
  /** When the last part was sent, or the watch began. */
  toldMs: number
  /** That part, for as long as the next was not asked for. */
  part: Part | undefined
}

const make = Effect.fnUntraced(function*({ maxWatchBytes, maxWatchIdleMs, maxWatches }: WatchLimits) {
  const node = yield* RaftNode
  const feed = yield* ChangeFeed
  const clock = yield* Clock.Clock
  const metrics = yield* WatchMetrics.make
  const watches = new Map<number, Watch>()
  /** Ranges of all watches: what a watch costs is in its ranges. */
  let ranges = 0
  const occupied = Latch.makeUnsafe(false)
  let lastId = 0
  const recipients = new Map<WatchOwner, Recipient>()
  const unconfirmed = new Unconfirmed(maxWatchBytes, metrics.unconfirmed)

  yield* watchTables([
    { table: "watches", entries: () => ranges, limit: maxWatches, setting: "maxWatches" },
    { table: "watch_bytes", entries: () => unconfirmed.bytes, limit: maxWatchBytes, setting: "maxWatchBytes" }
  ])

  const nowMs = () => monotonicMsOf(clock)

  const letGo = (watch: Watch): void => {
    if (watch.part !== undefined) unconfirmed.drop(watch.part)
    watch.part = undefined
  }

  const forget = (watch: Watch): void => {
    if (!watches.delete(watch.id)) return
    ranges -= watch.request.ranges.count
    letGo(watch)
    metrics.watches(watches.size)
    if (watches.size === 0) occupied.closeUnsafe()
  }

  /** Cancels those of `which` that were not asked to go on for so long. */
  const cancelIdle = (idleMs: number, which: (watch: Watch) => boolean): void => {
    const now = nowMs()
    for (const watch of watches.values()) {
      // They are in the order of their last parts, because each moves to the end with it.
      if (now - watch.toldMs < idleMs) return
      if (watch.asked || !which(watch)) continue
      forget(watch)
      metrics.cancelled()
    }
  }

  yield* Effect.forkScoped(
    Effect.forever(
      occupied.whenOpen(
        Effect.map(Effect.sleep(sweepMs), () => {
          cancelIdle(maxWatchIdleMs, () => true)
          cancelIdle(patienceMs, ({ part }) => part !== undefined && unconfirmed.isFull)
        })
      )
    )
  )
  /** Succeeds once this node has applied whatever was acknowledged before. */
  const proof: Effect.Effect<void, Unavailable | Fatal> = node.fence.pipe(
    Effect.retry({ schedule: Schedule.spaced(proofPauseMs), while: ({ _tag }) => _tag !== "Fatal" }),
    within(
      proofMs,
      () => new Unavailable({ reason: `the node did not hear from a majority for ${proofMs} ms; ask another` })
    ),
    Effect.mapError(asWatchError)
  )

  const read = (request: FeedRequest, from: number): Effect.Effect<FeedPart, Compacted | Fatal> =>
    Effect.catch(
      feed.next(request, from),
      (error): Effect.Effect<never, Compacted | Fatal> =>
        error._tag === "Compacted"
          ? Effect.fail(error)
          : node.orStop("reading the history", Effect.fail(error))
    )

  /** Reads a part, once there is room for it. */
  const readInto = Effect.fnUntraced(function*(watch: Watch, from: number) {
    yield* unconfirmed.reserve(watch.recipient, partBytes, (part) => {
      watch.part = part
    })
    const found = yield* read(watch.request, from)
    if (found.revisions.length === 0) letGo(watch)
    else if (watch.part !== undefined) unconfirmed.told(watch.part, found.bytes)
    return found
  })

  /** Looks for changes until there are some, or the time is over and it is certain that there were none. */
  const look = Effect.fnUntraced(function*(watch: Watch, from: number, waitMs: number) {
    const deadline = nowMs() + waitMs
    const hurried = () => watch.progressRequested > watch.progressTold
    let proven = false
    const timeLeft = () => proven || hurried() ? 0 : deadline - nowMs()
    let at = from
    for (;;) {
      at = yield* feed.wait(watch.request.ranges, at, timeLeft(), watch.hurry)
      if (at <= feed.revision()) {
        const { revisions, through } = yield* readInto(watch, at)
        if (revisions.length > 0) return { revisions, through }
        at = through + 1
        if (timeLeft() > 0) continue
        // There is more to look through; the client learns how far this is.
        if (at <= feed.revision()) return { revisions, through }
      }
      if (proven) {
        // This node is up to date, so no node can have sent what is before `from`.
        if (from > feed.revision() + 1) {
          return yield* new FutureRevision({ requested: from, revision: feed.revision() })
        }
        return { revisions: [], through: at - 1 }
      }
      const requested = watch.progressRequested
      yield* proof
      // A request that came during the proof asks for another one.
      watch.progressTold = requested
      proven = true
    }
  })

  const open = Effect.fnUntraced(function*(owner: WatchOwner, request: WatchRequest) {
    const problem = requestProblem(request)
    if (problem !== undefined) return yield* problem
    const { only, previous, ranges: wanted } = request
    if (ranges + wanted.count > maxWatches) {
      return yield* new Overloaded({ limit: "maxWatches", current: ranges, maximum: maxWatches })
    }
    const recipient = recipients.get(owner) ?? new Recipient()
    recipients.set(owner, recipient)
    const watch: Watch = {
      id: ++lastId,
      owner,
      recipient,
      request: { ranges: wanted, previous, only },
      asked: true,
      hurry: new Hurry(),
      progressRequested: 0,
      progressTold: 0,
      toldMs: nowMs(),
      part: undefined
    }
    watches.set(watch.id, watch)
    ranges += wanted.count
    metrics.watches(watches.size)
    occupied.openUnsafe()
    return yield* Effect.gen(function*() {
      // A follower may be behind what its client got elsewhere, and a new one not know yet which cluster it is of.
      const identity = yield* node.identity
      if (identity === undefined || request.from === undefined || request.from > feed.revision() + 1) yield* proof
      const from = request.from ?? feed.revision() + 1
      if (from > feed.revision() + 1) {
        return yield* new FutureRevision({ requested: from, revision: feed.revision() })
      }
      // Fails when that is gone.
      yield* feed.wait(wanted, from, 0)
      return { watch: watch.id, from }
    }).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          watch.asked = false
          watch.toldMs = nowMs()
          if (Exit.isFailure(exit)) forget(watch)
        })
      )
    )
  })

  const next = Effect.fnUntraced(function*(owner: WatchOwner, id: number, from: number, waitMs: number) {
    const watch = watches.get(id)
    if (watch === undefined || watch.owner !== owner) {
      return yield* new WatchCancelled({ reason: "it was not asked to go on for too long, or the node was restarted" })
    }
    const problem = questionProblem(watch, from, waitMs)
    if (problem !== undefined) return yield* problem
    watch.asked = true
    if (watch.part !== undefined) unconfirmed.arrived(watch.part)
    watch.part = undefined
    const part = yield* Effect.onExit(look(watch, from, waitMs), (exit) =>
      Effect.sync(() => {
        watch.asked = false
        watch.toldMs = nowMs()
        // Within a process nothing is in flight.
        if (Exit.isFailure(exit) || owner === "process") letGo(watch)
        // To the end of the line of those who may be cancelled. It may have ended in the meantime.
        if (watches.delete(id)) watches.set(id, watch)
        else letGo(watch)
      }))
    let changes = 0
    for (const revision of part.revisions) changes += revision.changes.length
    metrics.told(changes)
    return { ...part, previous: watch.request.previous }
  })

  return WatchServer.of({
    open,
    next,
    progress: (owner, id) =>
      Effect.sync(() => {
        const watch = watches.get(id)
        if (watch?.owner !== owner) return
        watch.progressRequested += 1
        watch.hurry.now()
      }),
    end: (owner, id) =>
      Effect.sync(() => {
        const watch = watches.get(id)
        if (watch?.owner === owner) forget(watch)
      }),
    endAll: (owner) =>
      Effect.sync(() => {
        for (const watch of watches.values()) if (watch.owner === owner) forget(watch)
        recipients.delete(owner)
      }),
    figures: () => ({ watches: watches.size, unconfirmedBytes: unconfirmed.bytes })
  })
})

const asWatchError = (error: ReadError): Unavailable | Fatal =>
  error._tag === "Unavailable" || error._tag === "Fatal" ? error : new Unavailable({ reason: error.message })

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
