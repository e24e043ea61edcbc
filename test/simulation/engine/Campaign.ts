/**
 * A campaign of seeds on all cores. Ends with how many seeds and events that were, how fast, and how often each
 * interesting thing happened and in how many seeds. It fails when a seed failed, or when something never happened that
 * happens so often that chance does not explain it; what is too rare for so few seeds is printed and fails nothing.
 */
import { Console, Data, Effect, Queue, Runtime } from "effect"
import { Worker } from "node:worker_threads"
import type { WorldName } from "../worlds.ts"
import { worlds } from "../worlds.ts"
import { Probes } from "./Probes.ts"
import type { Task } from "./Seeds.ts"
import type { Answer } from "./worker.ts"

/** Seeds that a worker takes at a time, at most. */
const batchSeeds = 5

export class CampaignFailed extends Data.TaggedError("CampaignFailed")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

const startWorker = (name: WorldName, answers: Queue.Queue<Answer | Error>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: name })
      worker.on("message", (answer: Answer) => Queue.offerUnsafe(answers, answer))
      worker.on(
        "error",
        (error) => Queue.offerUnsafe(answers, error instanceof Error ? error : new Error(String(error)))
      )
      return worker
    }),
    (worker) => Effect.promise(() => worker.terminate())
  )

/** Runs `count` seeds from `seed` on. */
export const campaign = Effect.fnUntraced(function*(name: WorldName, { count, seed }: Task, workers: number) {
  const world = yield* Effect.promise(() => worlds[name].load())
  const answers = yield* Queue.unbounded<Answer | Error>()
  const begin = performance.now()
  const end = seed + count
  const probes = new Probes(world.probes)
  let failed = 0
  let next = seed
  let done = 0
  let events = 0
  let told = begin
  const give = (worker: Worker): void => {
    const task: Task = { seed: next, count: Math.min(batchSeeds, end - next) }
    next += task.count
    worker.postMessage(task)
  }
  const idle = yield* Effect.forEach(Array.from({ length: workers }), () => startWorker(name, answers))
  const byThread = new Map(idle.map((worker) => [worker.threadId, worker]))
  for (const worker of idle) if (next < end) give(worker)
  while (done < count) {
    const answer = yield* Queue.take(answers)
    if (answer instanceof Error) return yield* new CampaignFailed({ message: `a worker ended: ${answer.message}` })
    done += answer.seeds
    events += answer.events
    probes.add(answer.probes)
    failed += answer.failures.length
    for (const failure of answer.failures) yield* Console.log(failure)
    const worker = byThread.get(answer.thread)
    if (worker !== undefined && next < end) give(worker)
    if (performance.now() - told > 5_000) {
      told = performance.now()
      yield* Console.log(`${done} of ${count} seeds, ${(done / ((told - begin) / 1000)).toFixed(1)} a second`)
    }
  }
  const seconds = (performance.now() - begin) / 1000
  for (const [probe, hits, seeds] of [...probes.all].sort(([a], [b]) => a < b ? -1 : 1)) {
    yield* Console.log(`${String(hits).padStart(9)} in ${String(seeds).padStart(6)} seeds: ${probe}`)
  }
  yield* Console.log(
    `${count} seeds from ${seed} on in ${seconds.toFixed(1)} s: ${(count / seconds).toFixed(1)} seeds a second of ` +
      `${Math.round(events / count)} events, ${failed} failed`
  )
  if (failed > 0) return yield* new CampaignFailed({ message: `${failed} seeds failed` })
  const overdue = probes.overdue(count)
  if (overdue.length > 0) {
    return yield* new CampaignFailed({ message: `no seed failed, but this never happened: ${overdue.join("; ")}` })
  }
  const { missed } = probes
  if (missed.length > 0) yield* Console.log(`too rare for ${count} seeds, did not happen: ${missed.join("; ")}`)
}, Effect.scoped)
