/**
 * Where logs go: to standard error, so that standard output belongs to what a command answers. JSON lines for
 * machines, a readable form on a terminal.
 */
import type { LogLevel } from "effect"
import { Effect, Layer, Logger, References } from "effect"

export type LogFormat = "json" | "pretty"

export interface LoggingOptions {
  readonly format: LogFormat
  readonly level: LogLevel.LogLevel
  /** Fields of every line. */
  readonly annotations: Readonly<Record<string, unknown>>
}

/** The form that suits whoever reads standard error. */
export const formatFor = (stream: { readonly isTTY?: boolean }): LogFormat => stream.isTTY === true ? "pretty" : "json"

export const layer = ({ annotations, format, level }: LoggingOptions): Layer.Layer<never> =>
  Layer.mergeAll(
    // `Logger.consoleJson` writes to standard output whatever `LogToStderr` says; the pretty form obeys it.
    Logger.layer([format === "json" ? Logger.withConsoleError(Logger.formatJson) : Logger.consolePretty()]),
    Layer.succeed(Logger.LogToStderr, true),
    Layer.succeed(References.MinimumLogLevel, level),
    Layer.effectContext(
      Effect.map(References.CurrentLogAnnotations, (current) =>
        References.CurrentLogAnnotations.context({ ...current, ...annotations }))
    )
  )
