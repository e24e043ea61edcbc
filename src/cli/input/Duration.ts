/** Durations as people write them on a command line. Inside they are milliseconds. */
import { Argument, Flag } from "effect/cli"
import { errorText } from "../../ErrorText.ts"

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
type Unit = keyof typeof unitMs

const isUnit = (text: string): text is Unit => Object.hasOwn(unitMs, text)

const written = /^(-?\d+(?:\.\d+)?)([a-z]*)$/

/** The milliseconds that `text` means: a number and its unit. Throws what is expected. */
export const parseDuration = (text: string): number => {
  const [, amount = "", unit = ""] = written.exec(text.trim()) ?? []
  const factor = isUnit(unit) ? unitMs[unit] : amount === "0" ? 1 : undefined
  const ms = factor === undefined || amount === "" ? undefined : Number(amount) * factor
  if (ms !== undefined && Number.isSafeInteger(Math.round(ms)) && Math.abs(ms - Math.round(ms)) < 1e-6) {
    return Math.round(ms)
  }
  throw new Error(
    unit === "" && Number(amount) > 0
      ? `a duration with its unit: ${amount}s for seconds, ${amount}ms for milliseconds, or m, h or d`
      : "a duration with its unit, in whole milliseconds: 500ms, 1.5s, 2m, 1h or 7d"
  )
}

/** A flag whose value is a duration; the program gets milliseconds. */
export const durationFlag = (name: string): Flag.Flag<number> =>
  Flag.String(name).pipe(Flag.mapTryCatch(parseDuration, errorText), Flag.withMetavar("DURATION"))

/** An argument that is a duration; the program gets milliseconds. */
export const durationArgument = (name: string): Argument.Argument<number> =>
  Argument.String(name).pipe(Argument.mapTryCatch(parseDuration, errorText), Argument.withMetavar("DURATION"))
