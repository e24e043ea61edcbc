/** Every verb of the command line. */
import { Command } from "effect/cli"
import { access } from "./commands/AccessCommands.ts"
import { actors } from "./commands/ActorsCommands.ts"
import { backup, verify } from "./commands/BackupCommands.ts"
import { backups } from "./commands/BackupsCommand.ts"
import { bench } from "./commands/Bench.ts"
import { benchLoad } from "./bench/Load.ts"
import { cert } from "./commands/CertCommands.ts"
import { status, transferLeader } from "./commands/ClusterCommands.ts"
import { clusterVersion } from "./commands/ClusterVersion.ts"
import { config } from "./commands/ConfigCheck.ts"
import { doctor } from "./commands/Doctor.ts"
import { compact, watch } from "./commands/HistoryCommands.ts"
import { elect } from "./commands/ElectCommand.ts"
import { importing } from "./commands/ImportEtcd.ts"
import { inspect } from "./commands/Inspect.ts"
import { makeHelp } from "./commands/HelpCommand.ts"
import { del, get, put } from "./commands/KeyCommands.ts"
import { lease } from "./commands/LeaseCommands.ts"
import { cluster } from "./launch/LocalCluster.ts"
import { lock } from "./commands/LockCommand.ts"
import { count, scan } from "./commands/ScanCommands.ts"
import { reclaim } from "./commands/Reclaim.ts"
import { replay } from "./commands/Replay.ts"
import { restore } from "./commands/RestoreCommand.ts"
import { session } from "./commands/SessionCommands.ts"
import { start } from "./commands/Start.ts"
import { supportBundle } from "./commands/SupportBundle.ts"
import { top } from "./commands/Top.ts"
import { txn } from "./commands/TxnCommand.ts"
import { upgrade } from "./commands/UpgradeCommands.ts"

const command = Command.make("flaredb").pipe(
  Command.withDescription("FlareDB: durable, replicated state for Effect services.")
)

const verbs = [
  cluster.pipe(Command.withSubcommands([clusterVersion])),
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
  elect,
  session,
  access,
  actors,
  status,
  top,
  doctor,
  supportBundle,
  transferLeader,
  backup,
  backups,
  restore,
  verify,
  importing,
  inspect,
  reclaim,
  replay,
  config,
  cert,
  upgrade,
  bench,
  benchLoad
] as const

export const root = command.pipe(
  Command.withSubcommands([...verbs, makeHelp(command.pipe(Command.withSubcommands(verbs)))])
)
