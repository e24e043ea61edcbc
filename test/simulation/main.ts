/**
 * `npm run simulate -- --seed 1 --count 1000`: a campaign of seeded lives of three whole nodes, on all cores. Ends with how many
 * seeds and events that were, how fast, and how often each interesting thing happened and in how many seeds. Its exit code is 1 when
 * a seed failed, or when something never happened that happens so often that chance does not explain it (`nodes/Probes.ts`); what
 * is too rare for so few seeds is told and fails nothing. `--seed N --trace` tells the life of one seed, a line for each thing that happens.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Data, Effect, Queue, Runtime } from "effect"
import { Command, Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import type { Answer, Task } from "./nodes/campaign.ts"
import { Probes } from "./nodes/Probes.ts"
import { simulate } from "./nodes/Simulation.ts"

/** Seeds a worker takes at a time. */
const batchSeeds = 5

class CampaignFailed extends Data.TaggedError("CampaignFailed")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

const startWorker = (answers: Queue.Queue<Answer | Error>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const worker = new Worker(new URL("./nodes/campaign.ts", import.meta.url))
      worker.on("message", (answer: Answer) => Queue.offerUnsafe(answers, answer))
      worker.on(
        "error",
        (error) => Queue.offerUnsafe(answers, error instanceof Error ? error : new Error(String(error)))
      )
      return worker
    }),
    (worker) => Effect.promise(() => worker.terminate())
  )

const campaign = Effect.fnUntraced(function*(first: number, count: number, workers: number) {
  const answers = yield* Queue.unbounded<Answer | Error>()
  const begin = performance.now()
  const end = first + count
  const probes = new Probes()
  const failures: Array<string> = []
  let next = first
  let done = 0
  let events = 0
  let told = begin
  const give = (worker: Worker): void => {
    const task: Task = { seed: next, count: Math.min(batchSeeds, end - next) }
    next += task.count
    worker.postMessage(task)
  }
  const idle = yield* Effect.forEach(Array.from({ length: workers }), () => startWorker(answers))
  const byThread = new Map(idle.map((worker) => [worker.threadId, worker]))
  for (const worker of idle) if (next < end) give(worker)
  while (done < count) {
    const answer = yield* Queue.take(answers)
    if (answer instanceof Error) return yield* new CampaignFailed({ message: `a worker ended: ${answer.message}` })
    done += answer.seeds
    events += answer.events
    probes.add(answer.probes)
    for (const failure of answer.failures) {
      failures.push(failure)
      yield* Console.log(failure)
    }
    const worker = byThread.get(answer.thread)
    if (worker !== undefined && next < end) give(worker)
    if (performance.now() - told > 5_000) {
      told = performance.now()
      yield* Console.log(`${done} of ${count} seeds, ${(done / ((told - begin) / 1000)).toFixed(1)} a second`)
    }
  }
  const seconds = (performance.now() - begin) / 1000
  for (const [probe, hits, seeds] of probes.all.sort(([a], [b]) => a < b ? -1 : 1)) {
    yield* Console.log(`${String(hits).padStart(9)} in ${String(seeds).padStart(6)} seeds: ${probe}`)
  }
  yield* Console.log(
    `${count} seeds from ${first} on in ${seconds.toFixed(1)} s: ${(count / seconds).toFixed(1)} seeds a second of ` +
      `${Math.round(events / count)} events, ${failures.length} failed`
  )
  if (failures.length > 0) return yield* new CampaignFailed({ message: `${failures.length} seeds failed` })
  const overdue = probes.overdue(count)
  if (overdue.length > 0) {
    return yield* new CampaignFailed({ message: `no seed failed, but this never happened: ${overdue.join("; ")}` })
  }
  const { missed } = probes
  if (missed.length > 0) yield* Console.log(`too rare for ${count} seeds, did not happen: ${missed.join("; ")}`)
}, Effect.scoped)

const command = Command.make("simulate", {
  seed: Flag.Int("seed").pipe(Flag.withDescription("the first seed"), Flag.withDefault(1)),
  count: Flag.Int("count").pipe(Flag.withDescription("how many seeds"), Flag.withDefault(1)),
  workers: Flag.Int("workers").pipe(Flag.withDescription("threads"), Flag.withDefault(availableParallelism())),
  trace: Flag.Boolean("trace").pipe(Flag.withDescription("tell what happens, of one seed"), Flag.withDefault(false))
}, ({ count, seed, trace, workers }) =>
  trace
    ? Effect.try({
      try: () => {
        simulate({ seed, trace: (line) => process.stdout.write(`${line}\n`) })
      },
      catch: (error) => new CampaignFailed({ message: error instanceof Error ? error.message : String(error) })
    })
    : campaign(seed, count, workers)).pipe(
    Command.withDescription("Seeded lives of three whole nodes on a simulated network, disk and clock.")
  )

command.pipe(
  Command.run({ version: "1" }),
  Effect.tapError((error) => Console.error(error instanceof CampaignFailed ? error.message : String(error))),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
