/**
 * Whose turn it is to use the states of one entity. Handlers that run at the same time take them one after the other,
 * each until its transaction has ended: otherwise the later one would be refused at its commit, and run again.
 */
import { Effect, Latch, Semaphore } from "effect"
import type { TransactionBuffer } from "../cluster/StorageTransaction.ts"

export class Turn {
  private readonly semaphore = Semaphore.makeUnsafe(1)
  /** Transactions whose turn it is or that wait for it; open once it is theirs. */
  private readonly entered = new WeakMap<TransactionBuffer, Latch.Latch>()

  /**
   * Waits for the transaction's turn, which is over when the transaction has ended. Again at once for the same one. One
   * that is not open any more gets none.
   */
  enter(open: TransactionBuffer): Effect.Effect<void> {
    return Effect.suspend(() => {
      const other = this.entered.get(open)
      if (other !== undefined) {
        // The fiber that waited for it may have been interrupted before it was its turn.
        return Effect.andThen(
          other.await,
          Effect.suspend(() => this.entered.has(open) ? Effect.void : this.enter(open))
        )
      }
      const latch = Latch.makeUnsafe(false)
      this.entered.set(open, latch)
      return Effect.uninterruptibleMask((restore) =>
        restore(this.semaphore.take(1)).pipe(
          Effect.andThen(Effect.suspend(() => {
            const over = this.semaphore.release(1)
            if (!open.isOpen) return Effect.asVoid(over)
            open.onEnd.push(() => over)
            return Effect.void
          })),
          Effect.onError(() => Effect.sync(() => this.entered.delete(open))),
          Effect.ensuring(latch.open),
          Effect.asVoid
        )
      )
    })
  }
}
