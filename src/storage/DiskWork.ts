/** Work on a data directory: promises as effects, whose failure is the last thing that its storage does. */
import { Effect } from "effect"
import type { FirstFailure } from "./FirstFailure.ts"
import type { StorageError } from "./StorageError.ts"
import { failureIn } from "./StorageError.ts"

/**
 * Runs a promise to its end even when the fiber is interrupted: a write that began cannot be taken back. Only the first
 * failure of the storage ends the wait before: on a full disk RocksDB holds a write back until there is room again,
 * and the flush that failed is known by another way. Nothing begins after a failure.
 */
export type Promised = <A>(operation: string, run: () => Promise<A>) => Effect.Effect<A, StorageError>

/** How long a close waits for work that is still under way after a failure. */
const settleMs = 5_000

/**
 * The work on one directory. A failure lets callers go while their work may still have steps before it, so a close of
 * what it uses asks here first: not all calls of the binding look whether the database is still open, and the number of
 * a closed file may be that of another one by now.
 */
export class DiskWork {
  private readonly path: string
  private readonly failure: FirstFailure
  private readonly underWay = new Set<Promise<unknown>>()
  /** When closes give up on what is under way, on the clock of `performance`. One limit for all of them. */
  private deadline: number | undefined

  /** `path` is the data directory, for the message of an error. */
  constructor(path: string, failure: FirstFailure) {
    this.path = path
    this.failure = failure
  }

  readonly promised: Promised = (operation, run) =>
    Effect.uninterruptible(
      Effect.callback((resume) => {
        if (this.failure.error !== undefined) return resume(Effect.fail(this.failure.error))
        const failed = (cause: unknown) => {
          const error = failureIn(operation, this.path, cause)
          this.failure.record(error)
          resume(Effect.fail(error))
        }
        try {
          const running = this.counted(run())
          const forget = this.failure.onFirst((error) => resume(Effect.fail(error)))
          running.finally(forget).then((value) => resume(Effect.succeed(value)), failed)
        } catch (cause) {
          failed(cause)
        }
      })
    )

  /** Has closes wait for work that no caller waits for. */
  counted<A>(running: Promise<A>): Promise<A> {
    const ended = () => {
      this.underWay.delete(running)
    }
    this.underWay.add(running)
    running.then(ended, ended)
    return running
  }

  /**
   * Whether nothing is under way any more. When it is false, something may never end, as on a full disk: all that work
   * uses is to be left open then, because the process is about to end anyway.
   */
  readonly settled: Effect.Effect<boolean> = Effect.promise(async () => {
    this.deadline ??= performance.now() + settleMs
    while (this.underWay.size > 0) {
      const left = this.deadline - performance.now()
      if (left <= 0) return false
      let timer: NodeJS.Timeout | undefined
      const late = new Promise((done) => {
        timer = setTimeout(done, left)
      })
      await Promise.race([Promise.allSettled(this.underWay), late]).finally(() => clearTimeout(timer))
    }
    return true
  })
}
