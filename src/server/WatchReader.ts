/** Reads the parts of watches from the feed of this node's changes, and proves that the node is up to date. */
import { Effect, Schedule } from "effect"
import type { Compacted, Fatal, ReadError } from "../FlareDbError.ts"
import { FutureRevision, Unavailable } from "../FlareDbError.ts"
import type { WatchPart, WatchRequest } from "../client/connection/Connection.ts"
import type { ChangeFeed } from "../kv/ChangeFeed.ts"
import type { FeedPart, FeedRequest } from "../kv/FeedPart.ts"
import { partBytes } from "../kv/FeedPart.ts"
import { within } from "../net/Deadline.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Watch, WatchTable } from "./WatchTable.ts"

/** How long a node may take to prove that it is up to date, in milliseconds: an election goes by unnoticed. */
const proofMs = 2_000
const proofPauseMs = 50

type ReadFailure = Compacted | Fatal | FutureRevision | Unavailable

const asWatchError = (error: ReadError): Unavailable | Fatal =>
  error._tag === "Unavailable" || error._tag === "Fatal" ? error : new Unavailable({ reason: error.message })

export class WatchReader {
  private readonly node: RaftNode["Service"]
  private readonly feed: ChangeFeed["Service"]
  private readonly table: WatchTable
  /** Succeeds once this node has applied everything that was acknowledged before. */
  private readonly proof: Effect.Effect<void, Unavailable | Fatal>

  constructor(node: RaftNode["Service"], feed: ChangeFeed["Service"], table: WatchTable) {
    this.node = node
    this.feed = feed
    this.table = table
    this.proof = node.readBarrier.pipe(
      Effect.retry({ schedule: Schedule.spaced(proofPauseMs), while: ({ _tag }) => _tag !== "Fatal" }),
      within(
        proofMs,
        () => new Unavailable({ reason: `the node did not hear from a majority for ${proofMs} ms; ask another` })
      ),
      Effect.mapError(asWatchError)
    )
  }

  /** The revision that a watch begins at. Fails when the history no longer reaches back to it, or not yet up to it. */
  start(request: WatchRequest): Effect.Effect<number, ReadFailure> {
    return Effect.gen({ self: this }, function*() {
      // A follower may be behind what its client got elsewhere, and a new one not know yet which cluster it is of.
      const identity = yield* this.node.identity
      if (identity === undefined || request.from === undefined || request.from > this.feed.revision() + 1) {
        yield* this.proof
      }
      const from = request.from ?? this.feed.revision() + 1
      if (from > this.feed.revision() + 1) return yield* this.future(from)
      // Fails when that is gone.
      yield* this.feed.wait(request.ranges, from, 0)
      return from
    })
  }

  /** Looks for changes until there are some, or the time is over and it is certain that there were none. */
  next(watch: Watch, from: number, waitMs: number): Effect.Effect<WatchPart, ReadFailure> {
    return Effect.gen({ self: this }, function*() {
      const { feed, table } = this
      const deadline = table.nowMs() + waitMs
      const hurried = () => watch.progressRequested > watch.progressAnswered
      let proven = false
      const timeLeft = () => proven || hurried() ? 0 : deadline - table.nowMs()
      let at = from
      for (;;) {
        at = yield* feed.wait(watch.request.ranges, at, timeLeft(), watch.hurry)
        if (at <= feed.revision()) {
          const { revisions, through } = yield* this.readInto(watch, at)
          if (revisions.length > 0) return { revisions, through }
          at = through + 1
          if (timeLeft() > 0) continue
          // There is more to look through; the client learns how far this is.
          if (at <= feed.revision()) return { revisions, through }
        }
        if (proven) {
          // This node is up to date, so no node can have sent what is before `from`.
          if (from > feed.revision() + 1) return yield* this.future(from)
          return { revisions: [], through: at - 1 }
        }
        const requested = watch.progressRequested
        yield* this.proof
        // A request that came during the proof asks for another one.
        watch.progressAnswered = requested
        proven = true
      }
    })
  }

  private future(requested: number): FutureRevision {
    return new FutureRevision({ requested, revision: this.feed.revision() })
  }

  /** Reads a part, once there is room for it. */
  private readInto(watch: Watch, from: number): Effect.Effect<FeedPart, Compacted | Fatal> {
    return Effect.gen({ self: this }, function*() {
      const { unconfirmed } = this.table
      yield* unconfirmed.reserve(watch.recipient, partBytes, (part) => {
        watch.part = part
      })
      const found = yield* this.read(watch.request, from)
      if (found.revisions.length === 0) this.table.release(watch)
      else if (watch.part !== undefined) unconfirmed.sent(watch.part, found.bytes)
      return found
    })
  }

  private read(request: FeedRequest, from: number): Effect.Effect<FeedPart, Compacted | Fatal> {
    return Effect.catch(
      this.feed.next(request, from),
      (error): Effect.Effect<never, Compacted | Fatal> =>
        error._tag === "Compacted"
          ? Effect.fail(error)
          : this.node.orStop("reading the history", Effect.fail(error))
    )
  }
}
