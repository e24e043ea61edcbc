/** Compaction, and followers that need what it took: three nodes on a network under the test's control, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Option } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Limits } from "../../src/config/Limits.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import type { Entry } from "../../src/raft/Types.ts"
import type { MemoryDisk } from "../../src/storage/memory/MemoryStore.ts"
import type { TestNode } from "../../src/testing/TestCluster.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const passTime = TestClock.adjust(10)

/** A log so short that a few writes are too many for it. */
const shortLog: Partial<Limits> = { maxLogEntries: 20, logSlackEntries: 5 }

const cluster = (limits: Partial<Limits> = shortLog): Effect.Effect<TestCluster, never, Scope.Scope> =>
  TestCluster.make({ voters: 3, passTime, limits })

/** Puts at the leader and waits for the answer. */
const put = Effect.fnUntraced(function*(
  three: TestCluster,
  key: string,
  value: string,
  among: ReadonlyArray<TestNode> = three.nodes
) {
  const answer = yield* Effect.flatMap(
    three.leader(among.filter((node) => node.isRunning)),
    (leader) => three.whileTimePasses(leader.put(key, value))
  )
  assert.strictEqual(answer._tag, "PutReply")
})

const putMany = Effect.fnUntraced(function*(
  three: TestCluster,
  count: number,
  size = 10,
  among: ReadonlyArray<TestNode> = three.nodes
) {
  for (let i = 0; i < count; i++) yield* put(three, `key ${i}`, `${i} `.padEnd(size, "x"), among)
})

const until = (three: TestCluster, what: string, holds: Effect.Effect<boolean>) =>
  three.until(what, Effect.map(holds, (value) => value ? Option.some(true) : Option.none()))

/** Nodes other than the leader. */
const followers = Effect.fnUntraced(function*(three: TestCluster) {
  const leader = yield* three.leader()
  return three.nodes.filter((node) => node !== leader) as [TestNode, TestNode]
})

/** Their bytes are compared as they are: texts of them took longer than what the nodes do. */
const rowsOf = (disk: MemoryDisk) => [...disk.state.rows].map(({ key, value }) => [key, value])

/** All nodes hold the same state, byte for byte. */
const assertSameState = (three: TestCluster) => {
  const [first, ...others] = three.nodes
  for (const node of others) {
    assert.deepStrictEqual(node.disk.state.applied, first?.disk.state.applied)
    assert.deepStrictEqual(rowsOf(node.disk), rowsOf((first as TestNode).disk))
  }
}

/** Waits until the log of a running node is at most `entries` long. */
const untilShort = (three: TestCluster, node: TestNode, entries: number) =>
  until(three, `a short log at node ${node.id}`, Effect.sync(() => node.disk.entries.length <= entries))

/** The key-value store on a machine that takes its time for each part of what it applies. */
const slowMachine = Layer.effect(
  StateMachine,
  Effect.map(StateMachine, (machine) => ({
    ...machine,
    apply: (entries: ReadonlyArray<Entry>) => Effect.delay(machine.apply(entries), 20)
  }))
).pipe(Layer.provide(KvStateMachine.layer))

