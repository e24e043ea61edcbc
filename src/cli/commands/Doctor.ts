/** The command that looks a machine and a cluster over, and says of each thing what to do about it. */
import { Clock, Config, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { basename, join } from "node:path"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { healthThresholds } from "../../config/HealthThresholds.ts"
import { variableOf } from "../../config/Setting.ts"
import { unreadText } from "../../ErrorText.ts"
import { backupsIn } from "../../storage/backup/BackupNames.ts"
import { version } from "../../Version.ts"
import { newestTaken } from "../backups/Due.ts"
import { checkFolder } from "../certificates/FolderCheck.ts"
import type { Check } from "../checks/Check.ts"
import { byUrgency, countOf, judge, ok, unknown } from "../checks/Check.ts"
import { clusterChecks } from "../doctor/ClusterChecks.ts"
import { clusterFacts } from "../doctor/ClusterFacts.ts"
import { machineChecks } from "../doctor/MachineChecks.ts"
import { machineFacts } from "../doctor/MachineFacts.ts"
import { probeSyncs } from "../doctor/SyncProbe.ts"
import { withClient } from "../input/ClientFlags.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { durationFlag } from "../input/Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import type { NodesFlags } from "../input/NodesFlags.ts"
import { nodePlaces, nodesFlags, withPlaces } from "../input/NodesFlags.ts"
import { makeSwitch } from "../input/Switch.ts"
import { asker } from "../nodes/NodePages.ts"
import { counted } from "../output/Counted.ts"
import { exitCodes, exitWith, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"

export interface DoctorFlags extends NodesFlags {
  readonly dataDir: Option.Option<string>
  readonly backupDir: Option.Option<string>
  readonly backupAge: number
  readonly local: boolean
  readonly noDisk: boolean
}

const path = (name: string, text: string) =>
  Flag.String(name === "dataDir" ? "data-dir" : "backup-dir").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription(`${text} (${variableOf(name)})`),
    Flag.withFallbackConfig(Config.String(variableOf(name))),
    Flag.optional
  )

/** What the bundle of `flaredb support-bundle` looks at too. */
export const doctorFlags = {
  ...nodesFlags,
  dataDir: path("dataDir", "the data directory of the node of this machine; default ./data"),
  backupDir: path("backupDir", "the folder that flaredb backups run fills; default none, and no backup is looked at"),
  backupAge: durationFlag("backup-age").pipe(
    withDefault(
      "a newest backup older than this is a warning",
      healthThresholds.backupHours * 3_600_000,
      `${healthThresholds.backupHours}h, a day and some`
    )
  ),
  local: makeSwitch("local").pipe(
    Flag.withDescription("look at this machine alone, and ask no node; default both"),
    Flag.withDefault(false)
  ),
  noDisk: makeSwitch("no-disk").pipe(
    Flag.withDescription("leave out the measured syncs, 4 MiB at most; default they are measured"),
    Flag.withDefault(false)
  )
}

const certificateChecks = Effect.fnUntraced(function*(folder: string, nowMs: number) {
  const limit = "what a start demands, and 30 days left"
  const look = (expiresWithinMs: number) =>
    checkFolder(folder, { nodes: undefined, node: undefined, cluster: undefined, expiresWithinMs, nowMs })
  const { held, problems } = yield* look(0)
  const soon = (yield* look(30 * 86_400_000)).problems.filter(({ problem }) =>
    !problems.some((other) => other.problem === problem)
  )
  const checkOf = (status: "failure" | "warning") => ({ advice, file, problem }: typeof problems[number]): Check => ({
    name: `certificates ${basename(file)}`,
    status,
    measured: `${file}: ${problem}`,
    limit,
    advice
  })
  const found = [...problems.map(checkOf("failure")), ...soon.map(checkOf("warning"))]
  return found.length > 0 ? found : [ok("certificates", `${held.length} in ${folder}, nothing wrong`, limit)]
})

export const backupCheck = (folder: string, mostMs: number, nowMs: number): Check => {
  const limit = `at most ${formatDuration(mostMs)} old`
  const advice = "see the log of flaredb backups run, and take one now: flaredb backups run --once --dir DIR"
  try {
    const backups = backupsIn(folder)
    const newest = newestTaken(backups, nowMs)
    const [first] = backups
    if (newest === undefined && first !== undefined) {
      const measured = `${join(folder, first.name)} was taken at a time that is yet to come, and so were all others`
      return judge("backup.age", measured, limit, [[true, "failure", `set the clocks; ${advice}`]])
    }
    if (newest === undefined) {
      return judge("backup.age", `no backup of a schedule in ${folder}`, limit, [[true, "failure", advice]])
    }
    const ageMs = nowMs - newest.createdMs
    return judge("backup.age", `${join(folder, newest.name)} is ${formatDuration(Math.max(0, ageMs))} old`, limit, [
      [ageMs > mostMs, "warning", advice]
    ])
  } catch (error) {
    const found = `${folder} cannot be read: ${unreadText(error)}`
    return judge("backup.age", found, limit, [
      [true, "failure", "name the folder that flaredb backups run fills, as a user that may read it"]
    ])
  }
}

const machine = Effect.fnUntraced(function*(flags: DoctorFlags, nowMs: number) {
  const { backupAge, backupDir, certsDir, noDisk } = flags
  const facts = yield* Effect.promise(() => machineFacts(Option.getOrElse(flags.dataDir, () => "./data")))
  const syncs = noDisk
    ? "left out by --no-disk"
    : yield* Effect.match(probeSyncs(facts.folder), { onSuccess: (times) => times, onFailure: (why) => why })
  return [
    ...machineChecks(facts, syncs),
    Option.isSome(certsDir)
      ? yield* certificateChecks(certsDir.value, nowMs)
      : [unknown("certificates", "no --certs-dir is given")],
    Option.isSome(backupDir)
      ? backupCheck(backupDir.value, backupAge, nowMs)
      : unknown("backup.age", "no --backup-dir is given", "take backups on a schedule: docs/backups.md")
  ].flat()
})

const cluster = (flags: DoctorFlags, nowMs: number) =>
  Effect.gen(function*() {
    const places = yield* nodePlaces(flags)
    const timeoutMs = Math.min(flags.timeout, 2_000)
    const tls = Option.isSome(flags.certsDir) || Option.isSome(flags.trustedCaFile)
    const nodes = yield* withClient(
      withPlaces(flags, places),
      Effect.gen(function*() {
        yield* ClusterAdmin
        return yield* clusterFacts(places, { ask: yield* asker(flags, timeoutMs), timeoutMs, tls })
      })
    )
    return clusterChecks(nodes, { nowMs, version })
  }).pipe(Effect.scoped)

/** All checks, the most urgent first. */
export const examine = Effect.fnUntraced(function*(flags: DoctorFlags) {
  if (flags.backupAge < 1) return yield* wrongUsage("--backup-age must be more than 0")
  for (const [name, given] of [["data-dir", flags.dataDir], ["backup-dir", flags.backupDir]] as const) {
    if (Option.isSome(given) && given.value === "") return yield* wrongUsage(`--${name} is empty; name a folder`)
  }
  const nowMs = yield* Clock.currentTimeMillis
  // The disk is measured before the nodes are asked, so that neither disturbs the other.
  const own = yield* machine(flags, nowMs)
  return byUrgency([...own, ...flags.local ? [] : yield* cluster(flags, nowMs)])
})

const marks: Record<Check["status"], string> = { ok: "ok", warning: "WARNING", failure: "FAILURE", unknown: "unknown" }

/** A check in up to three lines: what was measured, what it is held against, what to do. */
const checkText = ({ advice, limit, measured, name, status }: Check): string => {
  const head = `${marks[status].padEnd(8)} ${name.padEnd(20)} ${measured}`
  if (status === "ok") return head
  const more = [limit === "" ? "" : `limit: ${limit}`, advice === "" ? "" : `do: ${advice}`]
  return [head, ...more.filter((line) => line !== "").map((line) => `${" ".repeat(30)}${line}`)].join("\n")
}

export const summaryText = (checks: ReadonlyArray<Check>): string =>
  `${countOf(checks, "ok")} ok, ${counted(countOf(checks, "warning"), "warning")}, ` +
  `${counted(countOf(checks, "failure"), "failure")}, ` +
  `${countOf(checks, "unknown")} not checked`

export const doctor = Command.make("doctor", doctorFlags, (flags) =>
  Effect.gen(function*() {
    const checks = yield* examine(flags)
    if (flags.json) yield* Output.jsonLines(checks)
    else yield* Output.lines([...checks.map(checkText), summaryText(checks)].join("\n"))
    const failures = countOf(checks, "failure")
    if (failures > 0) return yield* exitWith(exitCodes.failed, flags.json ? "" : counted(failures, "failure"))
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Look over the disk, limits and certificates of this machine, and how the nodes are reached and agree: each " +
        "check says what was measured, the limit, and what to do. Exit code 1 when one failed. Changes nothing."
    ),
    Command.withExamples([
      { command: "flaredb doctor --data-dir /var/lib/flaredb/node-1", description: "On a machine of the cluster" },
      { command: "flaredb doctor --local", description: "Before a node is installed" }
    ])
  )
