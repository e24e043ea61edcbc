/**
 * A service that sends mails through the job queue: enqueues some, one of them twice and one that cannot be
 * delivered, works them off, and tells what became of them.
 *
 *   npx node examples/job-queue/main.ts   # in memory, or at FLAREDB_ENDPOINTS if nodes run there (node.ts)
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Console, Effect, Layer, Option } from "effect"
import { FlareDb, identityFromEnv, parseEndpoints } from "flaredb"
import { layer as jobMachine } from "./JobMachine.ts"
import { JobQueue } from "./JobQueue.ts"

const queue = "mails"

const program = Effect.gen(function*() {
  const jobs = yield* JobQueue
  for (const to of ["ada@example.org", "alan@example.org", "ada@example.org", "nobody@invalid"]) {
    const { duplicate, job } = yield* jobs.enqueue(queue, { key: `welcome:${to}`, payload: to, maxAttempts: 2 })
    yield* Console.log(`${duplicate ? "known already" : "enqueued"}: job ${job}, ${to}`)
  }
  const worker = jobs.work(
    queue,
    ({ payload }) => payload.endsWith("invalid") ? Effect.fail("no such host") : Console.log(`sent to ${payload}`),
    { retryDelay: 50, idle: 20 }
  )
  const finished = Effect.gen(function*() {
    let stats = yield* jobs.stats(queue)
    while (stats.waiting + stats.taken > 0) {
      yield* Effect.sleep(20)
      stats = yield* jobs.stats(queue)
    }
    return stats
  })
  const stats = yield* Effect.raceFirst(finished, worker)
  for (const { attempts, payload } of yield* jobs.dead(queue)) {
    yield* Console.log(`given up after ${attempts} attempts: ${payload}`)
  }
  yield* Console.log(`done ${stats.done}, dead ${stats.dead}, duplicates ${stats.duplicates}`)
})

const FlareDbLive = Layer.unwrap(
  Effect.gen(function*() {
    const text = yield* Config.option(Config.String("FLAREDB_ENDPOINTS"))
    return Option.isNone(text)
      ? FlareDb.layerMemoryWith(jobMachine)
      : FlareDb.layerCommands({ endpoints: yield* parseEndpoints(text.value), ...yield* identityFromEnv })
  })
)

NodeRuntime.runMain(program.pipe(Effect.provide(JobQueue.layer), Effect.provide(FlareDbLive)))
