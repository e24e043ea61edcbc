/** How a node ends, refuses and sheds load: every caller gets an answer that says what it knows. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import type { TestNode } from "../../src/testing/TestCluster.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const passTime = TestClock.adjust(10)

const tagOf = (answer: unknown): string =>
  typeof answer === "object" && answer !== null && "_tag" in answer ? String(answer._tag) : typeof answer

const putCommand = (key: string, bytes = 1) =>
  encodeCommand({ _tag: "Put", key: new TextEncoder().encode(key), value: new Uint8Array(bytes), lease: 0 })

it.effect("a leader whose disk fails stops for good and says so; the others elect a new one and lose nothing", () =>
  Effect.gen(function*() {
    const three = yield* TestCluster.make({ voters: 3, passTime })
    const broken = yield* three.leader()
    yield* broken.put("a", "kept")
    yield* three.converged
    broken.disk.failWrites = "no space left on device"
    const fatal = yield* Effect.forkChild(Effect.flip(broken.node.fatal))
    const answer = yield* three.whileTimePasses(broken.put("a", "lost"))
    assert.include(["Fatal", "Indeterminate"], tagOf(answer))
    assert.match((yield* Fiber.join(fatal)).reason, /no space left on device/)
    assert.strictEqual(tagOf(yield* broken.put("a", "later")), "Fatal")
    assert.strictEqual(tagOf(yield* broken.get("a")), "Fatal")

    const others = three.nodes.filter((node) => node !== broken)
    const next = yield* three.leader(others)
    assert.include(["kept", "lost"], yield* three.whileTimePasses(next.get("a")))
    assert.strictEqual(tagOf(yield* three.whileTimePasses(next.put("a", "newer"))), "PutReply")
  }))

it.effect("a follower whose disk fails acknowledges nothing from then on, and the others go on", () =>
  Effect.gen(function*() {
    const three = yield* TestCluster.make({ voters: 3, passTime })
    const leader = yield* three.leader()
    yield* three.converged
    const broken = three.nodes.find((node) => node !== leader) as TestNode
    const held = broken.disk.last.index
    broken.disk.failWrites = "input/output error"
    const fatal = yield* Effect.forkChild(Effect.flip(broken.node.fatal))
    assert.strictEqual(tagOf(yield* three.whileTimePasses(leader.put("a", "1"))), "PutReply")
    assert.match((yield* Fiber.join(fatal)).reason, /input\/output error/)
    const match = (yield* leader.node.status).matches.find(({ peer }) => peer === broken.id)?.match ?? 0
    assert.isAtMost(match, held)
  }))

it.effect("a node that is stopped answers everything that waits", () =>
  Effect.gen(function*() {
    const three = yield* TestCluster.make({ voters: 3, passTime })
    const leader = yield* three.leader()
    three.isolate(leader)
    const writes = yield* Effect.forEach([1, 2, 3], (i) => Effect.forkChild(leader.put(`key ${i}`, "unknown")))
    const read = yield* Effect.forkChild(leader.get("key 1"))
    yield* Effect.yieldNow
    yield* passTime
    yield* leader.stop
    for (const write of writes) assert.strictEqual(tagOf(yield* Fiber.join(write)), "Indeterminate")
    assert.include(["Unavailable", "NotLeader"], tagOf(yield* Fiber.join(read)))
  }))

it.effect("a node that is stopped answers what has had no turn yet", () =>
  Effect.gen(function*() {
    const three = yield* TestCluster.make({ voters: 3, passTime })
    const leader = yield* three.leader()
    three.isolate(leader)
    const start = { startImmediately: true } as const
    const write = yield* Effect.forkChild(leader.node.propose([putCommand("a"), putCommand("b")]), start)
    const read = yield* Effect.forkChild(leader.get("a"), start)
    yield* leader.stop
    for (const answer of yield* Fiber.join(write)) {
      assert.include(["Unavailable", "Indeterminate"], tagOf(answer))
    }
    assert.include(["Unavailable", "NotLeader"], tagOf(yield* Fiber.join(read)))
  }))

it.effect("refuses writes beyond its limits as Overloaded, and takes them again when there is room", () =>
  Effect.gen(function*() {
    const three = yield* TestCluster.make({
      voters: 3,
      passTime,
      limits: { maxPendingProposals: 10, maxUncommittedBytes: 4_000 }
    })
    const leader = yield* three.leader()
    yield* three.converged
    three.isolate(leader)
    const waiting = yield* Effect.forkChild(leader.node.propose([putCommand("a", 3_000)]))
    yield* passTime
    const [large] = yield* leader.node.propose([putCommand("b", 3_000)])
    assert.deepInclude(large, { _tag: "Overloaded", limit: "maxUncommittedBytes" })
    const many = yield* leader.node.propose(Array.from({ length: 20 }, (_, i) => putCommand(`key ${i}`)))
    assert.strictEqual(many.length, 20)
    for (const result of many) assert.deepInclude(result, { _tag: "Overloaded", limit: "maxPendingProposals" })
    three.heal()
    yield* three.whileTimePasses(Fiber.join(waiting))
    const next = yield* three.leader()
    yield* three.converged
    assert.strictEqual(tagOf(yield* three.whileTimePasses(next.put("c", "room"))), "PutReply")
  }))

it.effect("answers each command of a call for itself", () =>
  Effect.gen(function*() {
    const one = yield* TestCluster.make({ voters: 1, passTime })
    const leader = yield* one.leader()
    const results = yield* leader.node.propose([putCommand("a"), Uint8Array.of(9, 9), putCommand("b"), putCommand("")])
    assert.deepStrictEqual(
      results.map((result) => result instanceof Uint8Array ? "reply" : result._tag),
      ["reply", "InvalidArgument", "reply", "InvalidArgument"]
    )
    assert.strictEqual((yield* leader.node.status).lastIndex, 4, "the no-op, the identity and two commands")
  }))

it.effect("publishes its role for whoever waits on it", () =>
  Effect.gen(function*() {
    const one = yield* TestCluster.make({ voters: 1, passTime })
    const leader = yield* one.leader()
    const published = yield* SubscriptionRef.get(leader.node.role)
    assert.deepInclude(published, { role: "leader", leader: leader.id })
    yield* one.until(
      "the applied index to be published",
      Effect.map(SubscriptionRef.get(leader.node.applied), (index) => index >= 1 ? Option.some(true) : Option.none())
    )
  }))
