/** A leader's entries leave before its own disk is asked: its sync may hold up the thread, and followers write meanwhile. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Queue } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Config from "../../src/config/index.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import * as OwnIdentity from "../../src/machine/OwnIdentity.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import { listening } from "../../src/testing/PeerTransportSuite.ts"
import { RaftTimer } from "../../src/timer/RaftTimer.ts"
import * as MemoryTransport from "../../src/transport/memory/MemoryTransport.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"

const ids = [1, 2, 3].map(NodeId)
const [own, peer] = ids as [NodeId, NodeId]

it.effect("a leader sends, flushes, and only then writes", () =>
  Effect.gen(function*() {
    const network = new MemoryTransport.MemoryNetwork()
    const disk = new MemoryStore.MemoryDisk(ids)
    disk.hardState = { term: Term(1), votedFor: peer, commit: LogIndex(0) }
    const steps: Array<string> = []
    const log = Layer.effect(
      LogStore,
      LogStore.use((store) =>
        Effect.succeed({
          ...store,
          append: (writes) =>
            Effect.suspend(() => {
              if (writes.some(({ entries }) => entries.length > 0)) steps.push("write")
              return store.append(writes)
            })
        })
      )
    ).pipe(Layer.provideMerge(MemoryStore.layer(disk)))
    const transport = Layer.effect(
      PeerTransport,
      PeerTransport.use((service) =>
        Effect.succeed({
          ...service,
          sendUnsafe: (messages) => {
            const carries = messages.some((message) => message._tag === "AppendRequest" && message.entries.length > 0)
            if (carries) steps.push("send")
            service.sendUnsafe(messages)
          },
          flushUnsafe: () => steps.push("flush")
        })
      )
    ).pipe(Layer.provide(MemoryTransport.layer(network, own, ids)))
    const config = yield* Config.make({ nodeId: own, clusterId: "c", nodes: Config.localNodes, dataDir: "none" })
    const test = yield* listening(
      Context.get(yield* Layer.build(MemoryTransport.layer(network, peer, ids)), PeerTransport)
    )
    yield* Layer.build(Layer.fresh(
      RaftNode.layer(config).pipe(
        Layer.provide(Layer.provideMerge(OwnIdentity.layer, KvStateMachine.layer)),
        Layer.provide(Layer.mergeAll(log, transport, RaftTimer.layer({ tickMs: Config.tickMs(config) })))
      )
    ))
    while (!steps.includes("write")) {
      for (const { messages } of yield* Effect.andThen(TestClock.adjust(10), Queue.clear(test.inbox))) {
        for (const { _tag, term } of messages) {
          const answer = { from: peer, to: own, term, granted: true }
          if (_tag === "PreVoteRequest") test.sendUnsafe([{ _tag: "PreVoteResponse", ...answer }])
          if (_tag === "VoteRequest") test.sendUnsafe([{ _tag: "VoteResponse", ...answer }])
        }
      }
    }
    assert.deepStrictEqual(steps.slice(steps.indexOf("send"), steps.indexOf("write") + 1), ["send", "flush", "write"])
  }))
