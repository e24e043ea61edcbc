/**
 * Whether the disk syncs so fast that the calling thread waits for it itself. A trip to the thread pool and back takes
 * a third of a fast disk's sync. But a thread that waits does nothing else: no heartbeat, no answer. So a sync that
 * takes longer sends the next ones to the pool, and a disk that stalls holds the thread up once.
 */

/** The longest sync of a fast disk, in milliseconds: about what a collection of garbage stops the thread for. */
export const fastMs = 2

/** Syncs that took no longer, one after another, before the next is waited for. */
export const fastSyncs = 16

export class SyncPace {
  private fast = 0

  /** Whether the next sync may hold up the thread. */
  get isFast(): boolean {
    return this.fast >= fastSyncs
  }

  /** How long a sync took, wherever it was made. */
  took(elapsedMs: number): void {
    this.fast = elapsedMs <= fastMs ? this.fast + 1 : 0
  }
}
