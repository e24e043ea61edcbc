/**
 * What a command prints. Keys, values and names are what somebody else wrote: their control characters are escaped, so
 * that they can neither steer a terminal nor forge a line, a column or a message.
 */
import { Console, Effect } from "effect"
import { Flag } from "effect/cli"
import { cell, printable, printableJson, printableLines } from "../../Printable.ts"
import * as Messages from "./Messages.ts"
import { makeSwitch } from "../input/Switch.ts"

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

/** Bytes as they are. Returns once they were taken: a command that prints much has no more than this in memory. */
export const bytes = (chunk: string | Uint8Array): Effect.Effect<void> =>
  Effect.callback((resume) => {
    // When it fails, `StandardOutput.ts` ends the process.
    process.stdout.write(chunk, (error) => {
      if (error === null || error === undefined) resume(Effect.void)
    })
  })

/** Many JSON objects, a line each. */
export const jsonLines = (values: ReadonlyArray<unknown>): Effect.Effect<void> =>
  values.length === 0 ? Effect.void : bytes(values.map((value) => `${printableJson(value)}\n`).join(""))

/** What a cell shows: text, or bytes that are no text. */
export type Cell = string | Uint8Array

/** Before the base64 of bytes that are no text. A text that begins like it gets a backslash. */
const marker = "(base64) "

const marked = (bytes: Uint8Array): string =>
  `${marker}${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")}`

const cellText = (content: Cell): string => {
  if (typeof content !== "string") return marked(content)
  return content.startsWith(marker) ? `\\${cell(content)}` : cell(content)
}

/** Rows of columns with tabs between them; as they are when `raw`. */
export const rows = (list: ReadonlyArray<ReadonlyArray<Cell>>, raw: boolean): Effect.Effect<void> => {
  if (list.length === 0) return Effect.void
  if (!raw) return bytes(list.map((cells) => `${cells.map(cellText).join("\t")}\n`).join(""))
  const parts = list.flatMap((cells) => cells.flatMap((content, i) => [content, i === cells.length - 1 ? "\n" : "\t"]))
  return bytes(Buffer.concat(parts.map((part) => typeof part === "string" ? Buffer.from(part) : part)))
}

export const row = (cells: ReadonlyArray<Cell>, raw: boolean): Effect.Effect<void> => rows([cells], raw)

/**
 * A value by itself: as it is to a pipe or a file, and escaped on a terminal unless `raw`. Text ends with a line end;
 * bytes that are no text have nothing added.
 */
export const value = (content: Cell, raw: boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    const asIs = raw || process.stdout.isTTY !== true
    if (typeof content !== "string") return asIs ? bytes(content) : Console.log(marked(content))
    return Console.log(asIs ? content : printableLines(content))
  })

/** What is worth knowing beside the output, on standard error. */
export const problem = Messages.notice
