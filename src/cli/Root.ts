/** Every verb of the command line. */
import { Command } from "effect/cli"
import { access } from "./commands/AccessCommands.ts"
import { actors } from "./commands/ActorsCommands.ts"
import { backup, restore, verify } from "./commands/BackupCommands.ts"
import { bench } from "./commands/Bench.ts"
import { benchLoad } from "./bench/Load.ts"
import { cert } from "./commands/CertCommands.ts"
import { status, transferLeader } from "./commands/ClusterCommands.ts"
import { config } from "./commands/ConfigCheck.ts"
import { compact, watch } from "./commands/HistoryCommands.ts"
import { importing } from "./commands/ImportEtcd.ts"
import { inspect } from "./commands/Inspect.ts"
import { makeHelp } from "./commands/HelpCommand.ts"
import { del, get, put } from "./commands/KeyCommands.ts"
import { lease } from "./commands/LeaseCommands.ts"
import { cluster } from "./launch/LocalCluster.ts"
import { lock } from "./commands/LockCommand.ts"
import { count, scan } from "./commands/ScanCommands.ts"
import { replay } from "./commands/Replay.ts"
import { session } from "./commands/SessionCommands.ts"
import { start } from "./commands/Start.ts"
import { txn } from "./commands/TxnCommand.ts"

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
  access,
  actors,
  status,
  transferLeader,
  backup,
  restore,
  verify,
  importing,
  inspect,
  replay,
  config,
  cert,
  bench,
  benchLoad
] as const

export const root = command.pipe(
  Command.withSubcommands([...verbs, makeHelp(command.pipe(Command.withSubcommands(verbs)))])
)
