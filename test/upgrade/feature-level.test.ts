/** A feature is used once every node of the cluster knows it, and a node that does not know it is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option } from "effect"
import { TestClock } from "effect/testing"
import { TestCluster } from "../../src/testing/TestCluster.ts"
import type { TestNode } from "../../src/testing/TestCluster.ts"
import { asNextRelease, storeWithNewCommand } from "./NextRelease.ts"

const passTime = TestClock.adjust(10)

const cluster = TestCluster.make({
  voters: 3,
  passTime,
  machine: storeWithNewCommand,
  limits: { maxLogEntries: 20, logSlackEntries: 1 }
})

const restart = (three: TestCluster, node: TestNode) =>
  Effect.gen(function*() {
    yield* node.stop
    yield* node.start
    yield* three.leader()
    yield* three.converged
  })

const levels = (three: TestCluster) => Effect.map(three.statuses, (all) => all.map((status) => status.levels.current))

const untilLevel = (three: TestCluster, level: number) =>
  three.until(
    `level ${level} on every node`,
    Effect.map(levels(three), (all) => all.every((one) => one === level) ? Option.some(true) : Option.none())
  )

/** Far longer than a leader takes to raise a level. */
const aWhile = Effect.forEach(Array.from({ length: 100 }), () => passTime, { discard: true })

const useFeature = (three: TestCluster) =>
  Effect.gen(function*() {
    const leader = yield* three.leader()
    return yield* three.whileTimePasses(leader.run({ _tag: "Checkpoint", token: 7 }))
  })

const write = (three: TestCluster, key: string) =>
  Effect.gen(function*() {
    const leader = yield* three.leader()
    const reply = yield* three.whileTimePasses(leader.put(key, "v"))
    assert.strictEqual(reply._tag, "PutReply")
  })

/** All three nodes were upgraded, and the level is raised. */
const upgraded = Effect.gen(function*() {
  const three = yield* cluster
  yield* three.leader()
  for (const node of three.nodes) yield* asNextRelease(restart(three, node))
  yield* untilLevel(three, 2)
  return three
})

