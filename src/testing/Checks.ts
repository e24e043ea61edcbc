/** What the suites for Effect's services check with: a failed check dies and says what was found. */
import { Effect } from "effect"
import { isDeepStrictEqual } from "node:util"

/** Dies unless something holds. */
export const ensure = (holds: boolean, problem: string): Effect.Effect<void> =>
  holds ? Effect.void : Effect.die(new Error(problem))

const shown = (value: unknown): string => {
  const text = JSON.stringify(value, (_, part) => part instanceof Uint8Array ? `bytes ${part.join(" ")}` : part)
  return (text ?? String(value)).slice(0, 500)
}

/** Dies unless what was found is what is expected, in value and type. */
export const same = (found: unknown, expected: unknown, what: string): Effect.Effect<void> =>
  ensure(isDeepStrictEqual(found, expected), `${what}: expected ${shown(expected)}, found ${shown(found)}`)

/** Pause between two looks, in milliseconds. */
const lookMs = 10

/** Looks until something holds; dies when it does not within `withinMs`, and says what it waited for. */
export const eventually = <E, R>(
  what: string,
  holds: Effect.Effect<boolean, E, R>,
  withinMs = 50_000
): Effect.Effect<void, E, R> =>
  Effect.repeat(Effect.tap(holds, (held) => held ? Effect.void : Effect.sleep(lookMs)), { until: (held) => held }).pipe(
    Effect.timeoutOrElse({
      duration: withinMs,
      orElse: () => Effect.die(new Error(`${what}: not within ${withinMs} ms`))
    }),
    Effect.asVoid
  )