describe("compaction", () => {
  it.effect("keeps the log within its limits on every node, and the slack", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      yield* putMany(three, 100)
      yield* three.converged
      for (const node of three.nodes) {
        yield* untilShort(three, node, 21)
        assert.isAtLeast(node.disk.entries.length, 5)
        const { firstIndex, lastIndex } = yield* node.node.status
        assert.strictEqual(firstIndex, node.disk.compacted.index + 1)
        assert.isAbove(firstIndex, 50)
        assert.strictEqual(lastIndex, node.disk.last.index)
        assert.strictEqual(yield* node.get("key 3", "stale"), "3 xxxxxxxx")
      }
    }))

  it.effect("is by bytes as well", () =>
    Effect.gen(function*() {
      const three = yield* cluster({ maxLogEntries: 100_000, maxLogBytes: 20_000 })
      yield* putMany(three, 60, 1_000)
      yield* three.converged
      for (const node of three.nodes) {
        yield* until(
          three,
          "a small log",
          Effect.sync(() => node.disk.entries.reduce((bytes, { payload }) => bytes + payload.byteLength, 0) <= 22_000)
        )
      }
    }))

  it.effect("never removes what the state on the disk does not hold, whatever a power loss takes", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      for (const node of three.nodes) {
        const { disk } = node
        disk.onWrite = () => {
          const left = disk.image()
          assert.isAtLeast(left.state.applied.index, left.compacted.index)
        }
      }
      yield* putMany(three, 60)
      yield* three.converged
      for (const node of three.nodes) yield* node.crash
      for (const node of three.nodes) yield* node.start
      yield* put(three, "after", "1")
      yield* three.converged
      assertSameState(three)
    }))

  it.effect("goes no further than the core knows of what is applied, while old entries are applied in parts", () =>
    Effect.gen(function*() {
      const before = yield* TestCluster.make({ voters: 1, passTime })
      const [first] = before.nodes as [TestNode]
      yield* before.converged
      const left = first.disk.image()
      // Of this size two are read back at a time.
      yield* putMany(before, 60, 200 * 1024)
      // A state on the disk is written late: all that was put is applied again.
      const { entries, hardState } = first.disk.image()
      Object.assign(left, { entries, hardState })
      yield* first.stop
      const one = yield* TestCluster.make({
        voters: 1,
        passTime,
        limits: shortLog,
        disks: [left],
        machine: slowMachine
      })
      yield* one.converged
      const [again] = one.nodes as [TestNode]
      yield* untilShort(one, again, 20)
      assert.strictEqual((yield* again.get("key 59", "linearizable") as Effect.Effect<string>).slice(0, 3), "59 ")
    }))

  it.effect("waits for a follower that is heard from too slowly, but not for ever", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      yield* putMany(three, 10)
      const leader = yield* three.leader()
      const [slow] = yield* followers(three)
      // It gets everything, and its acknowledgements are lost.
      three.network.cut(slow.id, leader.id)
      const { lastIndex } = yield* leader.node.status
      yield* putMany(three, 60)
      assert.isAtMost((yield* leader.node.status).firstIndex, lastIndex + 1)
      yield* putMany(three, 60)
      assert.isAbove((yield* leader.node.status).firstIndex, lastIndex + 1)
      assert.isAtMost(leader.disk.entries.length, 81)
      three.heal()
      yield* three.converged
      yield* untilShort(three, leader, 21)
    }))

  it.effect("does not wait for a follower that is gone", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      yield* putMany(three, 10)
      const leader = yield* three.leader()
      const [gone] = yield* followers(three)
      const before = (yield* leader.node.status).lastIndex
      yield* gone.stop
      yield* putMany(three, 60)
      yield* untilShort(three, leader, 21)
      assert.isAbove((yield* leader.node.status).firstIndex, before)
    }))
})

