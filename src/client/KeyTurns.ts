/**
 * Turns at keys: those of one process who want to change the same key wait for each other, because only one of them
 * can succeed at a time anyway.
 */
import { Effect, Semaphore } from "effect"
import { keyText } from "../kv/KeyText.ts"

interface Turn {
  readonly semaphore: Semaphore.Semaphore
  /** Who has the turn or waits for it. */
  users: number
}

export class KeyTurns {
  private readonly turns = new Map<string, Turn>()

  /**
   * Runs `work` when nothing else in this process works on `key`; fails with `onLate` when that takes longer than
   * `waitMs`.
   */
  take<A, E, R, E2>(
    key: Uint8Array,
    waitMs: number,
    onLate: () => E2,
    work: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | E2, R> {
    return Effect.uninterruptibleMask((restore) => {
      const name = keyText(key)
      const turn = this.turns.get(name) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
      this.turns.set(name, turn)
      turn.users += 1
      const free = turn.users === 1
      const taken = Semaphore.take(turn.semaphore, 1)
      const inTime = free
        ? taken
        : Effect.timeoutOrElse(restore(taken), { duration: waitMs, orElse: () => Effect.fail(onLate()) })
      return Effect.andThen(
        restore(inTime),
        Effect.ensuring(restore(work), Semaphore.release(turn.semaphore, 1))
      ).pipe(
        Effect.ensuring(Effect.sync(() => {
          turn.users -= 1
          if (turn.users === 0) this.turns.delete(name)
        }))
      )
    })
  }
}
