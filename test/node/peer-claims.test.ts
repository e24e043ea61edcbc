/**
 * What a node does with entries and claims of a peer that cannot be: nothing of it reaches the disk or the state, the
 * peer is named, its connection is closed, and the log does not grow with it.
 */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Queue, References } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Config from "../../src/config/index.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import * as OwnIdentity from "../../src/machine/OwnIdentity.ts"
import type { StateMachine } from "../../src/machine/StateMachine.ts"
import { maxKeptCommandBytes } from "../../src/node/KeptCommands.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import { linesPerWindow } from "../../src/net/ProtocolViolations.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import type { StateStore } from "../../src/storage/StateStore.ts"
import type { DataDirRefused, StorageError } from "../../src/storage/StorageError.ts"
import { listening } from "../../src/testing/PeerTransportSuite.ts"
import { RaftTimer } from "../../src/timer/RaftTimer.ts"
import * as MemoryTransport from "../../src/transport/memory/MemoryTransport.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"
import { Words } from "./Words.ts"

const ids = [1, 2, 3].map(NodeId)
const [own, peer] = ids as [NodeId, NodeId]
const day = 24 * 60 * 60 * 1_000
/** The wall clocks of these nodes. */
const nowMs = 1_700_000_000_000

const put = (key: string) => encodeCommand({ _tag: "Put", key: Buffer.from(key), value: Buffer.from("x"), lease: 0 })

const entryOf = (index: number, timestampMs: number, payload: Uint8Array = put(`key ${index}`)): Entry => ({
  index: LogIndex(index),
  term: Term(1),
  kind: "command",
  timestampMs,
  payload
})

const append = (entries: ReadonlyArray<Entry>, commit = 0): Message => {
  const before = (entries[0]?.index ?? 1) - 1
  const prev = before === 0 ? origin : { index: LogIndex(before), term: Term(1) }
  return { _tag: "AppendRequest", from: peer, to: own, term: Term(1), prev, entries, commit: LogIndex(commit) }
}

/** Node 1, whose leader in term 1 is node 2 in the test's hands. */
const start = Effect.fnUntraced(function*(
  machine: Layer.Layer<StateMachine, StorageError | DataDirRefused, StateStore> = KvStateMachine.layer,
  wallMs = nowMs
) {
  yield* TestClock.setTime(wallMs)
  const network = new MemoryTransport.MemoryNetwork()
  const disk = new MemoryStore.MemoryDisk(ids)
  disk.hardState = { term: Term(1), votedFor: peer, commit: LogIndex(0) }
  const transport = yield* listening(
    Context.get(yield* Layer.build(MemoryTransport.layer(network, peer, ids)), PeerTransport)
  )
  const config = yield* Config.make({ nodeId: own, clusterId: "claims", nodes: Config.localNodes, dataDir: "none" })
  const ports = Layer.mergeAll(
    MemoryStore.layer(disk),
    MemoryTransport.layer(network, own, ids),
    RaftTimer.layer({ tickMs: Config.tickMs(config) })
  )
  const node = Context.get(
    yield* Layer.build(Layer.fresh(
      RaftNode.layer(config).pipe(
        Layer.provide(Layer.provideMerge(OwnIdentity.layer, machine)),
        Layer.provide(ports)
      )
    )),
    RaftNode
  )
  const say = (message: Message) =>
    Effect.andThen(Effect.sync(() => transport.sendUnsafe([message])), TestClock.adjust(1))
  /** Says it until it is done: the node drops what comes before it is up. */
  const sayUntil = (done: () => boolean, message: Message) =>
    Effect.andThen(
      Effect.repeat(say(message), { until: done, times: 1_000 }),
      Effect.sync(() => assert.isTrue(done(), "it never happened"))
    )
  /** The last entry that the node acknowledged. */
  const acknowledged = Effect.map(Queue.clear(transport.inbox), (batches) =>
    Math.max(
      0,
      ...batches.flatMap(({ messages }) => messages).map((message) =>
        message._tag === "AppendAccepted" ? message.match : 0
      )
    ))
  return { acknowledged, disk, network, node, say, sayUntil }
})

