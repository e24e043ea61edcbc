/**
 * The rest of a watch whose caller makes most of the watched changes itself. Such a watch gets each own write,
 * once or twice a round, and each part costs node and client as much as news would. While nothing but that comes, the
 * watch asks seldom; when something else has come, it asks at once, as other watches do.
 */
import { Effect, Latch } from "effect"
import { monotonicMs } from "../Monotonic.ts"
import type { WatchEvent, WatchNotice } from "./WatchNotice.ts"

/** The longest rest in milliseconds: how late a change of another process may come that nothing announced. */
export const restMs = 100

/** How long no rest begins after a change of another process, in milliseconds: more of them are likely. */
export const busyMs = 1_000

export class WatchRest {
  private readonly isOwn: (event: WatchEvent) => boolean
  /** Open unless a rest lasts. */
  private readonly ended = Latch.makeUnsafe(true)
  /** The revision that the caller waits for. */
  private expected = 0
  /** Whether the caller waits to be told how far the cluster is. */
  private isProgressRequested = false
  private busyUntilMs = 0

  constructor(isOwn: (event: WatchEvent) => boolean) {
    this.isOwn = isOwn
  }

  /** Lasts as long as the rest. */
  readonly awaitEnd: Effect.Effect<void> = Effect.suspend(() =>
    this.ended.isOpen() ? Effect.void : Effect.asVoid(Effect.timeoutOption(this.ended.await, restMs))
  )

  /** A part has come: a rest begins when the caller made all of it. */
  saw(notices: ReadonlyArray<WatchNotice>): Effect.Effect<void> {
    return Effect.map(monotonicMs, (nowMs) => {
      let through = 0
      let hasChanges = false
      for (const notice of notices) {
        if (notice._tag === "Began") return
        through = notice.revision
        if (notice._tag !== "Changes") continue
        hasChanges = true
        // Each is asked about, also behind one of another process: the caller keeps count of its own.
        for (const event of notice.events) if (!this.isOwn(event)) this.busyUntilMs = nowMs + busyMs
      }
      if (!hasChanges) this.isProgressRequested = false
      const isAwaited = this.isProgressRequested || through < this.expected
      if (hasChanges && !isAwaited && nowMs >= this.busyUntilMs) this.ended.closeUnsafe()
      else this.ended.openUnsafe()
    })
  }

  /** No rest begins before the watch has told of a revision. */
  expects(revision: number): void {
    this.expected = Math.max(this.expected, revision)
    this.ended.openUnsafe()
  }

  /** No rest begins before a part without changes has come: it says how far the cluster is. */
  progressRequested(): void {
    this.isProgressRequested = true
    this.ended.openUnsafe()
  }
}
