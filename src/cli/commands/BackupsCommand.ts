/** The commands on backups that are files already, or are to become files by themselves. */
import { Command } from "effect/cli"
import { at } from "./BackupAt.ts"
import { drill, verify } from "./BackupChecks.ts"
import { list, run } from "./BackupSchedule.ts"

export const backups = Command.make("backups").pipe(
  Command.withDescription("Take backups on a schedule, and find out what they are worth."),
  Command.withSubcommands([run, list, verify, drill, at])
)
