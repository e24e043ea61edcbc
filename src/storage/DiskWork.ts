/** Work on a data directory, as effects, whose failure is the last thing that its storage does. */
import { Effect } from "effect"
import { inTime } from "./InTime.ts"
import type { FirstFailure } from "./FirstFailure.ts"
import type { StorageError } from "./StorageError.ts"
import { failureIn } from "./StorageError.ts"

/**
 * Runs work to its end even when the fiber is interrupted: a write that began cannot be taken back. Only the first
 * failure of the storage ends the wait before: on a full disk RocksDB holds a write back until there is room again,
 * and the flush that failed is known by another way. Nothing begins after a failure. What gives no promise is done.
 */
export type Promised = <A>(operation: string, run: () => A | Promise<A>) => Effect.Effect<A, StorageError>

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
  /** Ends with the last close that was asked for. */
  private closing: Promise<void> = Promise.resolve()

  /** `path` is the data directory, for the message of an error. */
  constructor(path: string, failure: FirstFailure) {
    this.path = path
    this.failure = failure
  }

  readonly promised: Promised = (operation, run) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        if (this.failure.error !== undefined) return Effect.fail(this.failure.error)
        try {
          const running = run()
          return running instanceof Promise ? this.awaited(operation, this.counted(running)) : Effect.succeed(running)
        } catch (cause) {
          return Effect.fail(this.failed(operation, cause))
        }
      })
    )

  /** Has closes wait for work that no caller waits for, and its failure be one of the storage. */
  background(operation: string, running: Promise<unknown>): void {
    this.counted(running).catch((cause) => this.failed(operation, cause))
  }

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
   * Closes what work uses, in the order of the calls, once nothing is under way. `false` when that takes too long:
   * something may never end, as on a full disk. It stays open until it ends, if ever.
   */
  async whenIdle(close: () => void | Promise<void>): Promise<boolean> {
    const closing = this.closing.then(() => this.idle()).then(close)
    this.closing = closing.catch(() => undefined)
    if (this.underWay.size > 0) {
      this.deadline ??= performance.now() + settleMs
      if (await inTime(this.idle(), this.deadline - performance.now()) === "late") return false
    }
    await closing
    return true
  }

  private async idle(): Promise<void> {
    while (this.underWay.size > 0) await Promise.allSettled(this.underWay)
  }

  private awaited<A>(operation: string, running: Promise<A>): Effect.Effect<A, StorageError> {
    return Effect.callback((resume) => {
      const forget = this.failure.onFirst((error) => resume(Effect.fail(error)))
      running.finally(forget).then(
        (value) => resume(Effect.succeed(value)),
        (cause) => resume(Effect.fail(this.failed(operation, cause)))
      )
    })
  }

  private failed(operation: string, cause: unknown): StorageError {
    const error = failureIn(operation, this.path, cause)
    this.failure.record(error)
    return error
  }
}
