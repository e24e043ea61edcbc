/** `flaredb actors`: the commands on what Effect's services keep. */
import { Command } from "effect/cli"
import { migrate } from "./ActorsMigrate.ts"

export const actors = Command.make("actors").pipe(
  Command.withDescription("What Effect's cluster, queues and stores keep in FlareDB."),
  Command.withSubcommands([migrate])
)
