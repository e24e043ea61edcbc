/**
 * `npm run simulate:compare -- --from COMMIT [--to COMMIT]`: whether the same seeds give the same traces, byte for
 * byte, in the sources of a commit and in those of another one, or in the working tree. What only moves or renames code
 * has to leave them equal.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Data, Effect, FileSystem, Option, Runtime } from "effect"
import { Command, Flag } from "effect/cli"
import { execFileSync } from "node:child_process"
import { symlinkSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import type { WorldName } from "../worlds.ts"
import type { Question, TraceOfSeed, Tree } from "./worker.ts"

class TracesDiffer extends Data.TaggedError("TracesDiffer")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

const here = join(import.meta.dirname, "../../..")

/** The sources of a commit in a folder of their own, with the packages of this tree; without a commit, this tree. */
const sourcesOf = Effect.fnUntraced(function*(commit: string | undefined) {
  if (commit === undefined) return here
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-traces-" })
  yield* Effect.try({
    try: () => {
      const archive = execFileSync("git", ["archive", commit, "src", "test", "package.json"], {
        cwd: here,
        maxBuffer: 1 << 30
      })
      execFileSync("tar", ["-x", "-C", folder], { input: archive })
      symlinkSync(join(here, "node_modules"), join(folder, "node_modules"))
    },
    catch: (error) => new TracesDiffer({ message: `no sources of ${commit}: ${String(error)}` })
  })
  return folder
})

const startWorker = (tree: Tree) =>
  Effect.acquireRelease(
    Effect.sync(() => new Worker(new URL("./worker.ts", import.meta.url), { workerData: tree })),
    (worker) => Effect.promise(() => worker.terminate())
  )

const ask = (worker: Worker, question: Question) =>
  Effect.callback<TraceOfSeed, TracesDiffer>((resume) => {
    const answered = (trace: TraceOfSeed): void => {
      worker.off("error", failed)
      resume(Effect.succeed(trace))
    }
    const failed = (error: Error): void => {
      worker.off("message", answered)
      resume(Effect.fail(new TracesDiffer({ message: `seed ${question.seed}: ${error.message}` })))
    }
    worker.once("message", answered)
    worker.once("error", failed)
    worker.postMessage(question)
  })

/** The hash of each seed's trace. */
const hashesOf = (tree: Tree, seeds: ReadonlyArray<number>, threads: number) =>
  Effect.scoped(Effect.gen(function*() {
    const hashes = new Map<number, string>()
    const left = [...seeds]
    yield* Effect.forEach(
      Array.from({ length: threads }),
      Effect.fnUntraced(function*() {
        const worker = yield* startWorker(tree)
        for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
          hashes.set(seed, (yield* ask(worker, { seed, whole: false })).hash)
        }
      }),
      { concurrency: "unbounded", discard: true }
    )
    return hashes
  }))

const linesOf = (tree: Tree, seed: number) =>
  Effect.scoped(Effect.gen(function*() {
    const worker = yield* startWorker(tree)
    return (yield* ask(worker, { seed, whole: true })).lines
  }))

/** The first lines that differ. */
const firstDifference = (before: ReadonlyArray<string>, after: ReadonlyArray<string>): string => {
  const at = before.findIndex((line, index) => line !== after[index])
  const line = at === -1 ? before.length : at
  // Run again, alone, it gave the same lines: something besides the seed decides what happens.
  if (at === -1 && before.length === after.length) return "run alone, has equal traces: its runs are not alike"
  return `line ${line + 1}:\n- ${before[line] ?? "(its end)"}\n+ ${after[line] ?? "(its end)"}`
}

const compare = Effect.fnUntraced(
  function*(world: WorldName, from: string, to: string | undefined, seeds: ReadonlyArray<number>, threads: number) {
    const before: Tree = { root: yield* sourcesOf(from), world }
    const after: Tree = { root: yield* sourcesOf(to), world }
    const old = yield* hashesOf(before, seeds, threads)
    const now = yield* hashesOf(after, seeds, threads)
    const different = seeds.filter((seed) => old.get(seed) !== now.get(seed))
    const [first] = different
    const what = `${world}: traces of seeds ${seeds[0]} to ${seeds[seeds.length - 1]}, ${from} and ${to ?? "this tree"}`
    if (first === undefined) return yield* Console.log(`${what}: all ${seeds.length} are equal`)
    const where = firstDifference(yield* linesOf(before, first), yield* linesOf(after, first))
    return yield* new TracesDiffer({
      message: `${what}: ${different.length} of ${seeds.length} differ: ${different.join()}\nseed ${first}, ${where}`
    })
  },
  Effect.scoped
)

Command.make("simulate:compare", {
  from: Flag.String("from").pipe(Flag.withDescription("the commit before")),
  to: Flag.String("to").pipe(Flag.withDescription("the commit after; this tree by default"), Flag.optional),
  world: Flag.Literals("world", ["nodes", "cores", "actors"]).pipe(
    Flag.withDescription("whose traces"),
    Flag.withDefault("nodes")
  ),
  seed: Flag.Int("seed").pipe(Flag.withDescription("the first seed"), Flag.withDefault(1)),
  count: Flag.Int("count").pipe(Flag.withDescription("how many seeds"), Flag.withDefault(200)),
  workers: Flag.Int("workers").pipe(Flag.withDescription("threads"), Flag.withDefault(availableParallelism()))
}, ({ count, from, seed, to, workers, world }) =>
  compare(
    world,
    from,
    Option.getOrUndefined(to),
    Array.from({ length: count }, (_, index) => seed + index),
    workers
  )).pipe(
    Command.withDescription("Compares the traces of the same seeds in two commits, byte for byte."),
    Command.run({ version: "1" }),
    Effect.tapError((error) => Console.error(error instanceof TracesDiffer ? error.message : String(error))),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain
  )
