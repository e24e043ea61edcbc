/** Three nodes on a network under the test's control, in virtual time: what a cluster promises, without processes. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { handOver } from "../../src/node/HandOver.ts"
import { Term } from "../../src/raft/Types.ts"
import type { TestNode } from "../../src/testing/TestCluster.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const passTime = TestClock.adjust(10)

const cluster = (voters: 1 | 3, seed = 1) => TestCluster.make({ voters, seed, passTime })

const tagOf = (answer: unknown): string =>
  typeof answer === "object" && answer !== null && "_tag" in answer ? String(answer._tag) : typeof answer

/** Puts through whichever node leads, until a put is acknowledged. */
const putSomewhere = Effect.fnUntraced(function*(among: TestCluster, key: string, value: string) {
  return yield* among.until(
    `${key} to be acknowledged`,
    Effect.gen(function*() {
      for (const node of among.nodes.filter(({ isRunning }) => isRunning)) {
        const work = yield* Effect.forkChild(node.put(key, value))
        const answer = yield* among.until(
          "an answer",
          Effect.sync(() => Option.fromUndefinedOr(work.pollUnsafe()))
        )
        if (answer._tag === "Success" && answer.value._tag === "PutReply") return Option.some(answer.value)
      }
      return Option.none()
    })
  )
})

it.effect("elects one leader, and every node learns who it is", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const leader = yield* three.leader()
    const statuses = yield* three.until(
      "all nodes to know the leader",
      Effect.map(
        three.statuses,
        (all) => all.every((one) => one.leader === leader.id) ? Option.some(all) : Option.none()
      )
    )
    assert.strictEqual(statuses.filter(({ role }) => role === "leader").length, 1)
    assert.strictEqual(new Set(statuses.map(({ term }) => term)).size, 1)
  }))

it.effect("commits what a majority holds, on every node", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const leader = yield* three.leader()
    assert.strictEqual(tagOf(yield* leader.put("a", "1")), "PutReply")
    yield* three.converged
    for (const node of three.nodes) {
      assert.strictEqual(yield* node.get("a", "stale"), "1")
      assert.strictEqual(node.disk.last.index, leader.disk.last.index)
    }
  }))

it.effect("answers a linearizable read at a follower with the latest write", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const leader = yield* three.leader()
    yield* three.converged
    const follower = three.nodes.find((node) => node !== leader) as TestNode
    for (let i = 0; i < 20; i++) {
      assert.strictEqual(tagOf(yield* leader.put("a", String(i))), "PutReply")
      assert.strictEqual(yield* three.whileTimePasses(follower.get("a")), String(i))
    }
  }))

it.effect("a node without a majority commits nothing: alone, it never even leads", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    for (const node of three.nodes.slice(1)) yield* node.stop
    const alone = three.node(1)
    for (let i = 0; i < 500; i++) yield* passTime
    const { commit, role, term } = yield* alone.node.status
    assert.notStrictEqual(role, "leader")
    assert.strictEqual(commit, 0)
    assert.strictEqual(term, 0, "asking for votes that nobody can give does not raise the term")
    assert.strictEqual(tagOf(yield* alone.put("a", "1")), "NotLeader")
    assert.strictEqual(tagOf(yield* alone.get("a")), "NotLeader")
  }))

it.effect("a leader that is cut off acknowledges nothing, gives up its office, and says that the outcome is unknown", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const old = yield* three.leader()
    assert.strictEqual(tagOf(yield* old.put("a", "kept")), "PutReply")
    const others = three.nodes.filter((node) => node !== old)
    three.isolate(old)
    const lost = yield* Effect.forkChild(old.put("a", "lost"))
    const read = yield* Effect.forkChild(old.get("a"))
    const next = yield* three.leader(others)
    assert.strictEqual(tagOf(yield* next.put("a", "newer")), "PutReply")

    assert.strictEqual(tagOf(yield* three.whileTimePasses(Fiber.join(lost))), "Indeterminate")
    assert.strictEqual(tagOf(yield* three.whileTimePasses(Fiber.join(read))), "NotLeader")
    assert.notStrictEqual((yield* old.node.status).role, "leader")
    assert.strictEqual(yield* old.get("a", "stale"), "kept", "what is not committed is not visible either")

    three.heal()
    yield* three.converged
    for (const node of three.nodes) assert.strictEqual(yield* node.get("a", "stale"), "newer")
    assert.strictEqual((yield* old.node.status).term, (yield* next.node.status).term)
  }))

it.effect("a follower that was cut off catches up without an election", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const leader = yield* three.leader()
    yield* three.converged
    const { term } = yield* leader.node.status
    const follower = three.nodes.find((node) => node !== leader) as TestNode
    three.isolate(follower)
    for (let i = 0; i < 300; i++) {
      assert.strictEqual(tagOf(yield* leader.put(`key ${i}`, String(i))), "PutReply")
      yield* passTime
    }
    assert.strictEqual(yield* follower.get("key 299", "stale"), undefined)
    three.heal()
    yield* three.converged
    assert.strictEqual(yield* follower.get("key 299", "stale"), "299")
    assert.strictEqual(
      (yield* leader.node.status).term,
      term,
      "pre-vote kept the returning node from disturbing the term"
    )
  }))

