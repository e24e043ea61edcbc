/** How keys and values, which are bytes, are written on a command line and in its output. */
import { Effect, Option } from "effect"
import { Flag } from "effect/cli"
import { withDefault } from "./DefaultValue.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"

export const encodings = ["text", "hex", "base64"] as const
export type Encoding = (typeof encodings)[number]

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

/** Characters of an argument that a message repeats. */
const quotedLength = 60

const quoted = (text: string): string =>
  JSON.stringify(text.length > quotedLength ? `${text.slice(0, quotedLength)}…` : text)

/**
 * Bytes of base64, of either alphabet, with or without padding; `undefined` when another text is as long and as good.
 */
const bytesOfBase64 = (text: string): Uint8Array | undefined => {
  const [, digits = "", padding = ""] = /^([0-9A-Za-z+/_-]*)(={0,2})$/.exec(text) ?? [undefined, "!"]
  if (padding !== "" && text.length % 4 !== 0) return undefined
  const bytes = Buffer.from(digits, "base64")
  const canonical = digits.replaceAll("-", "+").replaceAll("_", "/")
  return bytes.toString("base64").replace(/=+$/, "") === canonical ? Uint8Array.from(bytes) : undefined
}

/** The bytes an argument stands for. Whatever would not come out as it was given is refused. */
export const read = (what: string, text: string, encoding: Encoding): Effect.Effect<Uint8Array, Failure> => {
  switch (encoding) {
    case "text":
      return text.isWellFormed()
        ? Effect.succeed(new TextEncoder().encode(text))
        : Effect.fail(wrongUsage(`the ${what} ${quoted(text)} has half of a surrogate pair, which is no text`))
    case "hex":
      return /^(?:[0-9A-Fa-f]{2})*$/.test(text)
        ? Effect.succeed(Uint8Array.from(Buffer.from(text, "hex")))
        : Effect.fail(wrongUsage(`the ${what} ${quoted(text)} is not an even number of hex digits`))
    case "base64": {
      const bytes = bytesOfBase64(text)
      return bytes === undefined
        ? Effect.fail(wrongUsage(`the ${what} ${quoted(text)} is not base64`))
        : Effect.succeed(bytes)
    }
  }
}

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The text of bytes; `undefined` when they are no UTF-8. */
export const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return strictText.decode(bytes)
  } catch {
    return undefined
  }
}

const digitsOf = (bytes: Uint8Array, encoding: "hex" | "base64"): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(encoding)

/** Bytes for text output: in their encoding, or as they are when that is text and they are none. */
export const shown = (bytes: Uint8Array, encoding: Encoding): string | Uint8Array =>
  encoding === "text" ? textOf(bytes) ?? bytes : digitsOf(bytes, encoding)

/** Bytes and the encoding that they are written in, which is base64 where text was asked for and they are none. */
export interface Written {
  readonly text: string
  readonly encoding: Encoding
}

export const written = (bytes: Uint8Array, encoding: Encoding): Written => {
  if (encoding !== "text") return { text: digitsOf(bytes, encoding), encoding }
  const text = textOf(bytes)
  return text === undefined ? { text: digitsOf(bytes, "base64"), encoding: "base64" } : { text, encoding }
}

/** The field of a JSON object, and beside it `NAMEEncoding` when the encoding is not the one that was asked for. */
export const jsonField = (name: string, bytes: Uint8Array, asked: Encoding): Readonly<Record<string, string>> => {
  const { encoding, text } = written(bytes, asked)
  return encoding === asked ? { [name]: text } : { [name]: text, [`${name}Encoding`]: encoding }
}
