/** The command that holds a trace of a node against the core: does it still do what it did then? */
import type { PlatformError } from "effect"
import { Effect, FileSystem, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { unreadText } from "../../ErrorText.ts"
import type { Difference } from "../../node/trace/Replay.ts"
import { Replay } from "../../node/trace/Replay.ts"
import { named } from "../input/Named.ts"
import { failed, failureOf } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"

const text = ({ event, line, replayed, traced }: Difference): string =>
  [
    `line ${line}: ${event}`,
    ...traced.filter((output) => !replayed.includes(output)).map((output) => `  traced    ${output}`),
    ...replayed.filter((output) => !traced.includes(output)).map((output) => `  replayed  ${output}`)
  ].join("\n")

/** What the system says, where the error keeps it. */
const reasonOf = (error: PlatformError.PlatformError): string =>
  error.reason.cause instanceof Error ? unreadText(error.reason.cause) : error.message

/** Bytes of a line beyond which a file is no trace: half of what a string can hold. */
const maxLineBytes = 256 * 1024 * 1024

const lineFeed = 10

/** Fails at the first line that is too long, before it is made a string. */
const boundedLines = (file: string) => {
  let open = 0
  return (piece: Uint8Array) => {
    const end = piece.lastIndexOf(lineFeed)
    open = end < 0 ? open + piece.byteLength : piece.byteLength - end - 1
    return open > maxLineBytes
      ? Effect.fail(failed(`${file} holds no trace: it has a line of more than ${maxLineBytes} bytes`))
      : Effect.void
  }
}

export const replay = Command.make("replay", {
  file: Argument.String("file").pipe(Argument.withDescription("what flaredb start --trace wrote")),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object"), Flag.withDefault(false))
}, ({ file, json }) =>
  Effect.gen(function*() {
    yield* named("name of the trace", file)
    const files = yield* FileSystem.FileSystem
    const replayed = new Replay()
    let unread: string | undefined
    let difference: Difference | undefined
    const notRead = (error: PlatformError.PlatformError) =>
      failed(`the trace ${file} cannot be read: ${reasonOf(error)}`)
    const { type } = yield* Effect.mapError(files.stat(file), notRead)
    // A pipe that nothing comes from would hold a thread, for which a process waits at its end.
    if (type === "Directory") {
      return yield* failed(`the trace ${file} cannot be read: it is a folder; name a file in it`)
    }
    if (type === "FIFO") return yield* failed(`the trace ${file} cannot be read: it is a pipe; save it to a file`)
    yield* files.stream(file).pipe(
      Stream.mapError(notRead),
      Stream.tap(boundedLines(file)),
      Stream.decodeText(),
      Stream.splitLines,
      Stream.takeWhile(() => unread === undefined && difference === undefined),
      Stream.runForEach((line) =>
        Effect.sync(() => {
          const found = replayed.take(line)
          if (typeof found === "string") unread = found
          else difference = found
        })
      )
    )
    const { starts, steps } = replayed
    if (difference !== undefined) {
      yield* Output.lines(json ? JSON.stringify({ starts, steps, difference }) : text(difference))
      return yield* failed(`the core differs at line ${difference.line} of ${file}`)
    }
    if (unread !== undefined) return yield* failed(`${file}: ${unread}; ${steps} steps before it gave no difference`)
    if (starts === 0) return yield* failed(`${file} holds no trace`)
    yield* Output.lines(json ? JSON.stringify({ starts, steps }) : `${steps} steps of ${starts} starts: no difference`)
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Hold a trace, which flaredb start --trace wrote, against the Raft core of this version: exit code 1 and the " +
        "first event with other outputs when they differ."
    ),
    Command.withExamples([{ command: "flaredb replay node-1.trace", description: "Starts no node, changes nothing" }])
  )
