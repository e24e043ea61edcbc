/** The commands on keys: put, get, delete. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { KeyValue } from "../../client/KeyValue.ts"
import { maxValueBytes } from "../../kv/model/Limits.ts"
import { counted } from "../output/Counted.ts"
import { clientFlags, withClient, withWriter } from "../input/ClientFlags.ts"
import { encodingFlags, encodingsOf, keyEncodingFlags, read, shown } from "../input/Encoding.ts"
import { entryFields, entryJson } from "../output/EntryJson.ts"
import type { Failure } from "../output/Failure.ts"
import { notFound, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { checkOutputFile, isStandardOutput, writeOutputFile } from "../output/OutputFile.ts"
import { deletePrefix } from "./PrefixDeletion.ts"
import { getRows, putRows } from "../output/Rows.ts"
import { allOfInput } from "../input/StandardInput.ts"
import { progressFlag } from "../output/Progress.ts"
import { makeSwitch } from "../input/Switch.ts"

const keyDescription = "1 to 4096 bytes"

export const staleFlag = makeSwitch("stale").pipe(
  Flag.withDescription("answer from what a node has applied, which may be old, instead of linearizably"),
  Flag.withDefault(false)
)

/** An argument that `--rows` takes the place of. */
const needed = (verb: string, name: string, value: Option.Option<string>): Effect.Effect<string, Failure> =>
  Option.match(value, {
    onNone: () => Effect.fail(wrongUsage(`Missing required argument: ${name}; see flaredb ${verb} --help`)),
    onSome: Effect.succeed
  })

export const put = Command.make("put", {
  ...clientFlags,
  ...encodingFlags,
  lease: Flag.Int("lease").pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription("the lease that the key is to live as long as; default none"),
    Flag.optional
  ),
  rows: makeSwitch("rows").pipe(
    Flag.withDescription("read JSON lines with key and value from standard input, as flaredb scan --json prints them"),
    Flag.withDefault(false)
  ),
  progress: progressFlag,
  key: Argument.String("key").pipe(Argument.withDescription(keyDescription), Argument.optional),
  value: Argument.String("value").pipe(
    Argument.withDescription("at most 1 MiB; - reads standard input, which may hold any bytes"),
    Argument.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    const encodings = encodingsOf(flags)
    const lease = Option.getOrUndefined(flags.lease)
    if (lease !== undefined && lease < 1) return yield* wrongUsage(`--lease ${lease} is no lease id`)
    if (flags.rows) {
      if (Option.isSome(flags.key)) {
        return yield* wrongUsage("--rows reads keys and values from standard input: name none")
      }
      const { json, progress } = flags
      return yield* withClient(
        flags,
        Effect.flatMap(KeyValue, (kv) => putRows(kv, { encodings, lease, json, progress }))
      )
    }
    const keyText = yield* needed("put", "key", flags.key)
    const valueText = yield* needed("put", "value", flags.value)
    const key = yield* read("key", keyText, encodings.key)
    const value = valueText === "-"
      ? yield* allOfInput(maxValueBytes, "a value")
      : yield* read("value", valueText, encodings.value)
    const result = yield* withWriter(flags, Effect.flatMap(KeyValue, (kv) => kv.put(key, value, { lease })))
    yield* flags.json
      ? Output.json({ key: keyText, ...result })
      : Output.line(`${result.created ? "created" : "updated"} at revision ${result.revision}`)
  })).pipe(
    Command.withDescription("Set a key. Returns once a majority of the nodes has it on disk."),
    Command.withExamples([
      { command: "flaredb put greeting \"hello, world\"", description: "Set a key" },
      { command: "flaredb put photo - < photo.jpg", description: "Set a key to what a file holds" },
      { command: "flaredb put --key-encoding hex 00ff hello", description: "Set a key that is no text" },
      {
        command: "flaredb scan --json | flaredb put --rows --endpoints 10.0.0.2:7001",
        description: "Copy all keys into another cluster"
      }
    ])
  )

