/** The commands on a folder of backups: take them on a schedule, and list them. */
import { Clock, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import type { Stats } from "node:fs"
import { statSync } from "node:fs"
import { join } from "node:path"
import { fileKind } from "../../FileKind.ts"
import { Backups, layer as backupsLayer } from "../../client/Backups.ts"
import { unreadText } from "../../ErrorText.ts"
import type { ScheduledBackup } from "../../storage/backup/BackupNames.ts"
import { backupsIn } from "../../storage/backup/BackupNames.ts"
import type { Keep } from "../../storage/backup/Retention.ts"
import { isOfTheFuture, newestTaken, nextDueMs, sleepUntil } from "../backups/Due.ts"
import { scheduleMetrics } from "../backups/ScheduleMetrics.ts"
import type { ClientFlags } from "../input/ClientFlags.ts"
import { clientFlags, clientOptions } from "../input/ClientFlags.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { durationFlag } from "../input/Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import { makeSwitch } from "../input/Switch.ts"
import type { Failure } from "../output/Failure.ts"
import { failed, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Messages from "../output/Messages.ts"
import * as Output from "../output/Output.ts"
import { writeOutputFile } from "../output/OutputFile.ts"
import { formatBytes } from "../output/Progress.ts"
import { table } from "../output/Table.ts"

const dirFlag = Flag.String("dir").pipe(
  Flag.withMetavar("DIR"),
  Flag.withDescription("the folder of the backups, which has to be there; required")
)

const keepFlag = (name: string, what: string, count: number) =>
  Flag.Int(name).pipe(Flag.withMetavar("N"), withDefault(`keep ${what}`, count))

/** Most backups of each kind that may be asked for. */
const maxKeep = 10_000

/** Bounds of the time between two backups. */
const minEveryMs = 60_000
const maxEveryMs = 366 * 86_400_000

/** After a failure it is tried again so soon at first, then twice as late each time, at most so late. */
const firstRetryMs = 10_000
const lastRetryMs = 900_000

interface RunFlags extends ClientFlags {
  readonly dir: string
  readonly every: number
  readonly metricsFile: Option.Option<string>
}

const checkFolder = (dir: string): Effect.Effect<void, Failure> => {
  if (dir === "") return Effect.fail(wrongUsage("--dir is empty; name a folder"))
  return Effect.flatMap(statsOf(dir), (found) => {
    if (found?.isDirectory() === true) return Effect.void
    const problem = found === undefined
      ? `does not exist; make it first: mkdir -m 700 ${dir}`
      : `is ${fileKind(found)}; name a folder`
    return Effect.fail(wrongUsage(`--dir ${dir} ${problem}`))
  })
}

/** Whether it is there is not known of what lies below a file, or in a folder that is closed to this user. */
const statsOf = (dir: string): Effect.Effect<Stats | undefined, Failure> =>
  Effect.try({
    try: () => statSync(dir, { throwIfNoEntry: false }),
    catch: (error) => failed(`--dir ${dir} cannot be looked at: ${unreadText(error)}`)
  })

const listed = (dir: string): Effect.Effect<ReadonlyArray<ScheduledBackup>, Failure> =>
  Effect.try({ try: () => backupsIn(dir), catch: (error) => failed(`${dir} cannot be read: ${unreadText(error)}`) })

/** Takes one backup, and says what came of it. */
const takeOne = Effect.fnUntraced(
  function*(flags: RunFlags, keep: Keep) {
    const [{ takeScheduled }, { checkOfBackup }] = yield* Effect.promise(() =>
      Promise.all([import("../../storage/backup/ScheduledBackup.ts"), import("../../machine/StateCheck.ts")])
    )
    const options = yield* clientOptions(flags)
    const startedMs = yield* Clock.currentTimeMillis
    const taken = yield* Effect.provide(
      Effect.flatMap(
        Backups,
        ({ download }) => takeScheduled({ folder: flags.dir, download, keep, check: checkOfBackup })
      ),
      backupsLayer(options)
    )
    const tookMs = (yield* Clock.currentTimeMillis) - startedMs
    const { header, name, removed, totals } = taken
    yield* flags.json
      ? Output.json({
        file: join(flags.dir, name),
        revision: header.revision,
        index: header.index,
        rows: totals.rows,
        bytes: totals.bytes,
        sha256: totals.digest,
        removed,
        tookMs
      })
      : Output.line(
        `${join(flags.dir, name)}: ${totals.rows} rows, ${formatBytes(totals.bytes)}, read back and whole, in ` +
          `${formatDuration(tookMs)}${removed.length === 0 ? "" : `; removed ${removed.join(", ")}`}`
      )
    return taken
  },
  Effect.scoped,
  Effect.mapError(failureOf)
)

type Taken = Effect.Success<ReturnType<typeof takeOne>>

/** The state of the schedule, written for the collector of metrics when a file is named. */
const makeReporter = (flags: RunFlags) => {
  let failures = 0
  let last: Taken | undefined
  return Effect.fnUntraced(function*(attemptMs: number, taken: Taken | undefined) {
    if (taken === undefined) failures += 1
    else last = taken
    if (Option.isNone(flags.metricsFile)) return
    const backups = yield* listed(flags.dir)
    const page = scheduleMetrics({
      clusterId: last?.header.clusterId ?? backups[0]?.clusterId,
      attemptMs,
      succeeded: taken !== undefined,
      newestMs: newestTaken(backups, yield* Clock.currentTimeMillis)?.createdMs,
      backups: backups.length,
      bytes: last?.totals.bytes,
      tookMs: (yield* Clock.currentTimeMillis) - attemptMs,
      revision: last?.header.revision ?? backups[0]?.revision,
      failures
    })
    // The collector runs as another user, and the page has no secret in it.
    yield* writeOutputFile(flags.metricsFile.value, Buffer.from(page), true, { mode: 0o644 })
  })
}

/** One backup with its report, also when it failed. A report that cannot be written makes no backup a failed one. */
const attempt = Effect.fnUntraced(function*(
  flags: RunFlags,
  keep: Keep,
  report: ReturnType<typeof makeReporter>
) {
  const startedMs = yield* Clock.currentTimeMillis
  const reported = (taken: Taken | undefined) =>
    Effect.catch(report(startedMs, taken), ({ line }) => Messages.error(failed(`no metrics of the schedule: ${line}`)))
  const taken = yield* Effect.tapError(takeOne(flags, keep), () => reported(undefined))
  yield* reported(taken)
  return taken
})

/** Takes backups until it is stopped. The newest one in the folder says when the first is due, also after a restart. */
const forever = Effect.fnUntraced(function*(
  flags: RunFlags,
  keep: Keep,
  report: ReturnType<typeof makeReporter>
) {
  const clock = yield* Clock.Clock
  let retryMs = firstRetryMs
  let takenMs: number | undefined
  for (;;) {
    const nowMs = clock.currentTimeMillisUnsafe()
    yield* sleepUntil(clock, nextDueMs(takenMs, yield* listed(flags.dir), { everyMs: flags.every, nowMs }))
    const beginMs = clock.currentTimeMillisUnsafe()
    const failure = yield* Effect.match(attempt(flags, keep, report), {
      onSuccess: () => undefined,
      onFailure: (failed) => failed
    })
    if (failure === undefined) {
      retryMs = firstRetryMs
      takenMs = beginMs
      continue
    }
    yield* Messages.error(failed(`${failure.line}; the backup is tried again in ${formatDuration(retryMs)}`))
    yield* sleepUntil(clock, clock.currentTimeMillisUnsafe() + Math.min(retryMs, flags.every))
    retryMs = Math.min(2 * retryMs, lastRetryMs)
  }
})

export const run = Command.make("run", {
  ...clientFlags,
  dir: dirFlag,
  every: durationFlag("every").pipe(withDefault("time between two backups, 1m to 366d", 86_400_000, "1d")),
  once: makeSwitch("once").pipe(
    Flag.withDescription("take one now and end, for cron or a systemd timer; default it goes on until it is stopped"),
    Flag.withDefault(false)
  ),
  keepLast: keepFlag("keep-last", "so many of the newest", 3),
  keepHourly: keepFlag("keep-hourly", "the newest of so many hours", 0),
  keepDaily: keepFlag("keep-daily", "the newest of so many days", 7),
  keepWeekly: keepFlag("keep-weekly", "the newest of so many weeks", 4),
  keepMonthly: keepFlag("keep-monthly", "the newest of so many months", 0),
  metricsFile: Flag.String("metrics-file").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("write metrics of the schedule here, for node_exporter's textfile collector; default none"),
    Flag.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    yield* checkFolder(flags.dir)
    if (flags.every < minEveryMs || flags.every > maxEveryMs) {
      return yield* wrongUsage(`--every ${formatDuration(flags.every)} is not from 1m to 366d`)
    }
    const keep: Keep = {
      last: flags.keepLast,
      hourly: flags.keepHourly,
      daily: flags.keepDaily,
      weekly: flags.keepWeekly,
      monthly: flags.keepMonthly
    }
    for (const [name, count] of Object.entries(keep)) {
      if (count < 0 || count > maxKeep) {
        return yield* wrongUsage(`--keep-${name} ${count} is not from 0 to ${maxKeep}`)
      }
    }
    if (Option.isSome(flags.metricsFile) && flags.metricsFile.value === "") {
      return yield* wrongUsage("--metrics-file is empty; name a file that ends in .prom")
    }
    const { lockFolder } = yield* Effect.promise(() => import("../../storage/backup/FolderLock.ts"))
    yield* lockFolder(flags.dir)
    const report = makeReporter(flags)
    if (flags.once) yield* attempt(flags, keep, report)
    else yield* forever(flags, keep, report)
  }).pipe(Effect.scoped, Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Take backups into a folder and remove old ones: each is read back and checked before an older one goes, and " +
        "the newest is always kept. One process at a time does so in a folder."
    ),
    Command.withExamples([
      {
        command: "flaredb backups run --dir /srv/backups --every 1h --keep-hourly 24",
        description: "Until it is stopped, as a service"
      },
      { command: "flaredb backups run --dir /srv/backups --once", description: "One, from cron" }
    ])
  )

const sizeOf = (path: string): number => {
  try {
    return statSync(path).size
  } catch {
    // Removed meanwhile, or in a folder whose files this user may not look at.
    return 0
  }
}

export const list = Command.make("list", {
  dir: dirFlag,
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per line"), Flag.withDefault(false))
}, (flags) =>
  Effect.gen(function*() {
    yield* checkFolder(flags.dir)
    const nowMs = yield* Clock.currentTimeMillis
    const backups = (yield* listed(flags.dir)).map(({ clusterId, createdMs, name, revision }) => ({
      name,
      clusterId,
      revision,
      created: new Date(createdMs).toISOString(),
      bytes: sizeOf(join(flags.dir, name)),
      // Below 0 only for one of the future, which is to be seen.
      ageMs: isOfTheFuture(createdMs, nowMs) ? nowMs - createdMs : Math.max(0, nowMs - createdMs)
    }))
    if (flags.json) return yield* Output.jsonLines(backups)
    yield* Output.lines(table([
      ["BACKUP", "CLUSTER", "AGE", "REVISION", "SIZE"],
      ...backups.map(({ ageMs, bytes, clusterId, name, revision }) => [
        name,
        clusterId,
        ageMs < 0 ? "yet to come" : formatDuration(ageMs),
        String(revision),
        formatBytes(bytes)
      ])
    ]))
  })).pipe(
    Command.withDescription("The backups that a schedule has made in a folder, the newest first."),
    Command.withExamples([{ command: "flaredb backups list --dir /srv/backups", description: "What there is" }])
  )
