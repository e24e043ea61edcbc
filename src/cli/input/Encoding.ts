/** How keys and values, which are bytes, are written on a command line and in its output. */
import { Effect, Option } from "effect"
import { Flag } from "effect/cli"
import type { Encoding } from "../../client/Encoding.ts"
import { digitsOf, encodings, readBytes, textOf } from "../../client/Encoding.ts"
import { withDefault } from "./DefaultValue.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"

export type { Encoding, Written } from "../../client/Encoding.ts"
export { encodings, jsonField, textOf, written } from "../../client/Encoding.ts"

/** The encodings of one command. */
export interface Encodings {
  readonly key: Encoding
  readonly value: Encoding
}

/** For commands that take and print keys alone. */
export const keyEncodingFlags = {
  encoding: Flag.Literals("encoding", encodings).pipe(
    withDefault<Encoding>("how keys and values are written, in arguments and in the output", "text")
  ),
  keyEncoding: Flag.Literals("key-encoding", encodings).pipe(
    Flag.withDescription("how keys are written; as --encoding says when left out"),
    Flag.optional
  )
}

export const encodingFlags = {
  ...keyEncodingFlags,
  valueEncoding: Flag.Literals("value-encoding", encodings).pipe(
    Flag.withDescription("how values are written; as --encoding says when left out"),
    Flag.optional
  )
}

export interface EncodingFlags {
  readonly encoding: Encoding
  readonly keyEncoding: Option.Option<Encoding>
  readonly valueEncoding?: Option.Option<Encoding>
}

/** What the flags come to: the specific one wins. */
export const encodingsOf = ({ encoding, keyEncoding, valueEncoding = Option.none() }: EncodingFlags): Encodings => ({
  key: Option.getOrElse(keyEncoding, () => encoding),
  value: Option.getOrElse(valueEncoding, () => encoding)
})

/** The bytes an argument stands for. Whatever would not come out as it was given is refused. */
export const read = (what: string, text: string, encoding: Encoding): Effect.Effect<Uint8Array, Failure> => {
  const bytes = readBytes(text, encoding)
  return typeof bytes === "string" ? Effect.fail(wrongUsage(`the ${what} ${bytes}`)) : Effect.succeed(bytes)
}

/** Bytes for text output: in their encoding, or as they are when that is text and they are none. */
export const shown = (bytes: Uint8Array, encoding: Encoding): string | Uint8Array =>
  encoding === "text" ? textOf(bytes) ?? bytes : digitsOf(bytes, encoding)