describe("a follower that is too far behind", () => {
  it.effect("gets the state as a whole, and the log from there", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      yield* putMany(three, 5)
      const [away] = yield* followers(three)
      yield* away.stop
      yield* putMany(three, 80)
      yield* away.start
      yield* three.converged
      const { firstIndex, snapshots } = yield* away.node.status
      assert.isAbove(snapshots.receivedBytes, 0)
      assert.strictEqual(snapshots.receiving, undefined)
      assert.isAbove(firstIndex, 20)
      assertSameState(three)
      assert.strictEqual(yield* three.whileTimePasses(away.get("key 79")), "79 xxxxxxx")
      const leader = yield* three.leader()
      const { matches, snapshots: sent } = yield* leader.node.status
      assert.isAbove(sent.sentBytes, 0)
      assert.deepStrictEqual(sent.sending, [])
      yield* until(
        three,
        "the follower to be replicated to",
        Effect.map(leader.node.status, (status) => status.matches.every(({ state }) => state === "replicate"))
      )
      assert.lengthOf(matches, 2)
      // It counts again: the other follower may go.
      const other = three.nodes.find((node) => node !== leader && node !== away) as TestNode
      yield* other.stop
      yield* put(three, "with one of two", "1")
    }))

  it.effect("catches up from the log when it was away briefly", () =>
    Effect.gen(function*() {
      const three = yield* cluster({ maxLogEntries: 40, logSlackEntries: 20 })
      yield* putMany(three, 50)
      const [away] = yield* followers(three)
      yield* away.stop
      yield* putMany(three, 10)
      yield* away.start
      yield* three.converged
      assert.strictEqual((yield* away.node.status).snapshots.receivedBytes, 0)
    }))

  it.effect("does not keep the cluster from serving, nor the log from being there for it when the state has arrived", () =>
    Effect.gen(function*() {
      const three = yield* cluster({ maxLogEntries: 100, logSlackEntries: 10 })
      const [away, other] = yield* followers(three)
      const leader = yield* three.leader()
      yield* away.stop
      yield* putMany(three, 120)
      const held = yield* Deferred.make<void>()
      let chunks = 0
      three.network.beforeChunk = () => Effect.suspend(() => ++chunks === 1 ? Effect.void : Deferred.await(held))
      yield* away.start
      yield* until(three, "a transfer", Effect.sync(() => chunks > 0))
      yield* putMany(three, 150, 10, [leader, other])
      const { matches, snapshots } = yield* leader.node.status
      assert.deepInclude(matches.find(({ peer }) => peer === away.id), { state: "snapshot" })
      assert.strictEqual(snapshots.sending[0]?.peer, away.id)
      const point = snapshots.sending[0]?.point.index ?? 0
      yield* Deferred.succeed(held, undefined)
      yield* three.converged
      assertSameState(three)
      // One transfer was enough: the entries behind it were still there.
      assert.strictEqual(
        (yield* leader.node.status).snapshots.sentBytes,
        (yield* away.node.status).snapshots.receivedBytes
      )
      assert.isAtLeast(away.disk.state.installed?.index ?? 0, point)
      yield* untilShort(three, leader, 101)
    }))

  it.effect("finds what follows the state, however long that is, when it is less than the state itself", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      yield* putMany(three, 20, 5_000)
      const [away, other] = yield* followers(three)
      const leader = yield* three.leader()
      yield* away.stop
      yield* putMany(three, 60, 5_000, [leader, other])
      const points = new Set<number>()
      const [held, begun] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      three.network.beforeChunk = () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(held))
      away.disk.onWrite = () => points.add(away.disk.state.installed?.index ?? 0)
      yield* away.start
      yield* three.whileTimePasses(Deferred.await(begun))
      // Ten times the limit of entries.
      for (let i = 0; i < 200; i++) yield* put(three, "changing", `${i}`, [leader, other])
      assert.isAtLeast(leader.disk.entries.length, 200)
      yield* Deferred.succeed(held, undefined)
      yield* three.converged
      assertSameState(three)
      points.delete(0)
      assert.lengthOf([...points], 1)
      yield* untilShort(three, leader, 21)
    }))

  it.effect("is not waited for when more than the state follows it", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      yield* putMany(three, 10)
      const [away, other] = yield* followers(three)
      const leader = yield* three.leader()
      yield* away.stop
      yield* putMany(three, 60, 10, [leader, other])
      const [held, begun] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      three.network.beforeChunk = () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(held))
      yield* away.start
      yield* three.whileTimePasses(Deferred.await(begun))
      for (let i = 0; i < 120; i++) yield* put(three, "changing", "y".repeat(2_000), [leader, other])
      yield* untilShort(three, leader, 81)
      yield* Deferred.succeed(held, undefined)
      yield* three.converged
      assertSameState(three)
    }))

  it.effect("gets it again when the way broke in the middle", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      const [away] = yield* followers(three)
      const leader = yield* three.leader()
      yield* away.stop
      yield* putMany(three, 40, 50_000)
      let broken = 0
      three.network.beforeChunk = ({ number }) =>
        Effect.sync(() => {
          if (number !== 3 || broken === 3) return
          broken += 1
          three.network.cut(leader.id, away.id)
        })
      yield* away.start
      for (let round = 1; round <= 3; round++) {
        yield* until(three, "the way to break", Effect.sync(() => broken === round))
        yield* until(
          three,
          "both sides to have given up",
          Effect.gen(function*() {
            const sending = (yield* leader.node.status).snapshots.sending
            return sending.length === 0 && (yield* away.node.status).snapshots.receiving === undefined
          })
        )
        assert.strictEqual(away.disk.imported, undefined)
        three.heal()
      }
      yield* three.converged
      assertSameState(three)
    }))

  it.effect("gets it from the next leader when the first is cut off in the middle", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      const [away, other] = yield* followers(three)
      const first = yield* three.leader()
      yield* away.stop
      yield* putMany(three, 40, 50_000)
      const arrived = yield* Deferred.make<void>()
      three.network.beforeChunk = ({ number, request }) =>
        request.from === first.id && number === 4
          ? Effect.andThen(Deferred.succeed(arrived, undefined), Effect.never)
          : Effect.void
      yield* away.start
      yield* three.whileTimePasses(Deferred.await(arrived))
      three.isolate(first)
      const second = yield* three.leader([other, away])
      assert.strictEqual(second.id, other.id)
      yield* put(three, "under the second", "1", [other, away])
      yield* until(
        three,
        "the state to be installed",
        Effect.sync(() => away.disk.state.applied.index >= other.disk.state.applied.index)
      )
      three.heal()
      yield* three.converged
      assertSameState(three)
    }))

  it.effect("answers no read from the past while the state is exchanged", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      const [away] = yield* followers(three)
      yield* away.stop
      yield* putMany(three, 60)
      yield* put(three, "latest", "0")
      yield* away.start
      for (let i = 1; i <= 20; i++) {
        yield* put(three, "latest", String(i))
        const answer = yield* three.until(
          "a read at the follower",
          Effect.map(
            three.whileTimePasses(away.get("latest")),
            (value) => typeof value === "string" ? Option.some(value) : Option.none()
          )
        )
        assert.strictEqual(answer, String(i))
      }
    }))

  it.effect(
    "finds itself in one state or the other, and a log that fits, wherever a crash stops it",
    () =>
      Effect.gen(function*() {
        const three = yield* cluster()
        yield* putMany(three, 5)
        const [away] = yield* followers(three)
        yield* away.stop
        yield* putMany(three, 60, 20_000)
        const images: Array<{ readonly after: string; readonly disk: MemoryDisk }> = []
        const { disk } = away
        disk.onWrite = (operation) => images.push({ after: operation, disk: disk.image() })
        yield* away.start
        yield* three.converged
        const names = new Set(images.map(({ after }) => after))
        for (const step of ["import", "install", "reset"]) assert.include([...names], step)
        for (const image of images) {
          // Nobody remembers what the node said after the moment of the crash: all start again.
          for (const node of three.nodes) yield* node.stop
          yield* away.wipe(image.disk)
          for (const node of three.nodes) yield* node.start
          assert.isAtLeast(away.disk.last.index, away.disk.state.applied.index)
          yield* three.converged
          assertSameState(three)
        }
      }),
    60_000
  )
})