describe("the feature level of a cluster", () => {
  it.effect("is raised once the last node was upgraded: what is new is refused before, and done from then on", () =>
    Effect.gen(function*() {
      const three = yield* cluster
      const refused = Effect.gen(function*() {
        const answer = yield* useFeature(three)
        if (answer._tag !== "InvalidArgument") return assert.fail(`expected a refusal, got ${answer._tag}`)
        return answer.problem
      })
      yield* three.leader()
      assert.match(yield* refused, /unknown tag/)
      for (const node of three.nodes.slice(0, 2)) {
        yield* asNextRelease(restart(three, node))
        yield* write(three, `beside ${node.id}`)
        yield* aWhile
        assert.deepStrictEqual(yield* levels(three), [1, 1, 1])
      }
      // Whichever release leads, what the node that is left cannot read stays out of the log.
      assert.match(yield* refused, /unknown tag|needs feature level 2, and the cluster has level 1/)
      const [, , last] = three.nodes
      yield* asNextRelease(restart(three, last as TestNode))
      yield* untilLevel(three, 2)
      assert.strictEqual((yield* useFeature(three))._tag, "DoneReply")
      yield* write(three, "after")
      yield* three.converged
    }))

  it.effect("is judged by a leader: a node that may not know of it yet names one, and refuses nothing for good", () =>
    Effect.gen(function*() {
      const three = yield* upgraded
      const leader = yield* three.leader()
      const lost = three.nodes.find(({ id }) => id !== leader.id) as TestNode
      yield* lost.wipe()
      three.isolate(lost)
      yield* asNextRelease(lost.start)
      assert.strictEqual((yield* lost.node.status).levels.current, 1)
      const checkpoint = { _tag: "Checkpoint", token: 7 } as const
      assert.strictEqual((yield* three.whileTimePasses(lost.run(checkpoint)))._tag, "NotLeader")
      assert.strictEqual((yield* three.whileTimePasses(leader.run(checkpoint)))._tag, "DoneReply")
    }))

  it.effect("is no reason of a leader to refuse a command for good, unless a majority still follows it", () =>
    Effect.gen(function*() {
      const three = yield* cluster
      yield* three.leader()
      const [first, second, third] = three.nodes as [TestNode, TestNode, TestNode]
      for (const node of [first, second]) yield* asNextRelease(restart(three, node))
      yield* third.stop
      const leader = yield* three.leader([first, second])
      yield* write(three, "a")
      const checkpoint = leader.run({ _tag: "Checkpoint", token: 7 })
      const known = yield* three.whileTimePasses(checkpoint)
      if (known._tag !== "InvalidArgument") return assert.fail(`expected a refusal, got ${known._tag}`)
      assert.match(known.problem, /needs feature level 2, and the cluster has level 1/)
      // It leads as far as it knows. Another one may lead by now, and have raised the level.
      three.isolate(leader)
      assert.strictEqual((yield* three.whileTimePasses(checkpoint))._tag, "NotLeader")
    }))

  it.effect("does not rise while a node is down, which may come back with any release", () =>
    Effect.gen(function*() {
      const three = yield* cluster
      yield* three.leader()
      const [first, second, third] = three.nodes as [TestNode, TestNode, TestNode]
      yield* asNextRelease(restart(three, first))
      yield* asNextRelease(restart(three, second))
      yield* third.stop
      yield* three.leader([first, second])
      for (let i = 0; i < 5; i++) yield* write(three, `without ${i}`)
      yield* aWhile
      assert.deepStrictEqual(yield* levels(three), [1, 1])
      // Both that run know the feature, so whichever leads knows that the third may not.
      const answer = yield* useFeature(three)
      if (answer._tag !== "InvalidArgument") return assert.fail(`expected a refusal, got ${answer._tag}`)
      assert.match(answer.problem, /needs feature level 2, and the cluster has level 1/)
      yield* third.start
      yield* three.converged
      assert.deepStrictEqual(yield* levels(three), [1, 1, 1])
    }))

  it.effect("is kept over restarts and power loss, and comes with a snapshot to a node that lost its disk", () =>
    Effect.gen(function*() {
      const three = yield* upgraded
      for (const node of three.nodes) yield* node.crash
      for (const node of three.nodes) yield* asNextRelease(node.start)
      yield* three.leader()
      yield* untilLevel(three, 2)
      const leader = yield* three.leader()
      const lost = three.nodes.find((node) => node !== leader) as TestNode
      yield* lost.wipe()
      for (let i = 0; i < 60; i++) yield* write(three, `k${i}`)
      yield* three.until(
        "the log to be compacted",
        Effect.map(leader.node.status, ({ firstIndex }) => firstIndex > 20 ? Option.some(true) : Option.none())
      )
      yield* asNextRelease(lost.start)
      yield* untilLevel(three, 2)
      assert.deepStrictEqual(lost.disk.requiredLevel, { level: 2, release: "99.0.0" })
    }))

  it.effect("an older release refuses the data of a higher level, and names the release that reads it", () =>
    Effect.gen(function*() {
      const three = yield* upgraded
      const [, , node] = three.nodes as [TestNode, TestNode, TestNode]
      yield* node.stop
      const exit = yield* Effect.exit(node.start)
      if (Exit.isSuccess(exit)) return assert.fail("it started")
      assert.match(Cause.pretty(exit.cause), /needs feature level 2, which flaredb 99\.0\.0 and later know/)
      assert.isFalse(node.isRunning)
      yield* write(three, "without it")
    }))

  it.effect("an older release with an empty disk is not let into the cluster, and does it no harm", () =>
    Effect.gen(function*() {
      const three = yield* upgraded
      const leader = yield* three.leader()
      const node = three.nodes.find((one) => one !== leader) as TestNode
      yield* node.wipe()
      yield* node.start
      for (let i = 0; i < 10; i++) yield* write(three, `k${i}`)
      const status = yield* node.node.status
      assert.deepStrictEqual(status.peers.map(({ connected }) => connected), [false, false])
      assert.strictEqual(status.applied, 0)
      assert.strictEqual(status.membership, "unknown")
    }))
})
