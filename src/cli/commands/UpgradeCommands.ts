/** The commands for upgrades: whether a cluster is ready for its next node, and the newest format for a directory. */
import { Clock, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { healthThresholds } from "../../config/HealthThresholds.ts"
import { named } from "../input/Named.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { durationFlag } from "../input/Duration.ts"
import { makeSwitch } from "../input/Switch.ts"
import { exitCodes, exitWith, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { clusterChecks } from "../upgrade/ClusterChecks.ts"
import type { Check } from "../checks/Check.ts"
import { problem } from "../checks/Check.ts"

const dayMs = 86_400_000
const { lateCertificateDays } = healthThresholds

const path = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const checkFlags = {
  ...clientFlags,
  local: makeSwitch("local").pipe(
    Flag.withDescription("look at this machine only, for the time while its node is stopped; default off"),
    Flag.withDefault(false)
  ),
  backup: path("backup", "FILE", "a backup of this cluster, which must be whole and recent; default none, a problem"),
  backupWithin: durationFlag("backup-within").pipe(
    withDefault("how old the backup may be", dayMs, "1d")
  ),
  skipBackup: makeSwitch("skip-backup").pipe(
    Flag.withDescription("do not ask for a backup; default off"),
    Flag.withDefault(false)
  ),
  dataDir: path(
    "data-dir",
    "DIR",
    "data directory of a node on this machine: can this release read it, and is there room; default not looked at"
  ),
  nodeCerts: path("node-certs", "DIR", "folder of certificates on this machine; default that of --certs-dir, if given"),
  expiresWithin: durationFlag("expires-within").pipe(
    withDefault(
      "a certificate that ends within this time is a problem",
      lateCertificateDays * dayMs,
      `${lateCertificateDays}d`
    )
  )
}

const lineOf = ({ advice, measured, name, status }: Check): string =>
  `${status === "ok" ? "ok     " : "PROBLEM"}  ${name}: ${measured}${advice === "" ? "" : `; ${advice}`}`

const check = Command.make("check", checkFlags, (flags) =>
  Effect.gen(function*() {
    const paths = [["backup", flags.backup], ["data-dir", flags.dataDir], ["node-certs", flags.nodeCerts]] as const
    for (const [name, given] of paths) {
      if (Option.contains(given, "")) return yield* wrongUsage(`--${name} is empty`)
    }
    for (
      const [name, ms] of [["backup-within", flags.backupWithin], ["expires-within", flags.expiresWithin]] as const
    ) {
      if (ms < 0) return yield* wrongUsage(`--${name} must not be negative`)
    }
    if (flags.local && [flags.backup, flags.dataDir, flags.nodeCerts].every(Option.isNone)) {
      return yield* wrongUsage("--local needs something to look at: --data-dir, --node-certs or --backup")
    }
    if (flags.skipBackup && Option.isSome(flags.backup)) {
      return yield* wrongUsage("--backup and --skip-backup contradict each other; give one of them")
    }
    const answers = flags.local ? [] : yield* withClient(flags, ClusterAdmin.use((admin) => admin.status))
    const nowMs = yield* Clock.currentTimeMillis
    const identities = new Set(answers.flatMap(({ report }) => report?.identity ?? []))
    const checks: Array<Check> = flags.local ? [] : [...clusterChecks(answers)]
    const local = yield* Effect.promise(() => import("../upgrade/LocalChecks.ts"))
    if (Option.isSome(flags.backup)) {
      const age = { nowMs, withinMs: flags.backupWithin }
      checks.push(yield* local.checkBackup(flags.backup.value, identities, age))
    } else if (!flags.skipBackup && !flags.local) {
      checks.push(problem("backup", "none is named", "take one with flaredb backup FILE, and give --backup FILE"))
    }
    if (Option.isSome(flags.dataDir)) {
      checks.push(yield* local.checkDirectory(flags.dataDir.value), yield* local.checkRoom(flags.dataDir.value))
    }
    const folder = Option.orElse(flags.nodeCerts, () => flags.certsDir)
    if (Option.isSome(folder)) {
      checks.push(yield* local.checkCertificates(folder.value, { nowMs, withinMs: flags.expiresWithin }))
    }
    if (flags.json) yield* Output.jsonLines(checks)
    else yield* Output.lines(checks.map(lineOf).join("\n"))
    const problems = checks.filter(({ status }) => status !== "ok")
    if (problems.length === 0) return
    const [first] = problems
    const more = problems.length === 1 ? "" : `, and ${problems.length - 1} more`
    return yield* exitWith(exitCodes.failed, `not ready for an upgrade: ${first?.name}: ${first?.measured}${more}`)
  })).pipe(
    Command.withDescription(
      "Tell whether the next node can be upgraded: all nodes are there, caught up and of one release, a recent " +
        "backup is whole, and this release reads the data directory. Exit code 1 when something speaks against it."
    ),
    Command.withExamples([
      { command: "flaredb upgrade check --backup nightly.flaredb", description: "Before the first node" },
      {
        command: "flaredb upgrade check --local --data-dir ./data/node-1",
        description: "With the new release, on the machine of a stopped node"
      }
    ])
  )

const directory = Command.make("directory", {
  directory: Argument.String("directory").pipe(Argument.withDescription("a node's data directory")),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per line"), Flag.withDefault(false))
}, ({ directory, json }) =>
  Effect.gen(function*() {
    yield* named("name of the directory", directory)
    const { moveLog } = yield* Effect.promise(() => import("../../storage/LogMove.ts"))
    const { before, entries } = yield* moveLog(directory)
    yield* json
      ? Output.json({ directory, moved: !before, entries })
      : Output.line(
        before
          ? `${directory}: nothing to do, the log is in segments`
          : `${directory}: moved ${entries} log entries into segments; builds before them refuse the directory now`
      )
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Bring the data directory of a stopped node to the newest format: its log goes from rows of RocksDB into " +
        "segments, which makes writes faster. New directories have it; there is no way back."
    ),
    Command.withExamples([
      { command: "flaredb upgrade directory /var/lib/flaredb/node-1", description: "While node 1 is stopped" }
    ])
  )

export const upgrade = Command.make("upgrade").pipe(
  Command.withDescription("Upgrades of a cluster, one node at a time; see docs/upgrades.md."),
  Command.withSubcommands([check, directory]),
  Command.withExamples([
    { command: "flaredb upgrade check --backup nightly.flaredb", description: "Whether the cluster is ready" }
  ])
)
