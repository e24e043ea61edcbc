/** The example's job queue in three real processes: the leader is killed again and again while jobs come and go. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { JobQueue } from "../../examples/job-queue/JobQueue.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { cleanEnv } from "./Flaredb.ts"
import { rest } from "./Rest.ts"

const node = ["examples/job-queue/node.ts"]
const queue = "mails"

it.live("nothing acknowledged is lost, and nothing delivered twice within its time, through kill -9 of the leader", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3, node)
    yield* Cluster.start(cluster)
    const count = 200
    const leaseMs = 5_000
    const kills = 3
    const acknowledged = new Set<number>()
    const heldUntil = new Map<number, number>()
    const completed = new Set<number>()
    let killed = 0
    let produced = false
    const killing = () => killed < kills

    const produce = Effect.gen(function*() {
      const jobs = yield* JobQueue
      for (let i = 0; i < count || killing(); i++) {
        // A lost answer makes the call a duplicate of its own first attempt; the job is the same.
        const { job } = yield* jobs.enqueue(queue, { key: `job-${i}`, payload: `payload ${i}` })
        acknowledged.add(job)
        yield* rest
      }
      produced = true
    })
    const kill = Effect.gen(function*() {
      while (killing()) {
        const goal = acknowledged.size + 40
        yield* eventually("40 more jobs are acknowledged", () => acknowledged.size >= goal)
        const leader = yield* cluster.leader
        yield* leader.stop("SIGKILL")
        const without = acknowledged.size + 10
        yield* eventually("10 more jobs are acknowledged without it", () => acknowledged.size >= without)
        yield* leader.start
        killed += 1
      }
    })
    const open = () => !produced || completed.size < acknowledged.size
    const work = Effect.gen(function*() {
      const jobs = yield* JobQueue
      while (open()) {
        const askedMs = yield* Clock.currentTimeMillis
        const taken = yield* jobs.take(queue, leaseMs)
        if (Option.isNone(taken)) {
          // Each question is an entry of the log, for the nodes to write.
          yield* Effect.sleep(200)
          continue
        }
        const { id } = taken.value
        const nowMs = yield* Clock.currentTimeMillis
        assert.isAtMost((heldUntil.get(id) ?? 0) - 100, nowMs, `job ${id} was delivered to another within its time`)
        assert.isFalse(completed.has(id), `job ${id} was delivered after it was done`)
        heldUntil.set(id, askedMs + leaseMs)
        // Lost when the time of the job ran out meanwhile: then somebody else has it.
        yield* jobs.complete(taken.value).pipe(
          Effect.andThen(Effect.sync(() => void completed.add(id))),
          Effect.catchTag("NotHeld", () => Effect.void)
        )
      }
    })
    yield* Effect.gen(function*() {
      const jobs = yield* JobQueue
      yield* Effect.all([produce, kill, work, work, work, work], { concurrency: "unbounded" })
      const stats = yield* jobs.stats(queue)
      assert.strictEqual(completed.size, acknowledged.size)
      assert.deepInclude(stats, { waiting: 0, taken: 0, dead: 0, enqueued: acknowledged.size, done: acknowledged.size })
    }).pipe(
      Effect.provide(JobQueue.layer),
      Effect.provide(FlareDb.layerCommands({ endpoints: cluster.endpoints, requestTimeoutMs: 60_000 }))
    )

    const program = yield* ChildProcess.make(process.execPath, ["examples/job-queue/main.ts"], {
      env: cleanEnv({ FLAREDB_ENDPOINTS: cluster.endpointList }),
      extendEnv: true,
      stdin: "ignore"
    })
    const out = yield* Stream.mkString(Stream.decodeText(program.stdout))
    assert.match(out, /known already: job \d+, ada@example.org/)
    assert.match(out, /sent to alan@example.org/)
    assert.match(out, /given up after 2 attempts: nobody@invalid/)
    assert.strictEqual(Number(yield* program.exitCode), 0)
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("the example runs without a cluster, in memory", () =>
  Effect.gen(function*() {
    const program = yield* ChildProcess.make(process.execPath, ["examples/job-queue/main.ts"], {
      env: cleanEnv({}),
      extendEnv: true,
      stdin: "ignore"
    })
    const out = yield* Stream.mkString(Stream.decodeText(program.stdout))
    assert.match(out, /done 2, dead 1, duplicates 1\n$/)
    assert.strictEqual(Number(yield* program.exitCode), 0)
  }).pipe(Effect.provide(NodeServices.layer)))
