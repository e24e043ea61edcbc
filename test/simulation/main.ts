/**
 * `npm run simulate`, `simulate:cores`, `simulate:actors`: a campaign of seeds of one world, or with `--trace` one seed and a line for
 * each thing that happens.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import { campaign, CampaignFailed } from "./engine/Campaign.ts"
import { simulate } from "./engine/Engine.ts"
import type { WorldName } from "./worlds.ts"
import { worlds } from "./worlds.ts"

const tell = (name: WorldName, seed: number) =>
  Effect.tryPromise({
    try: async () => simulate(await worlds[name].load(), { seed, trace: (line) => process.stdout.write(`${line}\n`) }),
    catch: (error) => new CampaignFailed({ message: error instanceof Error ? error.message : String(error) })
  })

const command = (name: WorldName) =>
  Command.make(name, {
    seed: Flag.Int("seed").pipe(Flag.withDescription("the first seed"), Flag.withDefault(1)),
    count: Flag.Int("count").pipe(Flag.withDescription("how many seeds"), Flag.withDefault(1)),
    workers: Flag.Int("workers").pipe(Flag.withDescription("threads"), Flag.withDefault(availableParallelism())),
    trace: Flag.Boolean("trace").pipe(Flag.withDescription("tell what happens, of one seed"), Flag.withDefault(false))
  }, ({ count, seed, trace, workers }) =>
    trace ? Effect.asVoid(tell(name, seed)) : campaign(name, { seed, count }, workers)).pipe(
      Command.withDescription(`Seeded runs of a world. ${worlds[name].text}`)
    )

Command.make("simulate").pipe(
  Command.withSubcommands([command("nodes"), command("cores"), command("actors")]),
  Command.run({ version: "1" }),
  Effect.tapError((error) => Console.error(error instanceof CampaignFailed ? error.message : String(error))),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
