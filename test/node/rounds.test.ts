/** A leader whose peers say when a round ends: what comes meanwhile waits, for a bounded time, and is answered. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Queue, Scope } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Config from "../../src/config/index.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import * as OwnIdentity from "../../src/machine/OwnIdentity.ts"
import { longestRoundMs } from "../../src/node/Gathering.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import type { AppendRequest } from "../../src/raft/Message.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import type { Listening } from "../../src/testing/PeerTransportSuite.ts"
import { listening } from "../../src/testing/PeerTransportSuite.ts"
import { RaftTimer } from "../../src/timer/RaftTimer.ts"
import * as MemoryTransport from "../../src/transport/memory/MemoryTransport.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"

const ids = [1, 2, 3].map(NodeId)
const [own, peer] = ids as [NodeId, NodeId]

const command = (key: string): Uint8Array =>
  encodeCommand({ _tag: "Put", key: new TextEncoder().encode(key), value: new Uint8Array(1), lease: 0 })

/** Node 1, which leads, with node 2 in the test's hands. */
class Led {
  readonly node: RaftNode["Service"]
  private readonly transport: Listening

  constructor(node: RaftNode["Service"], transport: Listening) {
    this.node = node
    this.transport = transport
  }

  /** Appends that came since it was last asked, with entries. */
  get appends(): Effect.Effect<ReadonlyArray<AppendRequest>> {
    return Effect.map(
      Queue.clear(this.transport.inbox),
      (received) =>
        received.flatMap(({ messages }) => messages).filter((message): message is AppendRequest =>
          message._tag === "AppendRequest" && message.from === own && message.entries.length > 0
        )
    )
  }

  /** Lets time pass until appends have come, and gives the entries of each. */
  readonly nextAppends = Effect.fnUntraced({ self: this }, function*(this: Led, ms: number) {
    yield* TestClock.adjust(ms)
    return yield* this.appends
  })

  /** Another node leads a later term. */
  depose(term: Term): void {
    this.transport.sendUnsafe([{
      _tag: "AppendRequest",
      from: peer,
      to: own,
      term: Term(term + 1),
      prev: origin,
      entries: [],
      commit: LogIndex(0)
    }])
  }

  acknowledge({ entries, prev, term }: AppendRequest): void {
    const match = LogIndex(prev.index + entries.length)
    this.transport.sendUnsafe([{ _tag: "AppendAccepted", from: peer, to: own, term, match, voter: true }])
  }

  /** Answers whatever asks for a vote, and acknowledges, until the node has committed what it begins with. */
  readonly elect = Effect.fnUntraced({ self: this }, function*(this: Led) {
    while ((yield* this.node.status).applied < 2) {
      yield* TestClock.adjust(10)
      for (const { messages } of yield* Queue.clear(this.transport.inbox)) {
        for (const message of messages) {
          const answer = { from: peer, to: own, term: message.term, granted: true }
          if (message._tag === "PreVoteRequest") this.transport.sendUnsafe([{ _tag: "PreVoteResponse", ...answer }])
          if (message._tag === "VoteRequest") this.transport.sendUnsafe([{ _tag: "VoteResponse", ...answer }])
          if (message._tag === "AppendRequest" && message.from === own) this.acknowledge(message)
        }
      }
    }
    yield* TestClock.adjust(longestRoundMs)
    yield* this.appends
  })
}

const lead = Effect.fnUntraced(function*(scope?: Scope.Scope) {
  const network = new MemoryTransport.MemoryNetwork()
  const disk = new MemoryStore.MemoryDisk(ids)
  disk.hardState = { term: Term(1), votedFor: peer, commit: LogIndex(0) }
  const transport = yield* listening(
    Context.get(yield* Layer.build(MemoryTransport.layer(network, peer, ids)), PeerTransport)
  )
  const config = yield* Config.make({ nodeId: own, clusterId: "rounds", nodes: Config.localNodes, dataDir: "none" })
  const ports = Layer.mergeAll(
    MemoryStore.layer(disk),
    MemoryTransport.layer(network, own, ids),
    RaftTimer.layer({ tickMs: Config.tickMs(config) })
  )
  const layer = Layer.fresh(
    RaftNode.layer(config).pipe(
      Layer.provide(Layer.provideMerge(OwnIdentity.layer, KvStateMachine.layer)),
      Layer.provide(ports)
    )
  )
  const context = yield* scope === undefined ? Layer.build(layer) : Layer.buildWithScope(layer, scope)
  const led = new Led(Context.get(context, RaftNode), transport)
  yield* led.elect()
  return led
})

const begin = (led: Led, key: string) =>
  Effect.tap(Effect.forkChild(led.node.propose([command(key)]), { startImmediately: true }), Effect.yieldNow)

it.effect("commands that come during a round are appended together when it has ended", () =>
  Effect.gen(function*() {
    const led = yield* lead()
    const first = yield* begin(led, "first")
    const [round] = yield* led.nextAppends(1)
    assert.strictEqual(round?.entries.length, 1)
    const second = yield* begin(led, "second")
    const third = yield* begin(led, "third")
    assert.deepStrictEqual(yield* led.nextAppends(1), [])
    led.acknowledge(round as AppendRequest)
    yield* Fiber.join(first)
    const next = yield* led.nextAppends(1)
    assert.deepStrictEqual(next.map(({ entries }) => entries.length), [2])
    led.acknowledge(next[0] as AppendRequest)
    yield* Fiber.join(second)
    yield* Fiber.join(third)
  }))

it.effect("a round that takes long does not hold them", () =>
  Effect.gen(function*() {
    const led = yield* lead()
    yield* begin(led, "first")
    assert.strictEqual((yield* led.nextAppends(1)).length, 1)
    yield* begin(led, "second")
    assert.deepStrictEqual(yield* led.nextAppends(longestRoundMs - 1), [])
    assert.deepStrictEqual((yield* led.nextAppends(1)).map(({ entries }) => entries.length), [1])
  }))

const tagOf = ([answer]: ReadonlyArray<unknown>): string =>
  typeof answer === "object" && answer !== null && "_tag" in answer ? String(answer._tag) : typeof answer

for (const end of ["stops", "does not lead any more"]) {
  it.effect(`a node that ${end} answers what waits: it is in no log`, () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const led = yield* lead(scope)
      const first = yield* begin(led, "first")
      const [round] = yield* led.nextAppends(1)
      const second = yield* begin(led, "second")
      assert.deepStrictEqual(yield* led.nextAppends(1), [])
      if (end === "stops") yield* Scope.close(scope, Exit.void)
      else led.depose((round as AppendRequest).term)
      assert.strictEqual(tagOf(yield* Fiber.join(first)), "Indeterminate")
      assert.strictEqual(tagOf(yield* Fiber.join(second)), end === "stops" ? "Unavailable" : "NotLeader")
      yield* Scope.close(scope, Exit.void)
    }))
}