it.effect("takes no entry that it could not apply, and says so before it acknowledges any of them", () =>
  Effect.gen(function*() {
    const { acknowledged, disk, network, node, sayUntil } = yield* start()
    const garbage = append([entryOf(1, nowMs), entryOf(2, nowMs, Buffer.from("no command"))], 2)
    yield* sayUntil(() => network.closedPeers.length > 0, garbage)
    const noop: Entry = { ...entryOf(1, 0, Buffer.from("x")), kind: "noop" }
    yield* sayUntil(() => network.closedPeers.length > 1, append([noop]))
    assert.match(network.closedPeers[0]?.claim ?? "", /entry 2 holds a command that this node cannot apply \(/)
    assert.match(network.closedPeers[1]?.claim ?? "", /entry 1 opens a term and carries a command/)
    assert.deepStrictEqual(network.closedPeers.map(({ by, peer: accused }) => [by, accused]), [[own, peer], [
      own,
      peer
    ]])
    assert.strictEqual(disk.last.index, 0)
    assert.strictEqual(yield* acknowledged, 0)
    yield* sayUntil(() => disk.last.index === 2, append([entryOf(1, nowMs), entryOf(2, nowMs)], 2))
    assert.strictEqual((yield* node.status).commit, 2, "it goes on")
  }).pipe(Effect.scoped))

it.effect("takes no timestamp more than a day ahead of the log and its own clock, and names the clocks", () =>
  Effect.gen(function*() {
    const { disk, network, sayUntil } = yield* start()
    yield* sayUntil(() => disk.last.index === 1, append([entryOf(1, nowMs - 5 * day)]))
    yield* sayUntil(() => disk.last.index === 2, append([entryOf(2, nowMs + day - 60_000)]))
    yield* sayUntil(() => network.closedPeers.length === 1, append([entryOf(3, nowMs + 3 * day)]))
    assert.match(
      network.closedPeers[0]?.claim ?? "",
      /entry 3 is timestamped 2023-.*more than a day after .*look at the clocks/
    )
    yield* sayUntil(() => network.closedPeers.length === 2, append([entryOf(3, 2 ** 53 - 1)]))
    assert.strictEqual(disk.last.index, 2)
  }).pipe(Effect.scoped))

it.effect("follows a cluster of today with a clock that stands at 1970", () =>
  Effect.gen(function*() {
    const { disk, network, sayUntil } = yield* start(KvStateMachine.layer, 5_000)
    // It knows no time yet, so it takes that of the cluster.
    yield* sayUntil(() => disk.last.index === 1, append([entryOf(1, nowMs)]))
    // Nothing was written for a month: others have taken what is committed.
    yield* sayUntil(() => network.closedPeers.length === 1, append([entryOf(2, nowMs + 30 * day)], 1))
    yield* sayUntil(() => disk.last.index === 2, append([entryOf(2, nowMs + 30 * day)], 2))
  }).pipe(Effect.scoped))

it.effect("decodes a command of another node once, to check it and to apply it", () =>
  Effect.gen(function*() {
    const words = new Words()
    const { sayUntil } = yield* start(words.machine)
    const entries = ["a", "b", "c"].map((word, i) => entryOf(i + 1, nowMs, Buffer.from(word)))
    yield* sayUntil(() => words.applied.length === 3, append(entries, 3))
    assert.deepStrictEqual(words.applied, ["a", "b", "c"])
    // Said again, they are known and not looked at.
    const before = words.decoded
    yield* sayUntil(() => true, append(entries, 3))
    assert.deepStrictEqual([before, words.decoded], [3, 3])
    // Of a large one the decoded command is not kept in memory until it is applied.
    const large = [entryOf(4, nowMs, Buffer.alloc(maxKeptCommandBytes + 1, "d"))]
    yield* sayUntil(() => words.applied.length === 4, append(large, 4))
    assert.strictEqual(words.decoded, 5)
  }).pipe(Effect.scoped))

it.effect("writes few lines about thousands of messages, and counts the others", () => {
  const lines: Array<string> = []
  return Effect.gen(function*() {
    const { disk, say, sayUntil } = yield* start()
    yield* sayUntil(() => disk.last.index === 1, append([entryOf(1, nowMs)]))
    lines.length = 0
    for (let i = 0; i < 1_000; i++) {
      const last = { index: LogIndex(0), term: Term(0) }
      // Each is refused with a line of its own: there is a vote, and a leader.
      yield* say({ _tag: "VoteRequest", from: NodeId(3), to: own, term: Term(1), last, transfer: i % 2 === 0 })
      yield* say({ _tag: "VoteRequest", from: NodeId(3), to: own, term: Term(2 + i), last, transfer: false })
    }
    yield* TestClock.adjust("20 seconds")
    // The messages took some seconds of the test's clock, so there were two windows at most, and a handful of kinds.
    assert.isBelow(lines.length, 12 * (linesPerWindow + 1))
    assert.isTrue(lines.some((line) => /^\d+ more lines like "/.test(line)), lines.join("\n"))
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.merge(
      Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]),
      Layer.succeed(References.MinimumLogLevel, "Info")
    ))
  )
})
