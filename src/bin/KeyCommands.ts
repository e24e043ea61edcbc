/** The commands on keys: put, get, delete, scan. */
import { Effect, Option, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { KeyValueEntry } from "../client/KeyValue.ts"
import { KeyValue } from "../client/KeyValue.ts"
import { defaultScanLimit, maxValueBytes } from "../kv/Limits.ts"
import { clientFlags, withClient, withWriter } from "./ClientFlags.ts"
import type { Encoding } from "./Encoding.ts"
import { encodingFlag, read, write } from "./Encoding.ts"
import { failed, notFound, wrongUsage } from "./Failure.ts"
import * as Output from "./Output.ts"
import { makeSwitch } from "./Switch.ts"

const keyArgument = Argument.String("key").pipe(Argument.withDescription("1 to 4096 bytes"))

const staleFlag = makeSwitch("stale").pipe(
  Flag.withDescription("answer from what a node has applied, which may be old, instead of linearizably"),
  Flag.withDefault(false)
)

/** All of standard input, up to the largest value. */
const standardInput = Effect.gen(function*() {
  const { stdin } = yield* Stdio.Stdio
  const chunks: Array<Uint8Array> = []
  let size = 0
  yield* stdin.pipe(
    Stream.takeWhile(() => size <= maxValueBytes),
    Stream.runForEach((chunk) =>
      Effect.sync(() => {
        chunks.push(chunk)
        size += chunk.byteLength
      })
    ),
    Effect.mapError((error) => failed(`standard input cannot be read: ${error.message}`))
  )
  if (size > maxValueBytes) {
    return yield* wrongUsage(`standard input has more than ${maxValueBytes} bytes, the most a value may have`)
  }
  return Uint8Array.from(Buffer.concat(chunks))
})

export const put = Command.make("put", {
  ...clientFlags,
  encoding: encodingFlag,
  lease: Flag.Int("lease").pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription("the lease that the key is to live as long as"),
    Flag.optional
  ),
  key: keyArgument,
  value: Argument.String("value").pipe(Argument.withDescription("at most 1 MiB; - reads standard input"))
}, (flags) =>
  Effect.gen(function*() {
    const key = yield* read("key", flags.key, flags.encoding)
    const value = flags.value === "-" ? yield* standardInput : yield* read("value", flags.value, flags.encoding)
    const lease = Option.getOrUndefined(flags.lease)
    const result = yield* withWriter(flags, Effect.flatMap(KeyValue, (kv) => kv.put(key, value, { lease })))
    yield* flags.json
      ? Output.json({ key: flags.key, ...result })
      : Output.line(`${result.created ? "created" : "updated"} at revision ${result.revision}`)
  })).pipe(
    Command.withDescription("Set a key. Returns once a majority of the nodes has it on disk."),
    Command.withExamples([
      { command: "flaredb put greeting \"hello, world\"", description: "Set a key" },
      { command: "flaredb put photo - < photo.jpg", description: "Set a key to what a file holds" }
    ])
  )

const entryJson = Effect.fnUntraced(function*(entry: KeyValueEntry, encoding: Encoding, keysOnly: boolean) {
  const key = yield* write("key", entry.key, encoding)
  const { createRevision, modRevision, version } = entry
  const value = keysOnly ? {} : { value: yield* write(`value of ${key}`, entry.value, encoding) }
  return { key, ...value, createRevision, modRevision, version }
})

export const get = Command.make(
  "get",
  { ...clientFlags, encoding: encodingFlag, stale: staleFlag, raw: Output.rawFlag, key: keyArgument },
  (flags) =>
    Effect.gen(function*() {
      const key = yield* read("key", flags.key, flags.encoding)
      const consistency = flags.stale ? "stale" : "linearizable"
      const found = yield* withClient(flags, Effect.flatMap(KeyValue, (kv) => kv.get(key, { consistency })))
      if (Option.isNone(found)) return yield* notFound(`the key ${JSON.stringify(flags.key)} does not exist`)
      yield* flags.json
        ? Effect.flatMap(entryJson(found.value, flags.encoding, false), Output.json)
        : Effect.flatMap(write("value", found.value.value, flags.encoding), (text) => Output.value(text, flags.raw))
    })
).pipe(
  Command.withDescription("Print the value of a key; exit code 3 when it does not exist."),
  Command.withExamples([
    { command: "flaredb get greeting", description: "Print a value" },
    { command: "flaredb get greeting --json", description: "Print it with its revisions" }
  ])
)

export const del = Command.make(
  "delete",
  { ...clientFlags, encoding: encodingFlag, key: keyArgument },
  (flags) =>
    Effect.gen(function*() {
      const key = yield* read("key", flags.key, flags.encoding)
      const result = yield* withWriter(flags, Effect.flatMap(KeyValue, (kv) => kv.delete(key)))
      if (!result.deleted) return yield* notFound(`the key ${JSON.stringify(flags.key)} does not exist`)
      yield* flags.json
        ? Output.json({ key: flags.key, ...result })
        : Output.line(`deleted at revision ${result.revision}`)
    })
).pipe(
  Command.withDescription("Remove a key; exit code 3 when it does not exist."),
  Command.withExamples([{ command: "flaredb delete greeting", description: "Remove a key" }])
)

export const scan = Command.make("scan", {
  ...clientFlags,
  encoding: encodingFlag,
  stale: staleFlag,
  limit: Flag.Int("limit").pipe(
    Flag.withDescription("most keys to print, 1 to 10000"),
    Flag.withDefault(defaultScanLimit)
  ),
  cursor: Flag.String("cursor").pipe(
    Flag.withMetavar("KEY"),
    Flag.withDescription("go on behind this key, the last of the page before"),
    Flag.optional
  ),
  reverse: makeSwitch("reverse").pipe(
    Flag.withDescription("from the last key to the first"),
    Flag.withDefault(false)
  ),
  raw: Output.rawFlag,
  keysOnly: makeSwitch("keys-only").pipe(Flag.withDescription("leave the values out"), Flag.withDefault(false)),
  prefix: Argument.String("prefix").pipe(
    Argument.withDescription("only keys that begin with it; all keys when it is left out"),
    Argument.withDefault("")
  )
}, (flags) =>
  Effect.gen(function*() {
    const { encoding, keysOnly, limit, reverse } = flags
    const prefix = yield* read("prefix", flags.prefix, encoding)
    const cursor = Option.isNone(flags.cursor) ? undefined : yield* read("cursor", flags.cursor.value, encoding)
    const consistency = flags.stale ? "stale" : "linearizable"
    const page = yield* withClient(
      flags,
      Effect.flatMap(KeyValue, (kv) => kv.scan(prefix, { limit, cursor, reverse, keysOnly, consistency }))
    )
    for (const entry of page.entries) {
      const row = yield* entryJson(entry, encoding, keysOnly)
      yield* flags.json ? Output.json(row) : Output.row(keysOnly ? [row.key] : [row.key, row.value ?? ""], flags.raw)
    }
    if (page.cursor !== undefined) {
      const next = yield* write("cursor", page.cursor, encoding)
      yield* Output.problem(`there is more; go on with --cursor ${JSON.stringify(next)}`)
    }
  })).pipe(
    Command.withDescription("Print the keys with a prefix in byte order, each with its value behind a tab."),
    Command.withExamples([
      { command: "flaredb scan users/", description: "All keys under users/" },
      { command: "flaredb scan --keys-only --limit 10", description: "The first ten keys" }
    ])
  )
