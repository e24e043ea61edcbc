/** The identity of a cluster: made once, the same everywhere, and kept by whatever state machine runs. */
import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { decodeIdentityEntry, encodeIdentityEntry, identityOfBytes } from "../../src/protocol/ClusterIdentity.ts"
import * as RowMachine from "../../src/machine/RowMachine.ts"
import { MemoryDisk } from "../../src/storage/memory/MemoryStore.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const passTime = TestClock.adjust(10)

const identities = (cluster: TestCluster) => Effect.map(cluster.statuses, (all) => all.map(({ identity }) => identity))

/** A machine that counts its commands. */
const counter = RowMachine.layer<Uint8Array, Uint8Array>({
  name: "counter/1",
  decodeCommand: (bytes) => bytes,
  apply: (rows) =>
    Effect.map(rows.get(Uint8Array.of(2)), (value) => {
      const next = Uint8Array.of((value?.[0] ?? 0) + 1)
      rows.put(Uint8Array.of(2), next)
      return next
    }),
  decodeQuery: (bytes) => bytes,
  query: (view) => Effect.map(view.getMany([Uint8Array.of(2)]), ([value]) => value ?? new Uint8Array(0))
})

for (const [name, machine] of [["the key-value store", undefined], ["a machine of one's own", counter]] as const) {
  it.effect(`is the same on every node, and survives restarts and power loss, with ${name}`, () =>
    Effect.gen(function*() {
      const three = yield* TestCluster.make({ voters: 3, passTime, ...(machine === undefined ? {} : { machine }) })
      yield* three.leader()
      yield* three.converged
      const [identity, ...others] = yield* identities(three)
      assert.match(identity ?? "", /^[0-9a-f-]{36}$/)
      assert.deepStrictEqual(others, [identity, identity])
      for (const node of three.nodes) yield* node.crash
      for (const node of three.nodes) yield* node.start
      yield* three.leader()
      yield* three.converged
      assert.deepStrictEqual(yield* identities(three), [identity, identity, identity])
      const [again] = three.nodes
      yield* again?.wipe() ?? Effect.void
      yield* again?.start ?? Effect.void
      yield* three.until(
        "the node without a disk to know its cluster again",
        Effect.map(identities(three), (all) => all.every((one) => one === identity) ? Option.some(true) : Option.none())
      )
    }))
}

it.effect("comes with a snapshot to a node that lost its disk", () =>
  Effect.gen(function*() {
    const three = yield* TestCluster.make({
      voters: 3,
      passTime,
      limits: { maxLogEntries: 20, logSlackEntries: 1 }
    })
    const leader = yield* three.leader()
    yield* three.converged
    const [identity] = yield* identities(three)
    const lost = three.nodes.find((node) => node !== leader)
    if (lost === undefined) return assert.fail("a node follows")
    yield* lost.wipe()
    for (let i = 0; i < 60; i++) yield* three.whileTimePasses(leader.put(`k${i}`, "v"))
    yield* three.until(
      "the log to be compacted",
      Effect.map(leader.node.status, ({ firstIndex }) => firstIndex > 20 ? Option.some(true) : Option.none())
    )
    yield* lost.start
    yield* three.converged
    assert.deepStrictEqual(yield* identities(three), [identity, identity, identity])
  }))

it.effect("is decided by the first entry, and no client can propose one", () =>
  Effect.gen(function*() {
    const one = yield* TestCluster.make({ voters: 1, passTime })
    const leader = yield* one.leader()
    const entries = leader.disk.entries.filter(({ payload }) => decodeIdentityEntry(payload) !== undefined)
    assert.lengthOf(entries, 1)
    const forged = encodeIdentityEntry(identityOfBytes(new Uint8Array(16).fill(9)))
    const [result] = yield* leader.node.propose([forged])
    assert.deepInclude(result, { _tag: "InvalidArgument", field: "command" })
    // Another leader's candidate, already in the log when this one starts: the earlier one stays.
    const disk = leader.disk
    yield* leader.stop
    const before = entries[0] === undefined ? undefined : decodeIdentityEntry(entries[0].payload)
    disk.append({
      hardState: undefined,
      truncateFrom: undefined,
      entries: [{
        index: (disk.last.index + 1) as typeof disk.last.index,
        term: disk.last.term,
        kind: "command",
        timestampMs: 1,
        payload: forged
      }]
    })
    yield* leader.start
    yield* one.leader()
    yield* one.converged
    assert.deepStrictEqual(yield* identities(one), [before])
  }))

it.effect("keeps a node of an earlier cluster out, which never makes a second history", () =>
  Effect.gen(function*() {
    const old = yield* TestCluster.make({ voters: 3, passTime })
    yield* old.leader()
    yield* old.converged
    const [oldIdentity] = yield* identities(old)
    const left = old.nodes.map(({ disk }) => disk.image())
    for (const node of old.nodes) yield* node.stop

    // Node 3 kept its directory; nodes 1 and 2 are wiped. It has taken part already, so they must not begin anew.
    const voters = left[0]?.confState.voters ?? []
    const mixed = yield* TestCluster.make({
      voters: 3,
      passTime,
      disks: [new MemoryDisk(voters), new MemoryDisk(voters), left[2] ?? new MemoryDisk(voters)]
    })
    for (let i = 0; i < 500; i++) yield* passTime
    const statuses = yield* mixed.statuses
    assert.isFalse(statuses.some(({ role }) => role === "leader"))
    assert.deepStrictEqual(statuses.map(({ identity }) => identity), [undefined, undefined, oldIdentity])

    // Nodes 1 and 2 are of a new cluster already when it comes back: it is not listened to.
    const fresh = yield* TestCluster.make({ voters: 3, passTime })
    yield* fresh.leader()
    yield* fresh.converged
    const [identity] = yield* identities(fresh)
    assert.notStrictEqual(identity, oldIdentity)
    const third = fresh.node(3)
    yield* third.wipe(left[2])
    yield* third.start
    const leader = yield* fresh.leader(fresh.nodes.filter((node) => node !== third))
    const { term } = yield* leader.node.status
    for (let i = 0; i < 500; i++) yield* passTime
    assert.strictEqual((yield* leader.node.status).term, term, "it deposes nobody")
    yield* fresh.whileTimePasses(leader.put("a", "1"))
    assert.strictEqual((yield* third.node.status).identity, oldIdentity)
    assert.isTrue((yield* third.node.status).applied <= (left[2]?.last.index ?? 0), "it takes no entry of theirs")
  }))
