/** How keys and values, which are bytes, are written on a command line and in its output. */
import { Effect } from "effect"
import { Flag } from "effect/cli"
import type { Failure } from "./Failure.ts"
import { failed, wrongUsage } from "./Failure.ts"

export const encodings = ["text", "hex", "base64"] as const
export type Encoding = (typeof encodings)[number]

export const encodingFlag = Flag.Literals("encoding", encodings).pipe(
  Flag.withDescription("how keys and values are written, in arguments and in the output"),
  Flag.withDefault("text" as const)
)

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The bytes an argument stands for. */
export const read = (what: string, text: string, encoding: Encoding): Effect.Effect<Uint8Array, Failure> => {
  switch (encoding) {
    case "text":
      return Effect.succeed(new TextEncoder().encode(text))
    case "hex":
      return /^(?:[0-9A-Fa-f]{2})*$/.test(text)
        ? Effect.succeed(Uint8Array.from(Buffer.from(text, "hex")))
        : Effect.fail(wrongUsage(`the ${what} ${JSON.stringify(text)} is not an even number of hex digits`))
    case "base64":
      return /^[0-9A-Za-z+/_-]*={0,2}$/.test(text)
        ? Effect.succeed(Uint8Array.from(Buffer.from(text, "base64")))
        : Effect.fail(wrongUsage(`the ${what} ${JSON.stringify(text)} is not base64`))
  }
}

/** Bytes as they are printed. Bytes that are no text are never printed as if they were. */
export const write = (what: string, bytes: Uint8Array, encoding: Encoding): Effect.Effect<string, Failure> => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (encoding !== "text") return Effect.succeed(buffer.toString(encoding))
  return Effect.try({
    try: () => strictText.decode(bytes),
    catch: () => failed(`the ${what} is not UTF-8 text; repeat the command with --encoding base64 or hex`)
  })
}
