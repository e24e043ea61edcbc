/** The job queue on three nodes in virtual time, through its typed client: no job lost, none had by two at a time. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { layer as machine } from "../../../examples/job-queue/JobMachine.ts"
import { JobQueue } from "../../../examples/job-queue/JobQueue.ts"
import { answerBytes, queryBytes } from "../../../examples/job-queue/Protocol.ts"
import type { TestNode } from "../../../src/testing/TestCluster.ts"
import { TestCluster } from "../../../src/testing/TestCluster.ts"

const cluster = TestCluster.make({ voters: 3, passTime: TestClock.adjust(10), machine })

/** Runs a program of the client while time passes. */
const using = <A, E>(three: TestCluster, program: Effect.Effect<A, E, JobQueue>) =>
  three.whileTimePasses(program.pipe(Effect.provide(JobQueue.layer), Effect.provide(three.commands)))

const queue = "mails"
const job = (key: string, more = {}) => ({ key, payload: `to ${key}`, ...more })

it.effect("a job is enqueued once, taken once, and done", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    yield* three.leader()
    yield* using(
      three,
      Effect.gen(function*() {
        const jobs = yield* JobQueue
        const first = yield* jobs.enqueue(queue, job("a"))
        assert.isFalse(first.duplicate)
        assert.deepStrictEqual(yield* jobs.enqueue(queue, job("a")), { job: first.job, duplicate: true })
        const taken = Option.getOrThrow(yield* jobs.take(queue, "5 seconds"))
        assert.strictEqual(taken.payload, "to a")
        assert.isTrue(Option.isNone(yield* jobs.take(queue, "5 seconds")))
        yield* jobs.complete(taken)
        assert.deepInclude(yield* jobs.stats(queue), { waiting: 0, taken: 0, done: 1, duplicates: 1, completed: 1 })
        assert.isTrue((yield* jobs.enqueue(queue, job("a"))).duplicate, "its key is remembered")
      })
    )
  }))

it.effect("a job that is not finished in its time is another's, and late finishers are told", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    yield* three.leader()
    yield* using(
      three,
      Effect.gen(function*() {
        const jobs = yield* JobQueue
        yield* jobs.enqueue(queue, job("a"))
        const first = Option.getOrThrow(yield* jobs.take(queue, "2 seconds"))
        const takenMs = yield* Clock.currentTimeMillis
        let second = yield* jobs.take(queue, "2 seconds")
        while (Option.isNone(second)) second = yield* Effect.andThen(Effect.sleep(20), jobs.take(queue, "2 seconds"))
        assert.isAtLeast((yield* Clock.currentTimeMillis) - takenMs, 1_900)
        assert.strictEqual(second.value.attempts, 2)
        const late = yield* Effect.flip(jobs.complete(first))
        assert.strictEqual(late._tag, "NotHeld")
        yield* jobs.complete(second.value)
      })
    )
  }))

it.effect("a job fails until it is dead, and lives again when it is revived", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    yield* three.leader()
    yield* using(
      three,
      Effect.gen(function*() {
        const jobs = yield* JobQueue
        yield* jobs.enqueue(queue, job("a", { maxAttempts: 2 }))
        const first = Option.getOrThrow(yield* jobs.take(queue, "2 seconds"))
        assert.strictEqual(yield* jobs.fail(first, "no such host"), "retrying")
        const second = Option.getOrThrow(yield* jobs.take(queue, "2 seconds"))
        assert.strictEqual(yield* jobs.fail(second, "no such host"), "dead")
        const [dead] = yield* jobs.dead(queue)
        assert.deepInclude(dead, { id: first.id, attempts: 2, failure: "no such host" })
        assert.isTrue(yield* jobs.revive(first.id))
        assert.isFalse(yield* jobs.revive(first.id))
        assert.deepInclude(yield* jobs.stats(queue), { waiting: 1, dead: 0 })
      })
    )
  }))

it.effect("what is wrong is refused by its field, before it reaches the log", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const leader = yield* three.leader()
    yield* using(
      three,
      Effect.gen(function*() {
        const jobs = yield* JobQueue
        for (const [name, key] of [["no spaces please", "a"], [queue, ""], [queue, "x".repeat(201)]] as const) {
          assert.strictEqual((yield* Effect.flip(jobs.enqueue(name, job(key))))._tag, "InvalidArgument")
        }
      })
    )
    const [garbage] = yield* leader.node.propose([Uint8Array.of(1, 2, 3)])
    assert.deepInclude(garbage, { _tag: "InvalidArgument", field: "command" })
  }))

