/**
 * `npm run simulate`, `simulate:small`, `simulate:cores`, `simulate:actors`: a campaign of seeds of one world; with
 * `--trace` one seed, a line for each thing that happens; with `--shrink` the faults that it takes to make a seed fail.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import { campaign, CampaignFailed } from "./engine/Campaign.ts"
import { simulate } from "./engine/Engine.ts"
import { shrink } from "./engine/Shrink.ts"
import type { WorldName } from "./worlds.ts"
import { worlds } from "./worlds.ts"

const tell = (name: WorldName, seed: number, only: ReadonlySet<number> | undefined) =>
  Effect.tryPromise({
    try: async () =>
      void simulate(await worlds[name].load(), {
        seed,
        only,
        trace: (line) => process.stdout.write(`${line}\n`)
      }),
    catch: (error) => new CampaignFailed({ message: error instanceof Error ? error.message : String(error) })
  })

const tellNeeded = Effect.fnUntraced(function*(name: WorldName, seed: number) {
  const world = yield* Effect.promise(() => worlds[name].load())
  const shrunk = shrink(world, seed)
  if (shrunk === undefined) return yield* Console.log(`seed ${seed} does not fail`)
  const { faults, needed, property } = shrunk
  const only = needed.length === 0 ? "0" : needed.join()
  yield* Console.log(
    `seed ${seed}: ${property}, with ${needed.length} of ${faults} faults\n` +
      `replay: npm run ${world.script} -- --seed ${seed} --only ${only} --trace`
  )
})

const numbers = Effect.fnUntraced(function*(list: string) {
  const all = list === "" ? [] : list.split(",").map(Number)
  if (all.every((number) => Number.isSafeInteger(number))) return list === "" ? undefined : new Set(all)
  return yield* new CampaignFailed({ message: `--only takes numbers of faults, as 3,17,20, and not "${list}"` })
})

const command = (name: WorldName) =>
  Command.make(name, {
    seed: Flag.Int("seed").pipe(Flag.withDescription("the first seed"), Flag.withDefault(1)),
    count: Flag.Int("count").pipe(Flag.withDescription("how many seeds"), Flag.withDefault(1)),
    workers: Flag.Int("workers").pipe(Flag.withDescription("threads"), Flag.withDefault(availableParallelism())),
    trace: Flag.Boolean("trace").pipe(Flag.withDescription("tell what happens, of one seed"), Flag.withDefault(false)),
    shrink: Flag.Boolean("shrink").pipe(
      Flag.withDescription("say which faults of one seed that fails it takes"),
      Flag.withDefault(false)
    ),
    only: Flag.String("only").pipe(
      Flag.withDescription("with --trace: the faults that happen, by number, as --shrink says"),
      Flag.withDefault("")
    )
  }, ({ count, only, seed, shrink, trace, workers }) =>
    shrink
      ? tellNeeded(name, seed)
      : trace
      ? Effect.flatMap(numbers(only), (faults) => tell(name, seed, faults))
      : campaign(name, { seed, count }, workers)).pipe(
      Command.withDescription(`Seeded runs of a world. ${worlds[name].text}`)
    )

Command.make("simulate").pipe(
  Command.withSubcommands([command("nodes"), command("small"), command("cores"), command("actors")]),
  Command.run({ version: "1" }),
  Effect.tapError((error) => Console.error(error instanceof CampaignFailed ? error.message : String(error))),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
