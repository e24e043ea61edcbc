/** Standard input, read within bounds. */
import { Effect, Stdio, Stream } from "effect"
import { fstatSync, readFileSync } from "node:fs"
import { errorText } from "../../ErrorText.ts"
import { textOf } from "./Encoding.ts"
import type { Failure } from "../output/Failure.ts"
import { failed, wrongUsage } from "../output/Failure.ts"

/** The innermost reason, which names what the system said. */
const reasonOf = (error: unknown): string => {
  let current = error
  while (current instanceof Error && current.cause instanceof Error) current = current.cause
  return errorText(current)
}

const unreadable = (error: unknown): Failure => failed(`standard input cannot be read: ${reasonOf(error)}`)

/** Linux's number of /dev/null: major 1, minor 3. */
const nullDevice = 0x103

/** How the system says that a descriptor was opened for reading and writing, in octal digits. */
const forBoth = /^flags:\s+0[0-7]*2$/m

/**
 * Why standard input holds nothing that was meant to be read, if so. Node reads a directory as if it were empty, and
 * opens /dev/null, for reading and writing, where a descriptor was closed.
 */
const nothingToRead = (): string | undefined => {
  try {
    const file = fstatSync(0)
    if (file.isDirectory()) return "it is a directory"
    return file.isCharacterDevice() && file.rdev === nullDevice &&
        forBoth.test(readFileSync("/proc/self/fdinfo/0", "utf8"))
      ? "it is closed"
      : undefined
  } catch {
    // The reader gets the reason.
    return undefined
  }
}

/** Standard input, when there is one. */
const input = Effect.gen(function*() {
  const reason = nothingToRead()
  if (reason !== undefined) return yield* failed(`standard input cannot be read: ${reason}`)
  const { stdin } = yield* Stdio.Stdio
  return stdin
})

/** All of standard input, up to `maxBytes`; `what` says what may not be larger. */
export const allOfInput = Effect.fnUntraced(function*(maxBytes: number, what: string) {
  const stdin = yield* input
  const chunks: Array<Uint8Array> = []
  let size = 0
  yield* stdin.pipe(
    Stream.takeWhile(() => size <= maxBytes),
    Stream.runForEach((chunk) =>
      Effect.sync(() => {
        chunks.push(chunk)
        size += chunk.byteLength
      })
    ),
    Effect.mapError(unreadable)
  )
  if (size > maxBytes) {
    return yield* wrongUsage(`standard input has more than ${maxBytes} bytes, the most ${what} may have`)
  }
  return Uint8Array.from(Buffer.concat(chunks))
})

export interface Line {
  /** From 1. */
  readonly number: number
  readonly text: string
}

const lineEnd = 10

/** Cuts bytes into lines, none of them longer than `maxBytes`. */
export class LineCutter {
  private readonly maxBytes: number
  private readonly begun: Array<Uint8Array> = []
  private begunBytes = 0
  private number = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** The lines that end in this piece. What comes after a failure is not looked at. */
  take(piece: Uint8Array): { readonly lines: ReadonlyArray<Line>; readonly failure: Failure | undefined } {
    const lines: Array<Line> = []
    for (let start = 0; start < piece.byteLength;) {
      const at = piece.indexOf(lineEnd, start)
      const end = at < 0 ? piece.byteLength : at
      this.begun.push(piece.subarray(start, end))
      this.begunBytes += end - start
      if (this.begunBytes > this.maxBytes) {
        return { lines, failure: wrongUsage(`line ${this.number + 1} has more than ${this.maxBytes} bytes`) }
      }
      start = end + 1
      if (at < 0) break
      const line = this.finish()
      if (!("text" in line)) return { lines, failure: line }
      lines.push(line)
    }
    return { lines, failure: undefined }
  }

  /** The last line, when it has no end. */
  end(): { readonly lines: ReadonlyArray<Line>; readonly failure: Failure | undefined } {
    if (this.begunBytes === 0) return { lines: [], failure: undefined }
    const line = this.finish()
    return "text" in line ? { lines: [line], failure: undefined } : { lines: [], failure: line }
  }

  private finish(): Line | Failure {
    this.number += 1
    const text = textOf(Buffer.concat(this.begun))
    this.begun.length = 0
    this.begunBytes = 0
    return text === undefined
      ? wrongUsage(
        `line ${this.number} is not UTF-8; rows hold such bytes as base64, as flaredb scan --json prints them`
      )
      : { number: this.number, text }
  }
}

/**
 * Hands the lines of standard input to `each`, as many at a time as one piece of it holds, and the bytes read so far.
 * Lines before one that is wrong are handed over before it fails.
 */
export const forEachLines = Effect.fnUntraced(function*(
  maxLineBytes: number,
  each: (lines: ReadonlyArray<Line>, bytesRead: number) => Effect.Effect<void, Failure>
) {
  const stdin = yield* input
  const cutter = new LineCutter(maxLineBytes)
  let bytesRead = 0
  const hand = Effect.fnUntraced(function*({ failure, lines }: ReturnType<LineCutter["take"]>) {
    if (lines.length > 0) yield* each(lines, bytesRead)
    if (failure !== undefined) return yield* failure
  })
  yield* Stream.runForEach(Stream.mapError(stdin, unreadable), (piece) =>
    Effect.suspend(() => {
      bytesRead += piece.byteLength
      return hand(cutter.take(piece))
    }))
  yield* Effect.suspend(() => hand(cutter.end()))
})
