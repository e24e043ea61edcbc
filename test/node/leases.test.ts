/** Leases on three nodes in virtual time: they end when their time is over, whoever leads by then, and never early. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import type { TestNode } from "../../src/testing/TestCluster.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const passTime = TestClock.adjust(10)
const cluster = TestCluster.make({ voters: 3, passTime })
const nowMs = Clock.currentTimeMillis

const ttlMs = 5_000

/** How late a lease may end: two looks of the leader, and the commit. */
const slackMs = 500

const grant = Effect.fnUntraced(function*(leader: TestNode) {
  const reply = yield* leader.run({ _tag: "GrantLease", ttlMs })
  assert(reply._tag === "LeaseReply")
  return { lease: reply.lease, atMs: yield* nowMs }
})

/** Lets time pass until the key is gone at whoever leads, and says when that was. */
const goneAt = (among: TestCluster, key: string) =>
  among.until(
    `${key} to be deleted`,
    Effect.gen(function*() {
      for (const node of among.nodes.filter(({ isRunning }) => isRunning)) {
        if ((yield* node.node.status).role !== "leader") continue
        if ((yield* node.get(key, "stale")) === undefined) return Option.some(yield* nowMs)
      }
      return Option.none()
    })
  )

it.effect("a lease ends after its time, with its keys, on every node", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const leader = yield* three.leader()
    const { atMs, lease } = yield* grant(leader)
    yield* leader.put("attached", "1", lease)
    yield* leader.put("free", "1")
    const lastedMs = (yield* goneAt(three, "attached")) - atMs
    assert.isAtLeast(lastedMs, ttlMs)
    assert.isAtMost(lastedMs, ttlMs + slackMs)
    yield* three.converged
    for (const node of three.nodes) {
      assert.strictEqual(yield* node.get("attached", "stale"), undefined)
      assert.strictEqual(yield* node.get("free", "stale"), "1")
    }
    const reply = yield* leader.put("attached", "2", lease)
    assert.deepInclude(reply, { _tag: "RefusedReply", reason: "lease-not-found" })
  }))

it.effect("keeping a lease alive starts its time anew", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const leader = yield* three.leader()
    const { lease } = yield* grant(leader)
    yield* leader.put("attached", "1", lease)
    for (let i = 0; i < 5; i++) {
      yield* TestClock.adjust(ttlMs - 1_000)
      const kept = yield* leader.run({ _tag: "KeepAlive", lease })
      assert.deepInclude(kept, { _tag: "LeaseReply", remainingMs: ttlMs })
    }
    const atMs = yield* nowMs
    const lastedMs = (yield* goneAt(three, "attached")) - atMs
    assert.isAtLeast(lastedMs, ttlMs)
    assert.isAtMost(lastedMs, ttlMs + slackMs)
  }))

it.effect("a lease keeps what is left of its time under the next leader", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const first = yield* three.leader()
    const { atMs, lease } = yield* grant(first)
    yield* first.put("attached", "1", lease)
    yield* TestClock.adjust(2_500)
    yield* first.crash
    const lastedMs = (yield* goneAt(three, "attached")) - atMs
    assert.isAtLeast(lastedMs, ttlMs - 50, "the next leader learnt of the grant a little later than it was timestamped")
    assert.isAtMost(lastedMs, ttlMs + 1_000)
  }))

it.effect("after all nodes stopped a lease goes on where the log ended, and does not end at once", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const { lease } = yield* Effect.flatMap(
      three.leader(),
      (leader) => Effect.tap(grant(leader), (granted) => leader.put("attached", "1", granted.lease))
    )
    yield* TestClock.adjust(2_500)
    for (const node of three.nodes) yield* node.crash
    yield* TestClock.adjust("1 hour")
    for (const node of three.nodes) yield* node.start
    const leader = yield* three.leader()
    const atMs = yield* nowMs
    const listed = yield* three.whileTimePasses(leader.ask({ _tag: "Leases" }))
    assert(listed._tag === "LeasesReply")
    assert.deepStrictEqual(listed.leases.map((row) => row.lease), [lease])
    const lastedMs = (yield* goneAt(three, "attached")) - atMs
    assert.isAtLeast(lastedMs, ttlMs - 2_500 - 1_000)
    assert.isAtMost(lastedMs, ttlMs - 2_500 + 1_500)
  }))

it.effect("a leader that is cut off ends no lease, however much time passes for it", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const old = yield* three.leader()
    const { lease } = yield* grant(old)
    yield* old.put("attached", "1", lease)
    yield* three.converged
    three.isolate(old)
    const next = yield* three.leader(three.nodes.filter((node) => node !== old))
    for (let i = 0; i < 5; i++) {
      yield* TestClock.adjust(ttlMs - 1_500)
      assert.deepInclude(yield* three.whileTimePasses(next.run({ _tag: "KeepAlive", lease })), { _tag: "LeaseReply" })
    }
    assert.strictEqual(yield* old.get("attached", "stale"), "1")
    three.heal()
    yield* three.converged
    assert.strictEqual(yield* old.get("attached", "stale"), "1")
  }))

it.effect("revoking a lease deletes its keys in one revision", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const leader = yield* three.leader()
    const { lease } = yield* grant(leader)
    for (const key of ["a", "b", "c"]) yield* leader.put(key, "1", lease)
    yield* leader.put("b", "detached")
    const reply = yield* leader.run({ _tag: "RevokeLease", lease })
    assert.deepInclude(reply, { _tag: "RevokedReply", deleted: 2, revision: 5 })
    assert.strictEqual(yield* leader.get("b"), "detached")
  }))
