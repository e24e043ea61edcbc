/** What can be looked at on this machine before an upgrade: a backup, a data directory, certificates. */
import { healthThresholds } from "../../config/HealthThresholds.ts"
import { unreadText } from "../../ErrorText.ts"
import { Effect } from "effect"
import { CodecError } from "../../bytes/CodecError.ts"
import { decodeCommand } from "../../kv/model/Command.ts"
import { checkOf, checkOfBackup } from "../../machine/StateCheck.ts"
import { factsOf, keyValueMachine } from "../../machine/StateFacts.ts"
import { decodeIdentityEntry } from "../../protocol/ClusterIdentity.ts"
import { decodeLevelEntry, features, highestLevel } from "../../protocol/FeatureLevel.ts"
import { maxChunkBytes } from "../../protocol/SnapshotChunk.ts"
import type { Entry } from "../../raft/Types.ts"
import { addIndex } from "../../raft/Types.ts"
import { readBackup } from "../../storage/backup/BackupReader.ts"
import { bytesBelow, roomAt } from "../../storage/DirectoryRoom.ts"
import type { Inspection, StoppedState } from "../../storage/Inspect.ts"
import { inspect, inspectMarker, readState } from "../../storage/Inspect.ts"
import { CheckedRows } from "../../storage/RowsCheck.ts"
import { DataDirRefused } from "../../storage/StorageError.ts"
import { version } from "../../Version.ts"
import { isOfTheFuture } from "../backups/Due.ts"
import { checkFolder } from "../certificates/FolderCheck.ts"
import { formatDuration } from "../../DurationText.ts"
import { formatBytes } from "../output/Progress.ts"
import type { Check } from "../checks/Check.ts"
import { ok, problem } from "../checks/Check.ts"

/** Into a file of its own: the one that was named may be all that is left of another cluster, or of yesterday. */
const advice = "take one now: flaredb backup FILE"

/** Entries that are read at once. */
const entryPage = 512

export interface BackupAge {
  readonly nowMs: number
  readonly withinMs: number
}

/** A backup is whole, of this cluster, readable by this release, and young enough. */
export const checkBackup = (
  file: string,
  identities: ReadonlySet<string>,
  { nowMs, withinMs }: BackupAge
): Effect.Effect<Check> =>
  readBackup(file, { check: checkOfBackup }).pipe(
    Effect.map(({ header, totals }) => {
      const ageMs = Math.max(0, nowMs - header.createdMs)
      if (identities.size > 0 && !identities.has(header.identity)) {
        return problem("backup", `${file} is of another cluster, ${header.clusterId} ${header.identity}`, advice)
      }
      if (isOfTheFuture(header.createdMs, nowMs)) {
        const taken = new Date(header.createdMs).toISOString()
        return problem("backup", `${file} was taken at ${taken}, which is yet to come`, `set the clocks, and ${advice}`)
      }
      const age = `${formatDuration(Math.ceil(ageMs / 1_000) * 1_000)} old`
      return ageMs > withinMs
        ? problem("backup", `${file} is ${age}, and more than ${formatDuration(withinMs)}`, advice)
        : ok("backup", `${file} is whole and ${age}: revision ${header.revision}, ${totals.rows} rows`)
    }),
    Effect.catch((error) => Effect.succeed(problem("backup", error.message, advice)))
  )

/** What this release cannot read of an entry, if anything. Other machines than the store are their program's own. */
const entryProblem = ({ index, kind, payload }: Entry, machine: string): string | undefined => {
  if (kind === "noop" || decodeIdentityEntry(payload) !== undefined) return undefined
  const level = decodeLevelEntry(payload)
  if (level !== undefined) {
    return level.level <= highestLevel(features).level
      ? undefined
      : `entry ${index} raises the feature level to ${level.level}: run flaredb ${level.release} or later`
  }
  const command = machine === keyValueMachine ? decodeCommand(payload) : undefined
  return command?._tag === "Problem" ? `entry ${index}: the command ${command.problem}` : undefined
}

