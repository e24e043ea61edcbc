/** Takes an element of a queue for a worker, and settles it by how the worker's scope ends. */
import { Cause, Duration, Effect, RcMap, Scope } from "effect"
import type { PersistedQueue } from "effect/persistence"
import type { Claimed } from "./Claimed.ts"
import type { Claimer } from "./Claimer.ts"

type Take = PersistedQueue.PersistedQueueStore["Service"]["take"]
type TakeOptions = Parameters<Take>[0]
type Taken = { readonly id: string; readonly attempts: number; readonly element: unknown }

/** What `PersistedQueue` fails a take with whose element does not decode; Effect does not export it. */
const deadLetterTag = "~effect/persistence/PersistedQueue/DeadLetter"

const deadLetterOf = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> | undefined => {
  for (const reason of cause.reasons) {
    if (!Cause.isFailReason(reason)) continue
    const error = reason.error as { readonly _tag?: unknown; readonly cause?: Cause.Cause<unknown> } | undefined
    if (error?._tag === deadLetterTag) return error.cause ?? cause
  }
  return undefined
}

/** Settles an element that its worker has not completed. */
const settle = (
  claimed: Claimed,
  cause: Cause.Cause<unknown>,
  { maxAttempts, retryDelay }: TakeOptions
): Effect.Effect<void> => {
  const dead = deadLetterOf(cause)
  if (dead !== undefined) return claimed.fail(Cause.pretty(dead))
  if (Cause.hasInterruptsOnly(cause)) return claimed.release
  if (claimed.attempts >= maxAttempts) return claimed.fail(Cause.pretty(cause))
  return Effect.flatMap(
    retryDelay(claimed.attempts),
    (delay) => claimed.retry(Math.ceil(Duration.toMillis(delay)))
  )
}

/** Waits for an element that is JSON. Its claimer stays until the scope of the worker has ended. */
export const takeFrom = (
  claimers: RcMap.RcMap<string, Claimer>,
  options: TakeOptions
): ReturnType<Take> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { maxAttempts } = options
      const claimer = yield* RcMap.get(claimers, options.name)
      for (;;) {
        const claimed = yield* restore(claimer.take(maxAttempts))
        let element: unknown
        try {
          element = JSON.parse(claimed.text)
        } catch (error) {
          yield* claimed.fail(`the element is no JSON: ${String(error)}`)
          continue
        }
        // Not `Effect.addFinalizer`: that provides all services of here to the finalizer, and copies the map of them.
        yield* Scope.addFinalizerExit(
          yield* Effect.scope,
          (exit) =>
            exit._tag === "Success" ? claimer.complete(claimed, maxAttempts) : settle(claimed, exit.cause, options)
        )
        const { attempts, id } = claimed
        return { id, attempts, element } satisfies Taken
      }
    })
  )
