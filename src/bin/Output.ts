/**
 * What a command prints. Keys, values and names are what somebody else wrote: their control characters are escaped, so
 * that they can neither steer a terminal nor forge a line, a column or a message.
 */
import { Console, Effect } from "effect"
import { Flag } from "effect/cli"
import { cell, printable, printableJson, printableLines } from "../Printable.ts"
import * as Messages from "./Messages.ts"
import { makeSwitch } from "./Switch.ts"

export const rawFlag = makeSwitch("raw").pipe(
  Flag.withDescription("print keys and values as they are, control characters included; for pipes, not for terminals"),
  Flag.withDefault(false)
)

/** One line. */
export const line = (text: string): Effect.Effect<void> => Console.log(printable(text))

/** Several lines, such as a table. */
export const lines = (text: string): Effect.Effect<void> => Console.log(printableLines(text))

/** One JSON object on a line. */
export const json = (value: unknown): Effect.Effect<void> => Console.log(printableJson(value))

/** Columns with tabs between them; as they are when `raw`. */
export const row = (cells: ReadonlyArray<string>, raw: boolean): Effect.Effect<void> =>
  Console.log((raw ? cells : cells.map(cell)).join("\t"))

/** A value by itself: as it is to a pipe or a file, and escaped on a terminal unless `raw`. */
export const value = (text: string, raw: boolean): Effect.Effect<void> =>
  Effect.suspend(() => Console.log(raw || process.stdout.isTTY !== true ? text : printableLines(text)))

/** What is worth knowing beside the output, on standard error. */
export const problem = Messages.notice
