/** `flaredb actors migrate`: from Effect's SQL tables into FlareDB. */
import { Effect, Layer, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { counted } from "../output/Counted.ts"
import { actorsFlags } from "../input/ActorsFlags.ts"
import { withClient } from "../input/ClientFlags.ts"
import { fromFlag, fromOf, lookFlags, oneLook } from "../input/CopyFlags.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { exitWith, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Messages from "../output/Messages.ts"
import * as Output from "../output/Output.ts"
import { formatBytes, make as makeProgress, progressFlag } from "../output/Progress.ts"
import { makeSwitch } from "../input/Switch.ts"
import { table } from "../output/Table.ts"

const tableFlag = (name: string, description: string, usual: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription(`${description}; default ${usual}, if there is one`),
    Flag.optional
  )

const defaults = { tablePrefix: "cluster", queueTable: "effect_queue", keyValueTable: "effect_key_value_store" }

export const migrate = Command.make("migrate", {
  ...actorsFlags,
  from: fromFlag(
    "URL",
    "the PostgreSQL database: postgres://USER:PASSWORD@HOST:PORT/DATABASE. Every user of this machine sees what is " +
      "on a command line: the variable keeps it private",
    "DATABASE_URL"
  ),
  tablePrefix: tableFlag(
    "table-prefix",
    "what the names of the cluster's tables begin with, as the SQL storages' option prefix",
    defaults.tablePrefix
  ),
  queueTable: tableFlag("queue-table", "the table of persisted queues", defaults.queueTable),
  keyValueTable: tableFlag("key-value-table", "the table of a KeyValueStore", defaults.keyValueTable),
  keyValueStore: Flag.String("key-value-store").pipe(
    Flag.withMetavar("NAME"),
    withDefault("the KeyValueStore in FlareDB that its rows come to", "default")
  ),
  keepProcessed: makeSwitch("keep-processed").pipe(
    Flag.withDescription(
      "keep the messages that were processed for good, as SQL does; default as long as the runners keep theirs, from " +
        "now on"
    ),
    Flag.withDefault(false)
  ),
  runnersStopped: makeSwitch("runners-stopped").pipe(
    Flag.withDescription("all runners, clients and workers are stopped, whatever the tables say"),
    Flag.withDefault(false)
  ),
  ...lookFlags(
    "only count what there is to copy",
    "verify",
    "copy nothing: read both sides and compare every row, before runners are started"
  ),
  progress: progressFlag
}, (flags) =>
  Effect.gen(function*() {
    const { cluster, keepProcessed, keyValueStore, prefix, runnersStopped } = flags
    yield* oneLook(flags, "verify")
    const from = yield* fromOf(flags.from, "which database is to be copied?")
    if (cluster === "") return yield* wrongUsage("--cluster is empty; leave it out for the name default")
    const names = {
      tablePrefix: Option.getOrElse(flags.tablePrefix, () => defaults.tablePrefix),
      queueTable: Option.getOrElse(flags.queueTable, () => defaults.queueTable),
      keyValueTable: Option.getOrElse(flags.keyValueTable, () => defaults.keyValueTable)
    }
    // Effect's cluster is loaded here, because the other commands do not need it.
    const { layerServices, layerSource, Migration, sourceOf } = yield* Effect.promise(() =>
      import("../../actors/migration/index.ts")
    )
    const source = yield* sourceOf(from)
    const migration = Migration.make({
      ...names,
      prefix,
      cluster,
      keyValueStore,
      keepProcessed,
      runnersStopped,
      required: [
        ...Option.isSome(flags.tablePrefix) ? [`${names.tablePrefix}_messages`] : [],
        ...Option.isSome(flags.queueTable) ? [names.queueTable] : [],
        ...Option.isSome(flags.keyValueTable) ? [names.keyValueTable] : []
      ]
    })
    const command = Effect.flatMap(migration, (migration) =>
      Effect.gen(function*() {
        if (flags.dryRun) return yield* showCounts(yield* migration.counts, flags.json)
        const progress = yield* makeProgress(flags.verify ? "verify" : "migrate", flags)
        if (!flags.verify) {
          const copied = yield* Effect.ensuring(migration.copy(progress.report), progress.end)
          return yield* flags.json
            ? Output.jsonLines(copied)
            : Output.lines(table([
              ["TABLE", "KIND", "ROWS", "COPIED NOW"],
              ...copied.map((row) => [row.table, row.kind, String(row.rows), String(row.copied)])
            ]))
        }
        const compared = yield* migration.verify(
          progress.report,
          ({ id, problem, table }) => Effect.andThen(progress.end, Messages.notice(`${table}: row ${id}: ${problem}`))
        ).pipe(Effect.ensuring(progress.end))
        yield* flags.json
          ? Output.jsonLines(compared)
          : Output.lines(table([
            ["TABLE", "KIND", "ROWS", "DIFFERENCES"],
            ...compared.map((row) => [row.table, row.kind, String(row.rows), String(row.differences)])
          ]))
        const differences = compared.reduce((sum, row) => sum + row.differences, 0)
        if (differences > 0) {
          return yield* exitWith(
            1,
            `${counted(differences, "difference")} between ${source.name} and FlareDB; ` +
              "runners that were started meanwhile make some, too"
          )
        }
      }))
    yield* withClient(
      flags,
      Effect.scoped(
        Effect.provide(command, Layer.merge(layerSource(source), layerServices(prefix)))
      )
    )
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Copy what Effect's services keep in PostgreSQL into FlareDB: messages and replies, queues, persisted rows, " +
        "key values. The database is only read. Started again, it goes on where it was."
    ),
    Command.withExamples([
      {
        command: "flaredb actors migrate --from postgres://app@db.internal/app --dry-run",
        description: "What there is to copy"
      },
      { command: "flaredb actors migrate --from postgres://app@db.internal/app", description: "Copy it" },
      {
        command: "flaredb actors migrate --from postgres://app@db.internal/app --verify",
        description: "Compare every row"
      }
    ])
  )

interface TableCounts {
  readonly kind: string
  readonly table: string
  readonly counts: Readonly<Record<string, number>>
  readonly bytes: number
}

const showCounts = (found: ReadonlyArray<TableCounts>, json: boolean): Effect.Effect<void> =>
  json
    ? Output.jsonLines(found)
    : Output.lines(table([
      ["TABLE", "KIND", "ROWS", "WHAT", "BYTES"],
      ...found.flatMap(({ bytes, counts, kind, table }) => {
        const rows = Object.entries(counts)
        return rows.length === 0
          ? [[table, kind, "0", "", "0 B"]]
          : rows.map(([what, count], i) => [table, kind, String(count), what, i === 0 ? formatBytes(bytes) : ""])
      })
    ]))
