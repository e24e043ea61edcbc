/**
 * What a command says beside its output, on standard error: a line for people, or with `--json` an object on a line for
 * programs. The form is part of the command line's interface: `docs/command-line.md` has it.
 */
import type { Effect } from "effect"
import { Console } from "effect"
import { printableJson, printableLines } from "../../Printable.ts"
import type { Failure } from "./Failure.ts"

/**
 * Whether arguments ask for JSON. Read from the words themselves, because a command line that cannot be parsed is an
 * error too. What comes after `--` belongs to another program.
 */
export const wantsJson = (args: ReadonlyArray<string>): boolean => {
  let wanted = false
  for (const word of args) {
    if (word === "--") return wanted
    const value = /^--json(?:=(.*))?$/.exec(word)
    if (value !== null) wanted = value[1] === undefined || /^(?:true|yes|on|1|y)$/i.test(value[1])
    if (word === "--no-json") wanted = false
  }
  return wanted
}

const isJson = (): boolean => wantsJson(process.argv.slice(2))

/** The text of an error, without a line break behind it. */
export const errorText = ({ exitCode, fields, line, tag }: Failure, asJson = isJson()): string =>
  asJson
    ? printableJson({ error: { ...fields, tag, message: line, exitCode } })
    : printableLines(`flaredb: ${line}`)

/** The text of what is worth knowing and no error. */
export const noticeText = (text: string, asJson = isJson()): string =>
  asJson ? printableJson({ notice: { message: text.replace(/^flaredb: /, "") } }) : printableLines(text)

export const error = (failure: Failure): Effect.Effect<void> => Console.error(errorText(failure))

/** A result that standard output has no place for. */
export const result = (text: string): Effect.Effect<void> => Console.error(printableLines(text))

export const notice = (text: string): Effect.Effect<void> => Console.error(noticeText(text))
