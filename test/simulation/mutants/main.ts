/**
 * `npm run mutants [-- --only TEXT]`: puts each bug of `Mutants.ts` into the nodes and counts the seeds until the simulation finds it.
 * Fails when one is not found within the seeds it has.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Data, Effect, Runtime } from "effect"
import { Command, Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import type { Verdict } from "./mutant.ts"
import type { Mutant } from "./Mutants.ts"
import { mutants } from "./Mutants.ts"

class Survived extends Data.TaggedError("Survived")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

/** Runs a mutant in a thread of its own. */
export const hunt = (mutant: Mutant): Effect.Effect<Verdict, Error> =>
  Effect.callback<Verdict, Error>((resume) => {
    const worker = new Worker(new URL("./mutant.ts", import.meta.url), { workerData: mutant })
    worker.once("message", (verdict: Verdict) => {
      resume(Effect.succeed(verdict))
      void worker.terminate()
    })
    worker.once("error", (error) => resume(Effect.fail(error instanceof Error ? error : new Error(String(error)))))
    return Effect.promise(() => worker.terminate())
  })

const command = Command.make("mutants", {
  only: Flag.String("only").pipe(Flag.withDescription("those whose name contains this"), Flag.withDefault("")),
  workers: Flag.Int("workers").pipe(Flag.withDescription("threads"), Flag.withDefault(availableParallelism()))
}, ({ only, workers }) =>
  Effect.gen(function*() {
    const survivors: Array<string> = []
    const begin = performance.now()
    yield* Effect.forEach(
      mutants.filter(({ name }) => name.includes(only)),
      (mutant) =>
        Effect.flatMap(hunt(mutant), ({ complaint, seeds, simulator }) => {
          if (complaint === undefined) survivors.push(mutant.name)
          const [budget] = Object.values(mutant.within)
          const found = complaint === undefined
            ? "NOT FOUND"
            : complaint.split("\n")[0]?.replace(/^seed \d+: /, "").slice(0, 110)
          return Console.log(`| ${mutant.name} | ${simulator} | ${seeds} of ${budget} | ${found} |`)
        }),
      { concurrency: workers, discard: true }
    )
    yield* Console.log(`${((performance.now() - begin) / 1000).toFixed(0)} s`)
    if (survivors.length > 0) return yield* new Survived({ message: `not found: ${survivors.join("; ")}` })
  })).pipe(Command.withDescription("Puts known bugs into the nodes, one at a time; the simulation has to find each."))

if (import.meta.main) {
  command.pipe(
    Command.run({ version: "1" }),
    Effect.tapError((error) => Console.error(error.message)),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain
  )
}
