/** The command that makes the state at a point in time between two backups. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { makeSwitch } from "../input/Switch.ts"
import { parseTime } from "../input/Time.ts"
import { counted } from "../output/Counted.ts"
import { failed, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"

export const at = Command.make("at", {
  revision: Flag.Int("revision").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("the revision to go back to; default none, and --time is required"),
    Flag.optional
  ),
  time: Flag.String("time").pipe(
    Flag.withMetavar("TIME"),
    Flag.withDescription(
      "the last revision at this time of the cluster's clock, as 2026-11-29T10:00:00Z; default none, and --revision " +
        "is required"
    ),
    Flag.optional
  ),
  output: Flag.String("output").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("the backup to be made; required")
  ),
  force: makeSwitch("force").pipe(
    Flag.withDescription("replace the file if it exists, once the new one is whole; default it is kept"),
    Flag.withDefault(false)
  ),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per line"), Flag.withDefault(false)),
  base: Argument.String("base").pipe(Argument.withDescription("the last backup before that point in time")),
  later: Argument.String("later").pipe(
    Argument.withDescription("a backup after it, taken now for example, for its history")
  )
}, (flags) =>
  Effect.gen(function*() {
    const { base, force, json, later, output, revision, time } = flags
    if ([base, later, output].includes("")) return yield* wrongUsage("the name of a file is empty")
    if (Option.isSome(revision) === Option.isSome(time)) {
      return yield* wrongUsage("give either --revision or --time, and not both")
    }
    if (Option.isSome(revision) && revision.value < 1) return yield* wrongUsage("--revision is at least 1")
    const timeMs = Option.isSome(time) ? parseTime(time.value) : 0
    if (timeMs === undefined) {
      return yield* wrongUsage("--time is no time with its zone; write it as 2026-11-29T10:00:00Z")
    }
    const [{ pointInTime }, { writeBackup }, { readBackup }, { checkOfBackup }] = yield* Effect.promise(() =>
      Promise.all([
        import("../backups/PointInTime.ts"),
        import("../../storage/backup/BackupWriter.ts"),
        import("../../storage/backup/BackupReader.ts"),
        import("../../machine/StateCheck.ts")
      ])
    )
    const target = Option.isSome(revision) ? { revision: revision.value } : { timeMs }
    const made = yield* pointInTime({ base, later }, target)
    if (Option.isSome(time) && made.clockDifference !== undefined) yield* Output.problem(made.clockDifference)
    yield* writeBackup(output, made.bytes, { force })
    // It is held to everything that a restore demands, before anybody relies on it.
    const { header, totals } = yield* Effect.catchTag(
      readBackup(output, { check: checkOfBackup }),
      "BackupCorrupt",
      ({ detail }) => failed(`${output} was written and does not hold together: ${detail}; report this`)
    )
    const lost = made.lostLeases()
    yield* json
      ? Output.json({
        file: output,
        revision: header.revision,
        logTime: new Date(header.logTimeMs).toISOString(),
        rows: totals.rows,
        sha256: totals.digest,
        changedSinceBase: made.changed,
        leasesOfUnknownLength: lost
      })
      : Output.line(
        `${output}: revision ${header.revision} of ${new Date(header.logTimeMs).toISOString()}, ${totals.rows} rows, ` +
          `${counted(made.changed, "key")} changed since ${base}${
            lost === 0 ? "" : `; ${counted(lost, "lease")} of unknown length get 60s`
          }; restore it with flaredb restore`
      )
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Make a backup of the state at a revision or time between two backups of one cluster: the keys of the base, " +
        "carried on by the history in the later one. flaredb restore takes it."
    ),
    Command.withExamples([
      {
        command: "flaredb backups at nightly.flaredb now.flaredb --time 2026-11-29T10:00:00Z --output before.flaredb",
        description: "As it was before a mistake"
      }
    ])
  )
