/** The watches of a node: who owns each, what it asks for, and what it was sent and has not acknowledged. */
import { Effect, Latch } from "effect"
import type { WatchRequest } from "../client/connection/Connection.ts"
import { Overloaded } from "../FlareDbError.ts"
import { Hurry } from "../kv/ChangeFeed.ts"
import type { FeedRequest } from "../kv/FeedPart.ts"
import type { Part } from "./Unconfirmed.ts"
import { Recipient, Unconfirmed } from "./Unconfirmed.ts"
import type { WatchMetrics } from "./WatchMetrics.ts"

/** Whose watch it is: a connection's number, or this process itself. No other may ask for its parts. */
export type WatchOwner = number | "process"

/** How often idle watches are looked for, in milliseconds. */
const sweepMs = 1_000

/**
 * When memory is short, a watch that did not ask for more within this time is cancelled, in milliseconds. Connections
 * that do not move were closed before, so that the memory is really there.
 */
const patienceMs = 20_000

export interface Watch {
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
  progressAnswered: number
  /** When the last part was sent, or the watch began. */
  sentMs: number
  /** That part, for as long as the next was not asked for. */
  part: Part | undefined
}

export interface WatchTableOptions {
  /** Most ranges of all watches. */
  readonly maxWatches: number
  /** Most bytes of parts that are sent and not acknowledged. */
  readonly maxWatchBytes: number
  readonly metrics: WatchMetrics
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs: () => number
}

export class WatchTable {
  readonly unconfirmed: Unconfirmed
  readonly nowMs: () => number
  private readonly maxWatches: number
  private readonly metrics: WatchMetrics
  /** In the order of their last parts, because each moves to the end with its part. */
  private readonly watches = new Map<number, Watch>()
  private readonly recipients = new Map<WatchOwner, Recipient>()
  /** Open while there are watches. */
  private readonly occupied = Latch.makeUnsafe(false)
  private watchedRanges = 0
  private lastId = 0

  constructor({ maxWatchBytes, maxWatches, metrics, nowMs }: WatchTableOptions) {
    this.unconfirmed = new Unconfirmed(maxWatchBytes, metrics.unconfirmed)
    this.maxWatches = maxWatches
    this.metrics = metrics
    this.nowMs = nowMs
  }

  get size(): number {
    return this.watches.size
  }

  /** Ranges of all watches: what a watch costs is in its ranges. */
  get ranges(): number {
    return this.watchedRanges
  }

  /** The watch of this number, when it belongs to the owner. */
  find(owner: WatchOwner, id: number): Watch | undefined {
    const watch = this.watches.get(id)
    return watch?.owner === owner ? watch : undefined
  }

  /** Adds a watch, which counts as asked until {@link touch}. */
  add(owner: WatchOwner, { only, previous, ranges }: WatchRequest): Watch | Overloaded {
    if (this.watchedRanges + ranges.count > this.maxWatches) {
      return new Overloaded({ limit: "maxWatches", current: this.watchedRanges, maximum: this.maxWatches })
    }
    const recipient = this.recipients.get(owner) ?? new Recipient()
    this.recipients.set(owner, recipient)
    const watch: Watch = {
      id: ++this.lastId,
      owner,
      recipient,
      request: { ranges, previous, only },
      asked: true,
      hurry: new Hurry(),
      progressRequested: 0,
      progressAnswered: 0,
      sentMs: this.nowMs(),
      part: undefined
    }
    this.watches.set(watch.id, watch)
    this.watchedRanges += ranges.count
    this.metrics.watches(this.watches.size)
    this.occupied.openUnsafe()
    return watch
  }

  /** Ends a watch. Does nothing when it has ended. */
  remove(watch: Watch): void {
    if (!this.watches.delete(watch.id)) return
    this.watchedRanges -= watch.request.ranges.count
    this.release(watch)
    this.metrics.watches(this.watches.size)
    if (this.watches.size === 0) this.occupied.closeUnsafe()
  }

  /** Ends all watches of an owner, which is gone. */
  removeAll(owner: WatchOwner): void {
    for (const watch of this.watches.values()) if (watch.owner === owner) this.remove(watch)
    this.recipients.delete(owner)
  }

  /** The watch began, or its question was answered: its idle time begins now. */
  touch(watch: Watch): void {
    watch.asked = false
    watch.sentMs = this.nowMs()
  }

  /** Makes a watch the last one that may be cancelled. When it has ended in the meantime, releases its part. */
  moveToEnd(watch: Watch): void {
    if (this.watches.delete(watch.id)) this.watches.set(watch.id, watch)
    else this.release(watch)
  }

  /** The watch asks for the next part, so the last one has arrived. */
  acknowledge(watch: Watch): void {
    if (watch.part !== undefined) this.unconfirmed.acknowledged(watch.part)
    watch.part = undefined
  }

  /** Gives back the room of a part that is not sent, or that no client will acknowledge. */
  release(watch: Watch): void {
    if (watch.part !== undefined) this.unconfirmed.drop(watch.part)
    watch.part = undefined
  }

  /** Cancels idle watches for as long as it runs. Never ends. */
  sweeping(maxIdleMs: number): Effect.Effect<never> {
    return Effect.forever(
      this.occupied.whenOpen(
        Effect.map(Effect.sleep(sweepMs), () => {
          this.cancelIdle(maxIdleMs, () => true)
          this.cancelIdle(patienceMs, ({ part }) => part !== undefined && this.unconfirmed.isFull)
        })
      )
    )
  }

  /** Cancels those of `which` that did not ask for more for so long. */
  private cancelIdle(idleMs: number, which: (watch: Watch) => boolean): void {
    const now = this.nowMs()
    for (const watch of this.watches.values()) {
      if (now - watch.sentMs < idleMs) return
      if (watch.asked || !which(watch)) continue
      this.remove(watch)
      this.metrics.cancelled()
    }
  }
}
