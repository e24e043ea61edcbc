/**
 * `npm run simulate:cores -- --seed 1 --count 20000`: a campaign of seeded lives of the Raft cores. Prints the seeds that fail, how
 * often each interesting thing happened, and seeds per second. Fails when a seed fails, or when one of those things never
 * happened in {@link campaignSeeds} seeds or more. `--seed N --trace` prints the account of one seed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Data, Effect, Runtime } from "effect"
import { Command, Flag } from "effect/cli"
import { probeNames, Probes } from "./cores/Probes.ts"
import { simulate } from "./cores/Simulation.ts"

/** With fewer seeds it is no wonder that something never happened. */
const campaignSeeds = 1_000

/** Seeds between two lines that say how far the campaign is. */
const progressSeeds = 1_000

class CampaignFailed extends Data.TaggedError("CampaignFailed")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

const campaign = Effect.fnUntraced(function*(first: number, count: number) {
  const probes = new Probes()
  const begin = performance.now()
  let failed = 0
  for (let seed = first; seed < first + count; seed++) {
    const failure = yield* Effect.sync(() => {
      try {
        simulate({ seed, probes })
        return undefined
      } catch (error) {
        return messageOf(error)
      }
    })
    if (failure !== undefined) {
      failed += 1
      yield* Console.log(failure)
    }
    const done = seed - first + 1
    if (done % progressSeeds === 0 && done < count) yield* Console.log(`${done} of ${count} seeds, ${failed} failed`)
  }
  const seconds = (performance.now() - begin) / 1_000
  for (const probe of [...probeNames].sort()) {
    yield* Console.log(`${String(probes.count(probe)).padStart(9)}  ${probe}`)
  }
  yield* Console.log(
    `${count} seeds from ${first} on in ${seconds.toFixed(1)} s: ${
      (count / seconds).toFixed(1)
    } seeds a second, ${failed} failed`
  )
  if (failed > 0) return yield* new CampaignFailed({ message: `${failed} seeds failed` })
  if (count >= campaignSeeds && probes.missed.length > 0) {
    return yield* new CampaignFailed({ message: `this never happened: ${probes.missed.join("; ")}` })
  }
})

const command = Command.make("simulate:cores", {
  seed: Flag.Int("seed").pipe(Flag.withDescription("the first seed"), Flag.withDefault(1)),
  count: Flag.Int("count").pipe(Flag.withDescription("how many seeds"), Flag.withDefault(1)),
  trace: Flag.Boolean("trace").pipe(Flag.withDescription("tell what happens, of one seed"), Flag.withDefault(false))
}, ({ count, seed, trace }) =>
  trace
    ? Effect.try({
      try: () => simulate({ seed, trace: (line) => process.stdout.write(`${line}\n`) }),
      catch: (error) => new CampaignFailed({ message: messageOf(error) })
    })
    : campaign(seed, count)).pipe(
    Command.withDescription("Seeded lives of Raft cores on a simulated network and simulated disks.")
  )

command.pipe(
  Command.run({ version: "1" }),
  Effect.tapError((error) => Console.error(messageOf(error))),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