export const get = Command.make(
  "get",
  {
    ...clientFlags,
    ...encodingFlags,
    stale: staleFlag,
    raw: Output.rawFlag,
    output: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withMetavar("FILE"),
      Flag.withDescription(
        "write the bytes of the value to a file, or with - to standard output, and nothing else; default as text"
      ),
      Flag.optional
    ),
    force: makeSwitch("force").pipe(
      Flag.withDescription("with --output: replace the file if it exists"),
      Flag.withDefault(false)
    ),
    rows: makeSwitch("rows").pipe(
      Flag.withDescription(
        "read JSON lines with a key from standard input, and print them as flaredb scan --json does"
      ),
      Flag.withDefault(false)
    ),
    key: Argument.String("key").pipe(Argument.withDescription(keyDescription), Argument.optional)
  },
  (flags) =>
    Effect.gen(function*() {
      const encodings = encodingsOf(flags)
      const consistency = flags.stale ? "stale" : "linearizable"
      const output = Option.getOrUndefined(flags.output)
      if (flags.rows) {
        if (Option.isSome(flags.key)) return yield* wrongUsage("--rows reads keys from standard input: name none")
        if (output !== undefined || flags.raw) {
          return yield* wrongUsage("--rows prints JSON; leave --output and --raw out")
        }
        return yield* withClient(flags, Effect.flatMap(KeyValue, (kv) => getRows(kv, { encodings, consistency })))
      }
      const keyText = yield* needed("get", "key", flags.key)
      const key = yield* read("key", keyText, encodings.key)
      const toFile = output !== undefined && !isStandardOutput(output)
      if (flags.force && !toFile) return yield* wrongUsage("--force goes with --output FILE")
      if (toFile) yield* checkOutputFile(output, flags.force)
      else if (output !== undefined && flags.json) {
        return yield* wrongUsage("--json and --output - both print to standard output; leave one of them out")
      }
      const found = yield* withClient(flags, Effect.flatMap(KeyValue, (kv) => kv.get(key, { consistency })))
      if (Option.isNone(found)) return yield* notFound(`the key ${JSON.stringify(keyText)} does not exist`)
      const entry = found.value
      if (toFile) {
        yield* writeOutputFile(output, entry.value, flags.force)
        if (!flags.json) return
        return yield* Output.json({
          key: keyText,
          output,
          bytes: entry.value.byteLength,
          ...entryFields(entry, encodings, true)
        })
      }
      if (output !== undefined) return yield* Output.bytes(entry.value)
      yield* flags.json
        ? Output.json(entryJson(entry, encodings))
        : Output.value(shown(entry.value, encodings.value), flags.raw)
    })
).pipe(
  Command.withDescription(
    "Print the value of a key; exit code 3 when it does not exist. Text gets a line end. Other bytes go to a pipe or " +
      "a file as they are; a terminal shows them as (base64) and their base64."
  ),
  Command.withExamples([
    { command: "flaredb get greeting", description: "Print a value" },
    { command: "flaredb get greeting --json", description: "Print it with its revisions" },
    { command: "flaredb get photo --output photo.jpg", description: "Save its bytes as they are" },
    {
      command: "flaredb scan users/ --json --keys-only | flaredb get --rows",
      description: "Many keys with their values"
    }
  ])
)

export const del = Command.make(
  "delete",
  {
    ...clientFlags,
    ...keyEncodingFlags,
    prefix: makeSwitch("prefix").pipe(
      Flag.withDescription("delete all keys that begin with the key, in one transaction where its limits allow it"),
      Flag.withDefault(false)
    ),
    all: makeSwitch("all").pipe(
      Flag.withDescription("with --prefix and an empty key: delete every key there is"),
      Flag.withDefault(false)
    ),
    key: Argument.String("key").pipe(
      Argument.withDescription(`${keyDescription}; with --prefix, a prefix of 0 to 4096`)
    )
  },
  (flags) =>
    Effect.gen(function*() {
      const key = yield* read(flags.prefix ? "prefix" : "key", flags.key, encodingsOf(flags).key)
      if (flags.all && (!flags.prefix || key.byteLength > 0)) {
        return yield* wrongUsage("--all goes with --prefix \"\", which is every key there is")
      }
      if (flags.prefix) {
        if (key.byteLength === 0 && !flags.all) {
          return yield* wrongUsage("the empty prefix is every key there is; add --all to delete them all")
        }
        const result = yield* withWriter(flags, Effect.flatMap(KeyValue, (kv) => deletePrefix(kv, key)))
        if (flags.json) return yield* Output.json({ prefix: flags.key, ...result })
        const { deleted, revision, transactions } = result
        return yield* Output.line(
          `${counted(deleted, "key")} deleted at revision ${revision}${
            transactions > 1 ? `, in ${transactions} transactions` : ""
          }`
        )
      }
      const result = yield* withWriter(flags, Effect.flatMap(KeyValue, (kv) => kv.delete(key)))
      if (!result.deleted) return yield* notFound(`the key ${JSON.stringify(flags.key)} does not exist`)
      yield* flags.json
        ? Output.json({ key: flags.key, ...result })
        : Output.line(`deleted at revision ${result.revision}`)
    })
).pipe(
  Command.withDescription(
    "Remove a key; exit code 3 when it does not exist. With --prefix, remove all keys that begin with it: more than " +
      "one transaction may delete (10000 keys, 32 MiB) go in several, which are not atomic together."
  ),
  Command.withExamples([
    { command: "flaredb delete greeting", description: "Remove a key" },
    { command: "flaredb delete --prefix users/", description: "Remove all keys under users/" }
  ])
)
