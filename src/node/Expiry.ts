/**
 * Proposes what has become due (`StateMachine.due`), such as the end of leases and compaction. Only a leader does, and
 * only after a majority has just confirmed that it still leads: one that was stopped for a while must not act on what
 * it remembers. Everything it proposes is decided again when it is applied, so it may come late or twice.
 */
import { Clock, Effect } from "effect"
import { coalescedMs } from "../CoalescedSleep.ts"
import type { ReadError, WriteError } from "../FlareDbError.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import type { StateMachine } from "../machine/StateMachine.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { LogClock } from "./LogClock.ts"

/** How often a leader looks, in milliseconds: how late a lease may end. */
const intervalMs = 200

/**
 * How often while nothing can become due before the next look, in milliseconds. No lease and no session that is new by
 * then lives for less (`minTtlMs` of the store).
 */
const calmIntervalMs = 1_000

export interface ExpiryOptions {
  readonly machine: StateMachine["Service"]
  readonly clock: LogClock
  readonly leads: () => boolean
  /** Succeeds once this node leads. */
  readonly leading: Effect.Effect<void>
  /** Succeeds once this node has proved its leadership, and has applied what was committed before. */
  readonly readBarrier: Effect.Effect<void, ReadError>
  readonly propose: (
    commands: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | WriteError>>
}

const look = ({ clock, readBarrier, leads, machine, propose }: ExpiryOptions): Effect.Effect<void, StorageError> =>
  Effect.suspend(() => {
    const due = Effect.suspend(() => machine.due(clock.now()))
    if (!leads()) return Effect.void
    return Effect.flatMap(due, (first) => {
      if (first.length === 0) return Effect.void
      // What is due is looked at again behind the read barrier: a keep-alive may have been applied by then.
      return Effect.matchEffect(readBarrier, {
        onFailure: () => Effect.void,
        onSuccess: () =>
          Effect.flatMap(
            due,
            (commands) => commands.length === 0 || !leads() ? Effect.void : Effect.flatMap(propose(commands), report)
          )
      })
    })
  })

const report = (results: ReadonlyArray<Uint8Array | WriteError>): Effect.Effect<void> => {
  const failure = results.find((result): result is WriteError => !(result instanceof Uint8Array))
  return failure === undefined
    ? Effect.void
    : Effect.logDebug(`proposing expiry and compaction failed and is repeated: ${failure.message}`)
}

/** Until the next look: no later than what can be due by then allows. */
const pause = ({ clock, machine }: ExpiryOptions): Effect.Effect<void> =>
  Effect.flatMap(Clock.Clock, (timer) => {
    const untilMs = machine.untilDueMs?.(clock.now()) ?? 0
    if (untilMs <= calmIntervalMs) return Effect.sleep(intervalMs)
    return Effect.sleep(Math.min(calmIntervalMs, coalescedMs(monotonicMsOf(timer), calmIntervalMs)))
  })

/** The loop. Ends only by failing. */
export const run = (options: ExpiryOptions): Effect.Effect<never, StorageError> => {
  // A node that does not lead has nothing to look at, and need not wake for it.
  const begun = Effect.suspend(() => options.leads() ? Effect.void : options.leading)
  return Effect.forever(Effect.andThen(begun, Effect.andThen(Effect.suspend(() => pause(options)), look(options))))
}