it.effect("a follower that was down catches up, and one that crashed applies again what it had not synced", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const leader = yield* three.leader()
    const follower = three.nodes.find((node) => node !== leader) as TestNode
    yield* leader.put("before", "1")
    yield* three.converged
    yield* follower.crash
    for (let i = 0; i < 100; i++) yield* leader.put(`key ${i}`, String(i))
    yield* follower.start
    yield* three.converged
    assert.strictEqual(yield* follower.get("before", "stale"), "1")
    assert.strictEqual(yield* follower.get("key 99", "stale"), "99")
  }))

it.effect("a cluster that crashes as a whole comes back with everything acknowledged", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    for (let round = 0; round < 5; round++) {
      const leader = yield* three.leader()
      for (let i = 0; i < 20; i++) {
        assert.strictEqual(tagOf(yield* three.whileTimePasses(leader.put(`${round}/${i}`, "kept"))), "PutReply")
      }
      for (const node of three.nodes) yield* node.crash
      for (const node of three.nodes) yield* node.start
    }
    const leader = yield* three.leader()
    yield* three.converged
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 20; i++) {
        assert.strictEqual(yield* three.whileTimePasses(leader.get(`${round}/${i}`)), "kept")
      }
    }
  }))

for (const seed of [1, 2, 3, 4, 5]) {
  it.effect(
    `loses nothing while messages are dropped, duplicated, delayed and reordered (seed ${seed})`,
    () =>
      Effect.gen(function*() {
        const three = yield* cluster(3, seed)
        three.network.setFaults({ drop: 0.1, duplicate: 0.1, delayMs: [0, 60] })
        for (let i = 0; i < 25; i++) yield* putSomewhere(three, `key ${i}`, String(i))
        assert.isAbove(three.network.counts.dropped, 0)
        assert.isAbove(three.network.counts.duplicated, 0)
        three.heal()
        yield* three.converged
        for (const node of three.nodes) {
          for (let i = 0; i < 25; i++) assert.strictEqual(yield* node.get(`key ${i}`, "stale"), String(i))
        }
      }),
    60_000
  )
}

it.effect("hands leadership over on request, without a lost write", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const old = yield* three.leader()
    yield* old.put("a", "1")
    yield* three.converged
    const target = three.nodes.find((node) => node !== old) as TestNode
    yield* old.node.transferLeader(target.id)
    const next = yield* three.leader([target])
    assert.strictEqual(yield* three.whileTimePasses(next.get("a")), "1")
    assert.strictEqual(tagOf(yield* three.whileTimePasses(next.put("a", "2"))), "PutReply")
  }))

it.effect("has another leader before one that hands over has stopped, and without an election timeout", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const old = yield* three.leader()
    yield* old.put("a", "1")
    yield* three.converged
    const { term } = yield* old.node.status
    const begin = yield* Clock.currentTimeMillis
    yield* three.whileTimePasses(handOver(old.node, 60_000))
    assert.isBelow((yield* Clock.currentTimeMillis) - begin, 500, "the shortest election timeout")
    const { leader } = yield* old.node.status
    yield* old.stop
    const next = three.nodes.find(({ id }) => id === leader) as TestNode
    assert.deepInclude(yield* next.node.status, { role: "leader", term: Term(term + 1) })
    assert.strictEqual(tagOf(yield* three.whileTimePasses(next.put("a", "2"))), "PutReply")
  }))

it.effect("stops in time when nobody takes over", () =>
  Effect.gen(function*() {
    const three = yield* cluster(3)
    const old = yield* three.leader()
    for (const node of three.nodes) if (node !== old) yield* node.stop
    const begin = yield* Clock.currentTimeMillis
    yield* three.whileTimePasses(handOver(old.node, 300))
    assert.isAtMost((yield* Clock.currentTimeMillis) - begin, 320)
    // A follower has nothing to hand over.
    const follower = three.nodes.find((node) => node !== old) as TestNode
    yield* follower.start
    yield* handOver(follower.node, 300)
  }))

it.effect("a single voter elects itself, commits, and restarts with everything there", () =>
  Effect.gen(function*() {
    const one = yield* cluster(1)
    const node = yield* one.leader()
    assert.strictEqual(tagOf(yield* node.put("a", "1")), "PutReply")
    const { term } = yield* node.node.status
    yield* node.crash
    yield* node.start
    yield* one.leader()
    assert.strictEqual(yield* node.get("a"), "1")
    assert.isAbove((yield* node.node.status).term, term)
  }))