describe("a node whose disk is lost", () => {
  it.effect("learns everything before it votes", () =>
    Effect.gen(function*() {
      const three = yield* cluster()
      yield* putMany(three, 60)
      yield* three.converged
      const [lost, other] = yield* followers(three)
      const leader = yield* three.leader()
      yield* lost.wipe()
      const held = yield* Deferred.make<void>()
      three.network.beforeChunk = () => Deferred.await(held)
      yield* lost.start
      yield* until(three, "it to learn", Effect.map(lost.node.status, ({ membership }) => membership === "learner"))
      assert.strictEqual(lost.disk.hardState.membership, "learner")
      // A leader would need its vote, and it has none to give.
      yield* leader.stop
      for (let i = 0; i < 500; i++) yield* passTime
      assert.notStrictEqual((yield* other.node.status).role, "leader")
      assert.strictEqual((yield* lost.node.status).membership, "learner")
      // It remembers that over a restart.
      yield* lost.crash
      yield* lost.start
      assert.strictEqual((yield* lost.node.status).membership, "learner")
      yield* leader.start
      yield* Deferred.succeed(held, undefined)
      yield* three.converged
      yield* until(three, "it to vote", Effect.map(lost.node.status, ({ membership }) => membership === "voter"))
      assert.strictEqual(lost.disk.hardState.membership, undefined)
      assertSameState(three)
      yield* (yield* three.leader()).stop
      yield* three.leader(three.nodes.filter(({ isRunning }) => isRunning))
      yield* put(three, "with its vote", "1")
    }))
})
