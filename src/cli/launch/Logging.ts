/**
 * Where logs go: to standard error, so that standard output belongs to what a command answers. JSON lines for
 * machines, a readable form on a terminal.
 */
import type { LogLevel } from "effect"
import { Cause, Effect, Layer, Logger, References } from "effect"
import { printable, printableJson, printableLines } from "../../Printable.ts"

export type LogFormat = "json" | "pretty"

export interface LoggingOptions {
  readonly format: LogFormat
  readonly level: LogLevel.LogLevel
  /** Fields of every line. */
  readonly annotations: Readonly<Record<string, unknown>>
}

/** The form that suits the reader of standard error. */
export const formatFor = (stream: { readonly isTTY?: boolean }): LogFormat => stream.isTTY === true ? "pretty" : "json"

/** JSON escapes no C1 and nothing that turns the direction of text. */
const formatJson = Logger.map(Logger.formatStructured, printableJson)

const colors: Partial<Record<LogLevel.LogLevel, number>> = { Info: 32, Warn: 33, Error: 31, Fatal: 31 }

const text = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value) ?? String(value)

/**
 * A line for people: when, how grave, what, and the fields; a cause below it. Effect's own pretty form prints messages
 * and fields as they are, and peers and clients have a say in some of them: control characters are escaped here.
 */
const formatPretty = (stream: { readonly isTTY?: boolean }) => {
  const color = (code: number | undefined, shown: string): string =>
    stream.isTTY !== true || code === undefined ? shown : `\u001b[${code}m${shown}\u001b[0m`
  return Logger.make<unknown, string>(({ cause, date, fiber, logLevel, message }) => {
    const parts = Array.isArray(message) ? message : [message]
    const fields = Object.entries(fiber.getRef(References.CurrentLogAnnotations))
    return [
      color(90, date.toTimeString().slice(0, 8) + date.toISOString().slice(19, 23)),
      color(colors[logLevel], logLevel.toUpperCase().padEnd(5)),
      ...parts.map((part) => printableLines(text(part))),
      ...fields.map(([name, value]) => color(90, printable(`${name}=${text(value)}`)))
    ].join(" ") + (cause.reasons.length === 0 ? "" : `\n${printableLines(Cause.pretty(cause))}`)
  })
}

export const layer = ({ annotations, format, level }: LoggingOptions): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.layer([Logger.withConsoleError(format === "json" ? formatJson : formatPretty(process.stderr))]),
    Layer.succeed(Logger.LogToStderr, true),
    Layer.succeed(References.MinimumLogLevel, level),
    Layer.effectContext(
      Effect.map(References.CurrentLogAnnotations, (current) =>
        References.CurrentLogAnnotations.context({ ...current, ...annotations }))
    )
  )
