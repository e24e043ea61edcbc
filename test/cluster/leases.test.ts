/** Leases and locks on real nodes: time goes on under the next leader, and a leader that was stopped acts on nothing it remembers. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Option, Scope, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import { Locks } from "../../src/client/Lock.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"

/** How long the leader is stopped, in milliseconds. */
const stopMs = 10_000

/** How far a lease may be off after a change of leaders, in milliseconds. */
const toleranceMs = 1_000

/** What the leader may take to notice that a lease has ended, and an election on the way, on a busy machine, in milliseconds. */
const lateMs = 10_000

/** Waits until a key is gone, and gives when that was. */
const goneAt = (key: string): Effect.Effect<number, never, KeyValue> =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    for (;;) {
      if (Option.isNone(yield* Effect.orDie(kv.get(key)))) return performance.now()
      yield* Effect.sleep(20)
    }
  })

it.live("leases keep their time over a leader that is killed, and one that is stopped and goes on", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const leases = yield* Leases

      const long = yield* leases.grant(60_000)
      yield* kv.put("long", "", { lease: long.id })
      const askedAt = performance.now()
      const before = yield* leases.timeToLive(long.id)
      const beforeAt = performance.now()
      const killed = yield* cluster.leader
      yield* killed.stop("SIGKILL")
      yield* killed.start
      yield* kv.put("writes", "go on")
      const againAt = performance.now()
      const after = yield* leases.timeToLive(long.id)
      // The two answers were true at some moment of their calls: the time between those lies within these bounds.
      const passedMs = before.remainingMs - after.remainingMs
      figure(`time of a lease over a leader kill: ${passedMs} ms passed in ${(againAt - beforeAt).toFixed(0)} ms`)
      assert.isAtLeast(passedMs, againAt - beforeAt - toleranceMs)
      assert.isAtMost(passedMs, performance.now() - askedAt + toleranceMs)

      // One lease is kept alive past its time, by whoever leads; another one ends while the old leader is stopped.
      const held = yield* leases.scoped(9_000)
      yield* kv.put("held", "", { lease: held.id })
      const short = yield* leases.grant(4_000)
      yield* kv.put("short", "", { lease: short.id })
      const mediumMs = stopMs + 4_000
      const medium = yield* leases.grant(mediumMs)
      const mediumAt = performance.now()
      yield* kv.put("medium", "", { lease: medium.id })
      const stopped = yield* cluster.leader
      yield* stopped.pause
      const stoppedAt = performance.now()
      assert.isAtLeast((yield* goneAt("short")) - mediumAt, 4_000 - toleranceMs)
      yield* Effect.sleep(stopMs - (performance.now() - stoppedAt))
      yield* stopped.resume
      // It hears of the next leader, and has applied what happened meanwhile.
      yield* kv.put("resumed", "")
      yield* cluster.until((all) => {
        const own = all.find(({ nodeId }) => nodeId === stopped.id)
        const leader = all.find(({ role }) => role === "leader")
        return own !== undefined && leader !== undefined && own.term === leader.term && own.applied >= leader.commit
      })
      const mediumGoneAt = yield* goneAt("medium")
      assert.isAtLeast(mediumGoneAt - mediumAt, mediumMs - toleranceMs)
      assert.isAtMost(mediumGoneAt - mediumAt, mediumMs + lateMs)
      assert.isTrue(Option.isSome(yield* kv.get("held")))
      assert.isTrue(Option.isSome(yield* kv.get("long")))
      figure(
        `a lease of ${mediumMs} ms whose leader was stopped for ${stopMs} ms ended after ${
          (mediumGoneAt - mediumAt).toFixed(0)
        } ms`
      )
    }).pipe(Effect.scoped, Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("the lock of a process that is killed goes to the next one once its lease has ended, with a higher revision", () =>
  Effect.gen(function*() {
    const ttlMs = 2_000
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const locks = yield* Locks
      const scope = yield* Scope.Scope
      const holder = yield* ChildProcess.make(
        process.execPath,
        [fileURLToPath(new URL("./LockHolder.ts", import.meta.url)), cluster.endpointList, "jobs", String(ttlMs)],
        { stdin: "ignore", stderr: "inherit" }
      ).pipe(Scope.provide(scope))
      const held = yield* Deferred.make<number>()
      yield* Effect.forkScoped(
        holder.stdout.pipe(
          Stream.decodeText(),
          Stream.splitLines,
          Stream.runForEach((line) => Deferred.succeed(held, Number(line.replace("HELD ", "")))),
          Effect.ignore
        )
      )
      const revision = yield* Deferred.await(held)
      assert.isTrue(Option.isNone(yield* Effect.scoped(locks.tryAcquire("jobs"))))
      process.kill(holder.pid, "SIGKILL")
      const killedAt = performance.now()
      const lock = yield* locks.acquire("jobs", { ttlMs })
      const waitedMs = performance.now() - killedAt
      assert.isAbove(lock.revision, revision)
      // A keep-alive came at most a third of the time before.
      assert.isAtLeast(waitedMs, (ttlMs * 2) / 3 - toleranceMs)
      assert.isAtMost(waitedMs, ttlMs + lateMs)
      figure(
        `lock of a killed holder, of ${ttlMs} ms: taken by the next after ${waitedMs.toFixed(0)} ms`
      )
    }).pipe(Effect.scoped, Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))
