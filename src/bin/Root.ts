/** Every verb of the command line. */
import { Command } from "effect/cli"
import { actors } from "./ActorsCommands.ts"
import { backup, restore, verify } from "./BackupCommands.ts"
import { bench } from "./Bench.ts"
import { benchLoad } from "./bench/Load.ts"
import { status, transferLeader } from "./ClusterCommands.ts"
import { config } from "./ConfigCheck.ts"
import { compact, watch } from "./HistoryCommands.ts"
import { inspect } from "./Inspect.ts"
import { makeHelp } from "./HelpCommand.ts"
import { del, get, put } from "./KeyCommands.ts"
import { lease } from "./LeaseCommands.ts"
import { cluster } from "./LocalCluster.ts"
import { lock } from "./LockCommand.ts"
import { count, scan } from "./ScanCommands.ts"
import { replay } from "./Replay.ts"
import { session } from "./SessionCommands.ts"
import { start } from "./Start.ts"
import { txn } from "./TxnCommand.ts"

const command = Command.make("flaredb").pipe(
  Command.withDescription("FlareDB: durable, replicated state for Effect services.")
)

const verbs = [
  cluster,
  start,
  put,
  get,
  del,
  scan,
  count,
  txn,
  watch,
  compact,
  lease,
  lock,
  session,
  actors,
  status,
  transferLeader,
  backup,
  restore,
  verify,
  inspect,
  replay,
  config,
  bench,
  benchLoad
] as const

export const root = command.pipe(
  Command.withSubcommands([...verbs, makeHelp(command.pipe(Command.withSubcommands(verbs)))])
)
