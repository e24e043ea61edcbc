/**
 * The command that reads a stopped node's directory: what it holds, for an operator who has to decide what to do with
 * it.
 */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { formatDuration } from "../../DurationText.ts"
import { decodeIdentityEntry } from "../../protocol/ClusterIdentity.ts"
import type { Command as KvCommand } from "../../kv/model/Command.ts"
import { decodeCommand } from "../../kv/model/Command.ts"
import { accessText } from "../../kv/OperationText.ts"
import type { Entry, LogPoint } from "../../raft/Types.ts"
import { LogIndex } from "../../raft/Types.ts"
import type { Inspection } from "../../storage/Inspect.ts"
import { named } from "../input/Named.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"
import { table } from "../output/Table.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

/** Most entries one call prints. */
const maxEntries = 100_000

const point = ({ index, term }: LogPoint): string => `${index} (term ${term})`

const summary = (found: Inspection) => {
  const { activeFamily, applied, floor, log, marker, replaced } = found
  return {
    path: found.path,
    clusterId: marker.clusterId,
    identity: found.identity ?? null,
    nodeId: marker.nodeId,
    voters: marker.voters,
    term: log.hardState.term,
    votedFor: log.hardState.votedFor ?? null,
    commit: log.hardState.commit,
    firstIndex: log.compacted.index + 1,
    lastIndex: log.lastIndex,
    applied,
    durableFloor: floor ?? null,
    activeFamily,
    replaced: replaced?.point ?? null,
    replacedDamage: replaced?.damage?.detail ?? null
  }
}

const useOfReplaced = (damage: string | null): string =>
  damage === null ? "see flaredb backup --replaced" : `not whole: ${damage}`

const text = (found: Inspection): string => {
  const { applied, durableFloor, replaced, replacedDamage, ...rest } = summary(found)
  return table([
    ["directory", rest.path],
    ["cluster", rest.clusterId],
    ["identity", rest.identity ?? "none applied yet"],
    ["node", `${rest.nodeId} of voters ${rest.voters.join(", ")}`],
    ["term", `${rest.term}, vote for ${rest.votedFor === null ? "no node" : `node ${rest.votedFor}`}`],
    ["log", rest.lastIndex < rest.firstIndex ? "empty" : `${rest.firstIndex} to ${rest.lastIndex}`],
    ["committed", `at least ${rest.commit}`],
    ["applied", `${point(applied)}, in ${rest.activeFamily}`],
    ["replaced state", replaced === null ? "none kept" : `${point(replaced)}; ${useOfReplaced(replacedDamage)}`],
    ["durable floor", durableFloor === null ? "none written yet" : point(durableFloor)]
  ])
}

const keyText = (key: Uint8Array): string => JSON.stringify(utf8Text(key))

const commandText = (command: KvCommand): string => {
  switch (command._tag) {
    case "Put":
      return `put ${keyText(command.key)}, ${command.value.byteLength} bytes${
        command.lease === 0 ? "" : `, lease ${command.lease}`
      }`
    case "Delete":
      return `delete ${keyText(command.key)}`
    case "Transact": {
      const { compares, failure, success } = command.transaction
      return `transaction of ${compares.length} compares, ${success.length} operations or else ${failure.length}`
    }
    case "GrantLease":
      return `grant a lease of ${formatDuration(command.ttlMs)}`
    case "KeepAlive":
      return `keep lease ${command.lease} alive`
    case "RevokeLease":
      return `revoke lease ${command.lease}`
    case "Compact":
      return `compact history through revision ${command.through}`
    case "OpenSession":
      return `open a session of ${formatDuration(command.ttlMs)}`
    case "EndSession":
      return `end session ${command.session}`
    case "CloseSession":
      return "close the session"
    case "Expire":
      return `expire ${command.leases.length} leases, ${command.sessions.length} sessions`
    case "Checkpoint":
      return "checkpoint"
    case "PutRole":
    case "DeleteRole":
    case "PutUser":
    case "DeleteUser":
    case "AddToken":
    case "RemoveToken":
      return accessText(command)
  }
}

const entryText = ({ kind, payload }: Entry): string => {
  if (kind === "noop") return "noop"
  const identity = decodeIdentityEntry(payload)
  if (identity !== undefined) return `cluster identity ${identity}`
  const decoded = decodeCommand(payload)
  if (decoded._tag === "Problem") return `${payload.byteLength} bytes that are no command of the key-value store`
  const { command, commandId } = decoded
  return commandId.session === 0
    ? commandText(command)
    : `${commandText(command)} (session ${commandId.session}, number ${commandId.sequence})`
}

const inUse = (directory: string, holder: number): string =>
  `process ${holder} uses ${directory}: what is read here may be of different times, and fail where files change ` +
  "meanwhile. Stop the node to read all of it; flaredb status asks one that runs"

export const inspect = Command.make("inspect", {
  directory: Argument.String("directory").pipe(Argument.withDescription("a node's data directory")),
  entries: Flag.Int("entries").pipe(
    Flag.withMetavar("N"),
    withDefault("also print this many log entries", 0)
  ),
  from: Flag.Int("from").pipe(
    Flag.withMetavar("INDEX"),
    withDefault("first log entry to print", 1)
  ),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per line"), Flag.withDefault(false))
}, (flags) =>
  Effect.gen(function*() {
    if (flags.entries < 0 || flags.entries > maxEntries) {
      return yield* wrongUsage(`--entries ${flags.entries} is not from 0 to ${maxEntries}`)
    }
    if (flags.from < 1) return yield* wrongUsage(`--from ${flags.from} must be at least 1`)
    yield* named("name of the directory", flags.directory)
    const Inspect = yield* Effect.promise(() => import("../../storage/Inspect.ts"))
    const holder = yield* Inspect.heldBy(flags.directory)
    if (holder !== undefined) yield* Output.problem(inUse(flags.directory, holder))
    yield* Inspect.inspect(flags.directory, (found) =>
      Effect.gen(function*() {
        yield* Output.lines(flags.json ? JSON.stringify(summary(found)) : text(found))
        if (flags.entries === 0) return
        for (const entry of yield* found.entries(LogIndex(flags.from), flags.entries)) {
          const { index, timestampMs, term } = entry
          const line = { index, term, at: new Date(timestampMs).toISOString(), entry: entryText(entry) }
          yield* Output.lines(flags.json ? JSON.stringify(line) : `${index}\tterm ${term}\t${line.at}\t${line.entry}`)
        }
      }))
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Read the data directory of a stopped node. Changes nothing, and says so of a node that still uses it."
    ),
    Command.withExamples([
      { command: "flaredb inspect ./data/node-1", description: "Marker, term, vote, log range" },
      { command: "flaredb inspect ./data/node-1 --entries 10 --from 100", description: "Ten log entries as well" }
    ])
  )
