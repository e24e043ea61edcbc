/** The commands on what happened to keys: watch, compact. */
import { Effect, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { Position } from "../../client/Position.ts"
import type { Changes, WatchEvent, WatchNotice } from "../../client/WatchNotice.ts"
import { Watch } from "../../client/Watch.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { durationFlag } from "../input/Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import type { Encodings } from "../input/Encoding.ts"
import { encodingFlags, encodingsOf, jsonField, read, shown } from "../input/Encoding.ts"
import { entryFields } from "../output/EntryJson.ts"
import { checkLimit } from "../input/Limit.ts"
import { failed, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"

/** How long to look for a node that can be watched, in milliseconds. */
const beginTimeoutMs = 5_000

/** A day: longer is "until it is stopped". */
const maxTimeoutMs = 86_400_000

/** The cells of an event: revision, what happened, key, value, and what was replaced. */
const cells = (revision: number, event: WatchEvent, encodings: Encodings): ReadonlyArray<Output.Cell> => [
  String(revision),
  event._tag === "Put" ? "put" : "delete",
  shown(event.key, encodings.key),
  ...(event._tag === "Put" ? [shown(event.entry.value, encodings.value)] : []),
  ...(event.previous === undefined ? [] : [shown(event.previous.value, encodings.value)])
]

const jsonEvent = ({ logTimeMs, position, revision }: Changes, event: WatchEvent, encodings: Encodings) => ({
  revision,
  position: position.encode(),
  at: new Date(logTimeMs).toISOString(),
  type: event._tag === "Put" ? "put" : "delete",
  ...jsonField("key", event.key, encodings.key),
  ...(event._tag === "Put" ? entryFields(event.entry, encodings) : {}),
  ...(event.previous === undefined ? {} : { previous: entryFields(event.previous, encodings) })
})

export const watch = Command.make("watch", {
  ...clientFlags,
  ...encodingFlags,
  raw: Output.rawFlag,
  timeout: durationFlag("timeout").pipe(
    Flag.withDescription("end after so long, at most 1d; default never"),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("end after so many events, default never; with --timeout, fail when there were fewer by then"),
    Flag.optional
  ),
  fromRevision: Flag.Int("from-revision").pipe(
    Flag.withMetavar("REVISION"),
    Flag.withDescription("begin with this revision; default now"),
    Flag.optional
  ),
  from: Flag.String("from").pipe(
    Flag.withMetavar("POSITION"),
    Flag.withDescription(
      "go on behind a position that --json printed, default now; fails when the cluster is not the same one any more"
    ),
    Flag.optional
  ),
  key: makeSwitch("key").pipe(
    Flag.withDescription("watch the key that is named, not all that begin with it"),
    Flag.withDefault(false)
  ),
  previous: makeSwitch("previous").pipe(
    Flag.withDescription("print what was replaced as well, behind the value"),
    Flag.withDefault(false)
  ),
  prefix: Argument.String("prefix").pipe(
    Argument.withDescription("only keys that begin with it; all keys when it is left out"),
    Argument.withDefault("")
  )
}, (flags) =>
  Effect.gen(function*() {
    const { previous } = flags
    const encodings = encodingsOf(flags)
    const limit = Option.getOrUndefined(flags.limit)
    const timeoutMs = Option.getOrUndefined(flags.timeout)
    yield* checkLimit(limit)
    if (timeoutMs !== undefined && (timeoutMs < 1 || timeoutMs > maxTimeoutMs)) {
      return yield* wrongUsage(
        `--timeout ${formatDuration(timeoutMs)} is not from 1ms to ${formatDuration(maxTimeoutMs)}`
      )
    }
    const after = Option.isSome(flags.from)
      ? yield* Effect.mapError(Position.decode(flags.from.value), failureOf)
      : undefined
    if (after !== undefined && Option.isSome(flags.fromRevision)) {
      return yield* wrongUsage("--from and --from-revision are both given; one of them says where to begin")
    }
    const name = yield* read(flags.key ? "key" : "prefix", flags.prefix, encodings.key)
    let events = 0
    let hasBegun = false
    const print = Effect.fnUntraced(function*(changes: WatchNotice) {
      hasBegun = true
      if (changes._tag !== "Changes") return
      const told = changes.events.slice(0, limit === undefined ? undefined : limit - events)
      yield* flags.json
        ? Output.jsonLines(told.map((event) => jsonEvent(changes, event, encodings)))
        : Output.rows(told.map((event) => cells(changes.revision, event, encodings)), flags.raw)
      events += told.length
    })
    const watching = Effect.flatMap(Watch, ({ notices }) =>
      notices(flags.key ? { key: name } : { prefix: name }, {
        fromRevision: Option.getOrUndefined(flags.fromRevision),
        after,
        previous
      }).pipe(
        Stream.mapEffect(print),
        Stream.takeUntil(() => limit !== undefined && events >= limit),
        Stream.runDrain,
        Effect.mapError(failureOf)
      ))
    // Less than the whole time: that no node could be watched is not the same as that nothing happened.
    const client = { ...flags, timeout: Math.min(beginTimeoutMs, Math.ceil((timeoutMs ?? beginTimeoutMs) * 0.8)) }
    yield* withClient(
      client,
      timeoutMs === undefined ? watching : Effect.timeoutOption(watching, timeoutMs)
    )
    if (!hasBegun) {
      return yield* failed(`nothing was watched within ${formatDuration(timeoutMs ?? 0)}: no node answered in time`)
    }
    if (limit !== undefined && events < limit) {
      return yield* failed(`there were ${events} of ${limit} events within ${formatDuration(timeoutMs ?? 0)}`)
    }
  })).pipe(
    Command.withDescription(
      "Print every change of the keys with a prefix as it happens, each once and in order. Bytes that are no text " +
        "are shown as (base64) and their base64; with --json a field such as valueEncoding says so, which is exact."
    ),
    Command.withExamples([
      { command: "flaredb watch users/", description: "Until Ctrl-C: revision, put or delete, key, value" },
      {
        command: "flaredb watch users/ --from-revision 17 --json",
        description: "Everything since revision 17, as JSON"
      },
      { command: "flaredb watch job/7 --key --limit 1 --timeout 5s", description: "Wait for a change of one key" }
    ])
  )

/** The first revision that history has, when that is not this one or one before it. */
const historyAfter = (revision: number) =>
  Watch.use(({ notices }) =>
    // Any key will do: the watch ends as soon as it has begun.
    notices({ key: Uint8Array.of(0) }, { fromRevision: revision }).pipe(
      Stream.runHead,
      Effect.as(undefined),
      Effect.catch((error) => Effect.succeed(error._tag === "Compacted" ? error.oldest : undefined))
    )
  )

export const compact = Command.make("compact", {
  ...clientFlags,
  revision: Argument.Int("revision").pipe(
    Argument.withDescription("the oldest revision to keep; the last one there is when left out"),
    Argument.optional
  )
}, (flags) =>
  withClient(
    flags,
    Effect.gen(function*() {
      const kept = Option.isSome(flags.revision)
        ? flags.revision.value
        : (yield* KeyValue.use((kv) => kv.scan("", { limit: 1, keysOnly: true }))).revision
      const begin = kept < 0 ? undefined : yield* historyAfter(Math.max(1, kept - 1))
      // No revision comes before the first one.
      const oldest = begin ?? (kept === 0 || kept === 1 ? 1 : undefined)
      if (oldest !== undefined) {
        return yield* flags.json
          ? Output.json({ revision: oldest, already: true })
          : Output.line(`history before revision ${oldest} was gone already; nothing changed`)
      }
      const revision = yield* (yield* ClusterAdmin).compact(kept)
      yield* flags.json ? Output.json({ revision }) : Output.line(`history before revision ${revision} is gone`)
    })
  )).pipe(
    Command.withDescription(
      "Forget what history, which watches read, has before a revision. No key changes. Nodes do it by themselves at " +
        "their limits."
    ),
    Command.withExamples([{
      command: "flaredb compact 1000",
      description: "Watches can begin at revision 1000, and at none before it"
    }])
  )
