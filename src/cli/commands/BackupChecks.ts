/** The commands that tell whether a backup is worth anything: against the live cluster, and by a restore. */
import { Effect, Logger, References } from "effect"
import { Command, Flag } from "effect/cli"
import { tmpdir } from "node:os"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { fileArgument } from "../input/BackupFile.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { named } from "../input/Named.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { makeSwitch } from "../input/Switch.ts"
import { counted } from "../output/Counted.ts"
import { failed, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Messages from "../output/Messages.ts"
import * as Output from "../output/Output.ts"

const checkFile = (file: string) => named("name of the backup file", file)

export const verify = Command.make("verify", { ...clientFlags, file: fileArgument }, (flags) =>
  Effect.gen(function*() {
    const { file, json } = flags
    yield* checkFile(file)
    const [{ LiveComparison }, { readBackup }, { checkOfBackup }, { keyValueMachine }] = yield* Effect.promise(() =>
      Promise.all([
        import("../backups/LiveComparison.ts"),
        import("../../storage/backup/BackupReader.ts"),
        import("../../machine/StateCheck.ts"),
        import("../../machine/StateFacts.ts")
      ])
    )
    const { header, totals } = yield* readBackup(file, { check: checkOfBackup })
    if (header.machine !== keyValueMachine) {
      return yield* failed(`${file} is of the state machine ${header.machine}, whose keys cannot be compared`)
    }
    const compared = yield* withClient(
      flags,
      Effect.gen(function*() {
        const identity = yield* (yield* ClusterAdmin).identity
        if (identity !== header.identity) {
          return yield* failed(
            `${file} is of the cluster ${header.identity}, and these endpoints are of ${identity}: a restored ` +
              "cluster has another identity"
          )
        }
        const comparison = new LiveComparison(yield* KeyValue, header.revision)
        yield* readBackup(file, { onRows: (rows) => comparison.take(rows) })
        return yield* comparison.end()
      })
    )
    const { backupHash, changedSince, deletedSince, differing, equal, liveHash, missing } = compared
    yield* json
      ? Output.json({ file, revision: header.revision, rows: totals.rows, sha256: totals.digest, ...compared })
      : Output.lines(
        `${file}: whole, revision ${header.revision}, sha256 ${totals.digest}\n` +
          `as in the cluster: ${
            counted(equal, "key")
          }; changed since: ${changedSince}, deleted since: ${deletedSince}\n` +
          `sha256 of what was not changed since: ${backupHash}, in the cluster ${liveHash}`
      )
    if (differing + missing > 0 || backupHash !== liveHash) {
      return yield* failed(
        `${
          counted(differing, "key")
        } differ and ${missing} are missing, although the cluster has not changed them since the ` +
          "backup; take another backup, and run flaredb verify"
      )
    }
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Check a backup and hold it against the cluster that it is of: every key that was not changed since must be " +
        "the same, byte for byte. Writes may go on. Exit code 1 when one differs or is missing."
    ),
    Command.withExamples([
      { command: "flaredb backups verify nightly.flaredb", description: "Against the local cluster" }
    ])
  )

export const drill = Command.make("drill", {
  work: Flag.String("work").pipe(
    Flag.withMetavar("DIR"),
    withDefault("the folder in which the node is made and removed; it needs room for the whole state", tmpdir())
  ),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per line"), Flag.withDefault(false)),
  file: fileArgument
}, (flags) =>
  Effect.gen(function*() {
    const { file, json, work } = flags
    yield* checkFile(file)
    if (work === "") return yield* wrongUsage("--work is empty; name a folder")
    const Drill = yield* Effect.promise(() => import("../backups/Drill.ts"))
    const begin = performance.now()
    const onStep = (step: string) => process.stderr.isTTY === true && !json ? Messages.notice(`${step} …`) : Effect.void
    const { digest, header, keys, rows } = yield* Drill.drill({ file, work, onStep }).pipe(
      // The node's own log is of no interest while all goes well.
      Effect.provideService(References.MinimumLogLevel, "Error"),
      Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
    )
    const tookMs = Math.round(performance.now() - begin)
    yield* json
      ? Output.json({ file, revision: header.revision, rows, keys, sha256: digest, tookMs })
      : Output.line(
        `${file}: restored into a node of its own and removed again in ${tookMs} ms: ${rows} rows of sha256 ${digest}` +
          `${keys === undefined ? "" : `, ${counted(keys, "key")} counted by the node`}, revision ${header.revision}`
      )
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Restore a backup for practice: into a node of its own on loopback, whose rows and keys are held against the " +
        "backup. It is removed again, and no cluster is touched. Exit code 1 when anything is not as in the backup."
    ),
    Command.withExamples([
      { command: "flaredb backups drill nightly.flaredb", description: "Would this file bring everything back?" }
    ])
  )
