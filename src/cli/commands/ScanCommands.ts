/** The commands on many keys: scan, count. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { KeyValue } from "../../client/KeyValue.ts"
import { defaultScanLimit } from "../../kv/model/Limits.ts"
import { counted } from "../output/Counted.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { cursorFlags } from "../input/Cursor.ts"
import { encodingFlags, encodings, encodingsOf, jsonField, keyEncodingFlags, read, shown } from "../input/Encoding.ts"
import { entryJson } from "../output/EntryJson.ts"
import { checkLimit } from "../input/Limit.ts"
import type { Failure } from "../output/Failure.ts"
import { amended } from "../output/Failure.ts"
import { staleFlag } from "./KeyCommands.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"

const prefixArgument = Argument.String("prefix").pipe(
  Argument.withDescription("only keys that begin with it; all keys when it is left out"),
  Argument.withDefault("")
)

export const scan = Command.make("scan", {
  ...clientFlags,
  ...encodingFlags,
  stale: staleFlag,
  limit: Flag.Int("limit").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("most keys to print; all when left out"),
    Flag.optional
  ),
  cursor: Flag.String("cursor").pipe(
    Flag.withMetavar("KEY"),
    Flag.withDescription("go on behind this key, the last one that was printed before; default from the first"),
    Flag.optional
  ),
  cursorEncoding: Flag.Literals("cursor-encoding", encodings).pipe(
    Flag.withDescription("how --cursor is written; as keys are when left out"),
    Flag.optional
  ),
  reverse: makeSwitch("reverse").pipe(
    Flag.withDescription("from the last key to the first"),
    Flag.withDefault(false)
  ),
  raw: Output.rawFlag,
  keysOnly: makeSwitch("keys-only").pipe(Flag.withDescription("leave the values out"), Flag.withDefault(false)),
  prefix: prefixArgument
}, (flags) =>
  Effect.gen(function*() {
    const { json, keysOnly, raw, reverse } = flags
    const encodings = encodingsOf(flags)
    const limit = Option.getOrElse(flags.limit, () => Infinity)
    yield* checkLimit(limit)
    const prefix = yield* read("prefix", flags.prefix, encodings.key)
    let cursor = Option.isNone(flags.cursor)
      ? undefined
      : yield* read("cursor", flags.cursor.value, Option.getOrElse(flags.cursorEncoding, () => encodings.key))
    const consistency = flags.stale ? "stale" : "linearizable"
    let printed = 0
    /** What a script has to know when the rest does not come. */
    const cutOff = (error: unknown): Failure =>
      amended(error, (line) =>
        cursor === undefined || printed === 0
          ? line
          : `${line}; ${counted(printed, "key")} printed, go on with ${cursorFlags(cursor, encodings.key)}`)
    const pages = Effect.fnUntraced(function*(kv: KeyValue["Service"]) {
      do {
        const wanted = Math.min(defaultScanLimit, limit - printed)
        const page = yield* Effect.mapError(
          kv.scan(prefix, { limit: wanted, cursor, reverse, keysOnly, consistency }),
          cutOff
        )
        yield* json
          ? Output.jsonLines(page.entries.map((entry) => entryJson(entry, encodings, keysOnly)))
          : Output.rows(
            page.entries.map(({ key, value }) => [
              shown(key, encodings.key),
              ...(keysOnly ? [] : [shown(value, encodings.value)])
            ]),
            raw
          )
        printed += page.entries.length
        cursor = page.cursor
      } while (cursor !== undefined && printed < limit)
      return cursor
    })
    const next = yield* withClient(flags, Effect.flatMap(KeyValue, pages))
    if (next === undefined) return
    if (json) yield* Output.json({ more: true, ...jsonField("cursor", next, encodings.key) })
    yield* Output.problem(`there is more; go on with ${cursorFlags(next, encodings.key)}`)
  })).pipe(
    Command.withDescription(
      "Print all keys with a prefix in byte order, each with its value behind a tab. They are read a page at a time: " +
        "what is written meanwhile may be in it or not; a backup is one consistent snapshot. Bytes that are no text " +
        "are shown as (base64) and their base64; with --json a field such as valueEncoding says so, which is exact."
    ),
    Command.withExamples([
      { command: "flaredb scan users/", description: "All keys under users/" },
      { command: "flaredb scan --keys-only --limit 10", description: "The first ten keys" },
      { command: "flaredb scan --json > dump.jsonl", description: "All keys and values, for flaredb put --rows" }
    ])
  )

export const count = Command.make(
  "count",
  { ...clientFlags, ...keyEncodingFlags, stale: staleFlag, prefix: prefixArgument },
  (flags) =>
    Effect.gen(function*() {
      const prefix = yield* read("prefix", flags.prefix, encodingsOf(flags).key)
      const consistency = flags.stale ? "stale" : "linearizable"
      const keys = yield* withClient(flags, Effect.flatMap(KeyValue, (kv) => kv.count(prefix, { consistency })))
      yield* flags.json ? Output.json({ prefix: flags.prefix, count: keys }) : Output.line(String(keys))
    })
).pipe(
  Command.withDescription("Print how many keys begin with a prefix, all at one revision."),
  Command.withExamples([
    { command: "flaredb count", description: "How many keys there are" },
    { command: "flaredb count users/", description: "How many are under users/" }
  ])
)