it.effect(
  "workers through crashes of whoever leads: every job done, none held by two at a time",
  () =>
    Effect.gen(function*() {
      const three = yield* cluster
      yield* three.leader()
      const count = 60
      const leaseMs = 3_000
      const holders = new Map<number, number>()
      const completed: Array<number> = []
      const crashes = Effect.gen(function*() {
        for (let i = 0; i < 4; i++) {
          const leader: TestNode = yield* three.leader()
          yield* leader.crash
          yield* three.leader()
          yield* leader.start
        }
      }).pipe(Scope.provide(yield* Effect.scope))
      const worker = Effect.gen(function*() {
        const jobs = yield* JobQueue
        while (completed.length < count) {
          const askedMs = yield* Clock.currentTimeMillis
          const taken = yield* jobs.take(queue, leaseMs)
          if (Option.isNone(taken)) {
            yield* Effect.sleep(50)
            continue
          }
          const nowMs = yield* Clock.currentTimeMillis
          // The next leader may have learnt of the take a little later than it was found.
          assert.isAtMost((holders.get(taken.value.id) ?? 0) - 50, nowMs, `job ${taken.value.id} is held by another`)
          holders.set(taken.value.id, askedMs + leaseMs)
          yield* Effect.sleep(20)
          yield* Effect.matchEffect(jobs.complete(taken.value), {
            onSuccess: () => Effect.sync(() => void completed.push(taken.value.id)),
            onFailure: (error) => error._tag === "NotHeld" ? Effect.void : Effect.fail(error)
          })
        }
      })
      yield* using(
        three,
        Effect.gen(function*() {
          const jobs = yield* JobQueue
          const enqueue = Effect.forEach(
            Array.from({ length: count }, (_, i) => `job-${i}`),
            (key) => jobs.enqueue(queue, job(key, { maxAttempts: 100 })),
            { concurrency: 4 }
          )
          const [added] = yield* Effect.all([enqueue, crashes, worker, worker, worker], { concurrency: "unbounded" })
          assert.strictEqual(new Set(added.map((one) => one.job)).size, count)
          const stats = yield* jobs.stats(queue)
          assert.deepInclude(stats, { waiting: 0, taken: 0, dead: 0, done: count, completed: count, enqueued: count })
        })
      )
      assert.deepStrictEqual(
        [...completed].sort((a, b) => a - b),
        [...new Set(completed)].sort((a, b) => a - b),
        "no job was done twice"
      )
      yield* three.converged
      const images = three.nodes.map(({ disk }) =>
        [...disk.state.rows].map(({ key, value }) =>
          `${Buffer.from(key).toString("hex")}=${Buffer.from(value).toString("hex")}`
        )
      )
      assert.deepStrictEqual(images[1], images[0])
      assert.deepStrictEqual(images[2], images[0])
    }),
  60_000
)

it.effect("a node that comes too late for the log gets the queue as a snapshot, and goes on with it", () =>
  Effect.gen(function*() {
    const three = yield* TestCluster.make({
      voters: 3,
      passTime: TestClock.adjust(10),
      machine,
      limits: { maxLogEntries: 40, logSlackEntries: 5 }
    })
    const first = yield* three.leader()
    const late = three.nodes.find((node) => node !== first) as TestNode
    yield* late.stop
    const held = yield* using(
      three,
      Effect.gen(function*() {
        const jobs = yield* JobQueue
        yield* Effect.forEach(Array.from({ length: 120 }, (_, i) => `job-${i}`), (key) => jobs.enqueue(queue, job(key)))
        return Option.getOrThrow(yield* jobs.take(queue, "1 hour"))
      })
    )
    const leader = yield* three.leader()
    assert.isAbove((yield* leader.node.status).firstIndex, 60, "the log was compacted")
    yield* late.start
    yield* three.converged
    const [stale] = yield* late.node.query([queryBytes.encode({ _tag: "Stats", queue })], "stale")
    assert(stale instanceof Uint8Array)
    const answer = answerBytes.decode(stale)
    assert.deepInclude(answer, { _tag: "StatsOf" })
    assert.deepInclude((answer as { readonly stats: unknown }).stats, { waiting: 119, taken: 1, enqueued: 120 })
    // With the others gone in turn, the late node is needed for every commit.
    const gone = three.nodes.find((node) => node !== late && node !== leader)
    yield* (gone as TestNode).stop
    yield* using(three, Effect.flatMap(JobQueue, (jobs) => jobs.complete(held)))
    yield* (gone as TestNode).start
    yield* three.converged
    const images = three.nodes.map(({ disk }) =>
      [...disk.state.rows].map(({ key, value }) =>
        `${Buffer.from(key).toString("hex")}=${Buffer.from(value).toString("hex")}`
      )
    )
    assert.deepStrictEqual(images[1], images[0])
    assert.deepStrictEqual(images[2], images[0])
  }))
