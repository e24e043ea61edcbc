/**
 * `npm run mutants [-- --only TEXT]`: puts each bug of `Mutants.ts` into the nodes and counts the seeds until the
 * simulation finds it. Fails when one is not found within the seeds it has.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Data, Effect, Runtime } from "effect"
import { Command, Flag } from "effect/cli"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import type { Mutant } from "./Mutant.ts"
import { mutants, mutantVariable } from "./Mutants.ts"
import type { Verdict } from "./worker.ts"

class Survived extends Data.TaggedError("Survived")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

/** Runs a mutant, by seeds or under a test. */
export const hunt = (mutant: Mutant): Effect.Effect<Verdict, Error> =>
  "test" in mutant.within ? underTest(mutant.name, mutant.within.test) : bySeeds(mutant)

/** Those whose tests a mutant may be in: they start no process. */
const projects = ["unit", "ports", "storage", "simulation"].flatMap((name) => ["--project", name])

/**
 * Runs a test file with a mutant in the sources, which `vitest.config.ts` puts there. It has to fail, by its
 * assertions.
 */
const underTest = (name: string, file: string): Effect.Effect<Verdict, Error> =>
  Effect.callback<Verdict, Error>((resume) => {
    const folder = mkdtempSync(join(tmpdir(), "flaredb-mutant-"))
    const report = join(folder, "report.json")
    const child = spawn(
      process.execPath,
      ["node_modules/vitest/vitest.mjs", "run", ...projects, "--reporter=json", `--outputFile=${report}`, file],
      { env: { ...process.env, [mutantVariable]: name }, stdio: "ignore" }
    )
    child.once("error", (error) => resume(Effect.fail(error)))
    child.once("close", () => {
      try {
        const { numFailedTests, numTotalTests } = JSON.parse(readFileSync(report, "utf8")) as {
          readonly numFailedTests: number
          readonly numTotalTests: number
        }
        if (numTotalTests === 0) throw new Error("it ran no test")
        resume(Effect.succeed({
          simulator: "test",
          seeds: 0,
          complaint: numFailedTests === 0 ? undefined : `${numFailedTests} of ${numTotalTests} fail in ${file}`
        }))
      } catch (error) {
        resume(Effect.fail(new Error(`${file} could not be run with a mutant: ${String(error)}`)))
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })
    return Effect.sync(() => child.kill())
  })

/** Runs a mutant in a thread of its own. */
const bySeeds = (mutant: Mutant): Effect.Effect<Verdict, Error> =>
  Effect.callback<Verdict, Error>((resume) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: mutant })
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
          const budget = "cores" in mutant.within
            ? mutant.within.cores
            : "nodes" in mutant.within
            ? mutant.within.nodes
            : undefined
          const found = complaint === undefined
            ? "NOT FOUND"
            : complaint.split("\n")[0]?.replace(/^seed \d+: /, "").slice(0, 110)
          return Console.log(
            `| ${mutant.name} | ${simulator} | ${budget === undefined ? "" : `${seeds} of ${budget}`} | ${found} |`
          )
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
