/** What locks and elections promise, on memory and on RocksDB. */
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Queue, Scope, Stream } from "effect"
import type { Leader } from "../../src/client/Election.ts"
import { Elections } from "../../src/client/Election.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import { Locks } from "../../src/client/Lock.ts"
import { Op } from "../../src/client/Txn.ts"
import { LeaseLost } from "../../src/FlareDbError.ts"
import { eventually } from "../Eventually.ts"
import { stores } from "./Stores.ts"

/** Waits until as many wait for a lock, its holder included. */
const untilInLine = (name: string, count: number) =>
  eventually(
    `${count} in line for the lock ${name}`,
    Effect.map(KeyValue.use((kv) => kv.count(`flaredb/lock/${name}/`)), (found) => found === count)
  )

for (const store of stores) {
  layer(store.layer, { excludeTestServices: true })(`locks on ${store.name}`, (it) => {
    it.effect("have one holder at a time, in the order of asking, with rising revisions", () =>
      Effect.gen(function*() {
        const locks = yield* Locks
        const order: Array<number> = []
        const revisions: Array<number> = []
        let holders = 0
        const hold = (i: number) =>
          locks.withLock("fifo", (lock) =>
            Effect.gen(function*() {
              holders += 1
              assert.strictEqual(holders, 1)
              order.push(i)
              revisions.push(lock.revision)
              yield* Effect.sleep(1)
              holders -= 1
            }))
        const first = yield* Deferred.make<void>()
        const blocking = yield* Effect.forkChild(locks.withLock("fifo", () => Deferred.await(first)))
        yield* untilInLine("fifo", 1)
        const fibers = []
        for (let i = 0; i < 8; i++) {
          fibers.push(yield* Effect.forkChild(hold(i)))
          yield* untilInLine("fifo", i + 2)
        }
        yield* Deferred.succeed(first, undefined)
        yield* Effect.forEach([blocking, ...fibers], (fiber) => Fiber.join(fiber), { discard: true })
        assert.deepStrictEqual(order, [0, 1, 2, 3, 4, 5, 6, 7])
        assert.deepStrictEqual(revisions, [...revisions].sort((a, b) => a - b))
        assert.strictEqual(new Set(revisions).size, 8)
        yield* untilInLine("fifo", 0)
      }))

    it.effect("of different names do not meet, whatever the names", () =>
      Effect.scoped(
        Effect.gen(function*() {
          const locks = yield* Locks
          for (const name of ["a", "a/b", "a/", "a%2Fb", "ä", "_"]) yield* locks.acquire(name)
        })
      ))

    it.effect("and elections have names: none that is empty, no text, or too long for a key", () =>
      Effect.scoped(Effect.gen(function*() {
        const [locks, elections] = [yield* Locks, yield* Elections]
        const wrong = [["", /is empty/], ["\ud800", /surrogate/], ["x".repeat(4_100), /at most 4082/]] as const
        for (const [name, says] of wrong) {
          const failures = yield* Effect.all([
            Effect.flip(locks.acquire(name)),
            Effect.flip(locks.tryAcquire(name)),
            Effect.flip(locks.holder(name)),
            Effect.flip(elections.campaign(name, "")),
            Effect.flip(elections.leader(name)),
            Effect.flip(Stream.runDrain(elections.observe(name)))
          ])
          for (const error of failures) {
            assert.deepInclude(error, { _tag: "InvalidArgument", field: "name" })
            assert.match(error.message, says)
          }
        }
        yield* locks.acquire("x".repeat(4_068))
        yield* elections.campaign("x".repeat(4_064), "")
      })))

    it.effect("say who has them, to those who look and once to those who wait", () =>
      Effect.scoped(Effect.gen(function*() {
        const locks = yield* Locks
        assert.isTrue(Option.isNone(yield* locks.holder("who")))
        const release = yield* Scope.make()
        const held = yield* Scope.provide(locks.acquire("who", { owner: "me", ttlMs: 5_000 }), release)
        const remainingMs = yield* held.remainingMs
        assert.isAbove(remainingMs, 0)
        assert.isAtMost(remainingMs, 5_000)
        const now = Option.getOrThrow(yield* locks.holder("who"))
        assert.deepInclude(now, { revision: held.revision, lease: held.lease })
        assert.strictEqual(new TextDecoder().decode(now.owner), "me")
        const told: Array<string> = []
        const waiting = yield* Effect.forkChild(Effect.scoped(locks.acquire("who", {
          owner: "next",
          onWait: (holder) =>
            Effect.andThen(
              Effect.sync(() => told.push(new TextDecoder().decode(Option.getOrThrow(holder).owner))),
              Scope.close(release, Exit.void)
            )
        })))
        yield* Fiber.join(waiting)
        assert.deepStrictEqual(told, ["me"])
        yield* Effect.scoped(locks.acquire("who", { onWait: () => Effect.sync(() => told.push("free")) }))
        assert.deepStrictEqual(told, ["me"], "nobody had it")
      })))

    it.effect("that somebody else has are not waited for by those who only try", () =>
      Effect.gen(function*() {
        const locks = yield* Locks
        yield* Effect.scoped(
          Effect.gen(function*() {
            yield* locks.acquire("try", { owner: "me" })
            assert.isTrue(Option.isNone(yield* locks.tryAcquire("try")))
            yield* untilInLine("try", 1)
          })
        )
        assert.isTrue(Option.isSome(yield* Effect.scoped(locks.tryAcquire("try"))))
      }))

    it.effect("are not waited for any more by those who gave up", () =>
      Effect.scoped(
        Effect.gen(function*() {
          const locks = yield* Locks
          yield* locks.acquire("give up")
          const waited = yield* Effect.timeoutOption(locks.acquire("give up"), 50)
          assert.isTrue(Option.isNone(waited))
          // In the scope that goes on.
          yield* untilInLine("give%20up", 1)
        })
      ))

    it.effect("that are lost interrupt the work, and refuse its transactions", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const leases = yield* Leases
        const locks = yield* Locks
        let interrupted = false
        const outcome = yield* Effect.exit(
          locks.withLock("lost", (lock) =>
            Effect.gen(function*() {
              assert.isTrue((yield* kv.transact({ if: [lock.held], do: [Op.put("guarded", "1")] })).succeeded)
              yield* leases.revoke(lock.lease)
              assert.isFalse((yield* kv.transact({ if: [lock.held], do: [Op.put("guarded", "2")] })).succeeded)
              return yield* Effect.onInterrupt(Effect.never, () =>
                Effect.sync(() => {
                  interrupted = true
                }))
            }), { ttlMs: 3_000 })
        )
        assert.instanceOf(Option.getOrUndefined(Exit.findErrorOption(outcome)), LeaseLost)
        assert.isTrue(interrupted)
        assert.strictEqual(Option.getOrUndefined(yield* kv.get("guarded"))?.text, "1")
      }))

    it.effect("pass to the next when their holder's lease ends", () =>
      Effect.scoped(
        Effect.gen(function*() {
          const leases = yield* Leases
          const locks = yield* Locks
          const first = yield* locks.acquire("passes on")
          const waiting = yield* Effect.forkChild(Effect.scoped(locks.acquire("passes on")))
          yield* untilInLine("passes%20on", 2)
          yield* leases.revoke(first.lease)
          assert.isAbove((yield* Fiber.join(waiting)).revision, first.revision)
        })
      ))

    it.effect("make elections: one leads, everybody sees who and what it says, the next follows", () =>
      Effect.gen(function*() {
        const elections = yield* Elections
        const seen = yield* Queue.unbounded<Option.Option<Leader>>()
        yield* Effect.forkScoped(
          Stream.runForEach(elections.observe("boss"), (leader) => Queue.offer(seen, leader))
        )
        const nextSeen = Effect.map(
          Queue.take(seen),
          Option.map(({ value }) => new TextDecoder().decode(value))
        )
        assert.deepStrictEqual(yield* nextSeen, Option.none())
        const firstScope = yield* Scope.make()
        const first = yield* Scope.provide(elections.campaign("boss", "one"), firstScope)
        assert.deepStrictEqual(yield* nextSeen, Option.some("one"))
        const second = yield* Effect.forkChild(elections.campaign("boss", "two"))
        yield* first.proclaim("one more")
        assert.deepStrictEqual(yield* nextSeen, Option.some("one more"))
        assert.strictEqual(Option.getOrThrow(yield* elections.leader("boss")).revision, first.revision)
        assert.isUndefined(second.pollUnsafe())
        yield* first.resign
        const leadership = yield* Fiber.join(second)
        assert.isAbove(leadership.revision, first.revision)
        assert.deepStrictEqual(yield* nextSeen, Option.some("two"))
        assert.instanceOf(yield* Effect.flip(first.proclaim("again")), LeaseLost)
        yield* leadership.resign
        assert.deepStrictEqual(yield* nextSeen, Option.none())
        assert.isTrue(Option.isNone(yield* elections.leader("boss")))
        yield* Scope.close(firstScope, Exit.void)
      }).pipe(Effect.scoped))
  })
}