/** Reads every entry of the log. */
const logProblem = Effect.fnUntraced(function*({ entries, log }: Inspection, machine: string) {
  let from = addIndex(log.compacted.index, 1)
  while (from <= log.lastIndex) {
    const page = yield* entries(from, entryPage)
    const last = page.at(-1)
    if (last === undefined) return `entry ${from} is missing`
    for (const entry of page) {
      const wrong = entryProblem(entry, machine)
      if (wrong !== undefined) return wrong
    }
    from = addIndex(last.index, 1)
  }
  return undefined
})

/** Reads every row of the state. */
const stateProblem = Effect.fnUntraced(function*({ next, point }: StoppedState) {
  const checked = new CheckedRows(checkOf({ index: point.index, known: highestLevel(features).level }))
  let machine: string | undefined
  for (;;) {
    const rows = yield* next(maxChunkBytes)
    if (rows.length === 0) break
    machine ??= factsOf(rows).machine
    const wrong = checked.take(rows)
    if (wrong instanceof CodecError) return { machine, wrong: wrong.message }
  }
  return { machine: machine ?? keyValueMachine, wrong: checked.end()?.message }
})

/** Reads everything in the directory of a stopped node, and changes nothing. */
const dryRun = Effect.fnUntraced(function*(path: string) {
  const state = yield* readState(path, false, stateProblem).pipe(
    // A node that was just made, or is to be rebuilt, has a log at most.
    Effect.catchIf(
      (error) => error instanceof DataDirRefused && error.reason === "nothing-applied",
      () => Effect.succeed({ machine: keyValueMachine, wrong: undefined })
    )
  )
  return yield* inspect(
    path,
    Effect.fnUntraced(function*(inspection) {
      const wrong = state.wrong ?? (yield* logProblem(inspection, state.machine))
      const { applied, log, marker } = inspection
      return wrong === undefined
        ? ok(
          "data directory",
          `flaredb ${version} reads ${path}: format ${marker.formatVersion}, log to ${log.lastIndex}, ` +
            `applied ${applied.index}`
        )
        : problem("data directory", `${path}: ${wrong}`, "keep the release that wrote it, and see docs/upgrades.md")
    })
  )
})

/** While a node uses the directory, its marker alone can be relied upon. */
const whileUsed = (path: string) =>
  Effect.map(inspectMarker(path), ({ formatVersion }) =>
    ok(
      "data directory",
      `flaredb ${version} reads format ${formatVersion} of ${path}; a node uses it, so entries and rows were not read`
    ))

/** Whether this release opens a data directory. */
export const checkDirectory = (path: string): Effect.Effect<Check> =>
  dryRun(path).pipe(
    Effect.catchIf(
      (error) => error instanceof DataDirRefused && error.reason === "locked",
      () => whileUsed(path)
    ),
    Effect.catch((error) =>
      Effect.succeed(problem("data directory", error.message, `do not start flaredb ${version} on it`))
    )
  )

/** Whether there is room for as much again as the directory has: a snapshot is stored beside the state it replaces. */
export const checkRoom = (path: string): Effect.Effect<Check> =>
  Effect.tryPromise({
    try: async () => {
      const [{ freeBytes: free }, size] = await Promise.all([roomAt(path), bytesBelow(path)])
      const needed = Math.max(healthThresholds.criticalRoomBytes, size)
      const found = `${formatBytes(free)} are free at ${path}, which has ${formatBytes(size)}`
      return free >= needed
        ? ok("free room", found)
        : problem("free room", found, `make room for ${formatBytes(needed)}: a snapshot is stored beside the state`)
    },
    catch: (cause) => cause
  }).pipe(
    Effect.catch((cause) =>
      Effect.succeed(problem("free room", `${path} cannot be read: ${unreadText(cause)}`, "name a data directory"))
    )
  )

/** Whether the certificates in a folder can be used, and for long enough. */
export const checkCertificates = (
  folder: string,
  { nowMs, withinMs }: BackupAge
): Effect.Effect<Check> =>
  checkFolder(folder, { nodes: undefined, node: undefined, cluster: undefined, expiresWithinMs: withinMs, nowMs }).pipe(
    Effect.map(({ held, problems }) => {
      const [first] = problems
      return first === undefined
        ? ok("certificates", `${held.length} in ${folder} are valid for ${formatDuration(withinMs)} at least`)
        : problem("certificates", `${first.file}: ${first.problem}`, first.advice)
    })
  )
