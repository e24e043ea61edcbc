/** The time that a new leader timestamps its entries with: it goes on where the log ends, also where that is not applied yet. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Queue } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Config from "../../src/config/index.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import * as OwnIdentity from "../../src/machine/OwnIdentity.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import type { Listening } from "../../src/testing/PeerTransportSuite.ts"
import { listening } from "../../src/testing/PeerTransportSuite.ts"
import { RaftTimer } from "../../src/timer/RaftTimer.ts"
import * as MemoryTransport from "../../src/transport/memory/MemoryTransport.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"

const ids = [1, 2, 3].map(NodeId)
const [own, peer] = ids as [NodeId, NodeId]
const command = encodeCommand({ _tag: "GrantLease", ttlMs: 1_500 })

/** What the first leader of a cluster, whose clock is at 5,000, gave node 1 before it was gone. */
const entries: ReadonlyArray<Entry> = [
  { index: LogIndex(1), term: Term(1), kind: "noop", timestampMs: 0, payload: new Uint8Array(0) },
  { index: LogIndex(2), term: Term(1), kind: "command", timestampMs: 5_000, payload: command }
]

const sendEntries = (transport: PeerTransport["Service"]): void =>
  transport.sendUnsafe([{
    _tag: "AppendRequest",
    from: peer,
    to: own,
    term: Term(1),
    prev: origin,
    entries,
    commit: LogIndex(0)
  }])

/** Node 1 over a disk, with node 2 in the test's hands. */
const start = Effect.fnUntraced(function*(network: MemoryTransport.MemoryNetwork, disk: MemoryStore.MemoryDisk) {
  const config = yield* Config.make({ nodeId: own, clusterId: "timestamps", nodes: Config.localNodes, dataDir: "none" })
  const ports = Layer.mergeAll(
    MemoryStore.layer(disk),
    MemoryTransport.layer(network, own, ids),
    RaftTimer.layer({ tickMs: Config.tickMs(config) })
  )
  yield* Layer.build(Layer.fresh(
    RaftNode.layer(config).pipe(
      Layer.provide(Layer.provideMerge(OwnIdentity.layer, KvStateMachine.layer)),
      Layer.provide(ports)
    )
  ))
})

/** Grants node 1 every vote, and gives the first timestamp that it makes as a leader. */
const stampOfLeader = Effect.fnUntraced(function*(transport: Listening) {
  for (;;) {
    for (const { messages } of yield* Effect.andThen(TestClock.adjust(10), Queue.clear(transport.inbox))) {
      for (const message of messages) {
        const { term } = message
        const answer = { from: peer, to: own, term, granted: true }
        if (message._tag === "PreVoteRequest") transport.sendUnsafe([{ _tag: "PreVoteResponse", ...answer }])
        if (message._tag === "VoteRequest") transport.sendUnsafe([{ _tag: "VoteResponse", ...answer }])
        if (message._tag === "AppendRequest" && message.from === own) {
          const found = message.entries.find((entry) => entry.term === term && entry.timestampMs !== 0)
          if (found !== undefined) return found.timestampMs
          yield* acknowledge(transport, message)
        }
      }
    }
  }
})

const acknowledge = (transport: PeerTransport["Service"], { prev, entries: sent, term }: Message & {
  readonly _tag: "AppendRequest"
}) =>
  Effect.sync(() =>
    transport.sendUnsafe([{
      _tag: "AppendAccepted",
      from: peer,
      to: own,
      term,
      match: LogIndex(prev.index + sent.length),
      voter: true
    }])
  )

for (const restarts of [false, true]) {
  it.effect(`goes on from entries that are not applied${restarts ? ", also after a restart" : ""}`, () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const network = new MemoryTransport.MemoryNetwork()
      const disk = new MemoryStore.MemoryDisk(ids)
      disk.hardState = { term: Term(1), votedFor: peer, commit: LogIndex(0) }
      const context = yield* Layer.build(MemoryTransport.layer(network, peer, ids))
      const transport = yield* listening(Context.get(context, PeerTransport))
      const untilTaken = Effect.gen(function*() {
        while (disk.last.index < 2) {
          sendEntries(transport)
          yield* TestClock.adjust(10)
        }
      })
      if (restarts) yield* Effect.scoped(Effect.andThen(start(network, disk), untilTaken))
      yield* start(network, disk)
      if (!restarts) yield* untilTaken
      const timestampMs = yield* stampOfLeader(transport)
      assert.isAtLeast(timestampMs, 5_000)
      assert.isAtMost(timestampMs, 60_000, "not this node's own wall clock")
    }).pipe(Effect.scoped))
}
