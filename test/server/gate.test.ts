/** Nothing is carried out before a connection has said `Hello`, over real TCP, for every call of both ports. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer, References } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { clientProtocolVersion } from "../../src/protocol/ClientRpcs.ts"
import { write } from "../../src/client/connection/Connection.ts"
import * as TcpConnection from "../../src/client/connection/TcpConnection.ts"
import { encodeMessages } from "../../src/protocol/MessageBatch.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand, proposers } from "../../src/kv/model/Command.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import { NodeId } from "../../src/raft/Types.ts"
import { maxRefusals } from "../../src/net/Gate.ts"
import * as ClientServer from "../../src/server/ClientServer.ts"
import { PeerRpcs, protocolVersion } from "../../src/protocol/PeerRpcs.ts"
import * as RpcTransport from "../../src/transport/rpc/RpcTransport.ts"
import type { Payloads } from "./Payloads.ts"
import { ClientPort as Rpcs, toClients } from "./Payloads.ts"
import { exitOf, open } from "./RawConnection.ts"
import { call } from "../wire/Frames.ts"

const host = "127.0.0.1"
const quietly = Effect.provideService(References.MinimumLogLevel, "None")
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const toPeers: Payloads<typeof PeerRpcs> = {
  "peer.Hello": { clusterId: "orders", identity: null, instance: "0".repeat(32), from: 1, to: 2, protocolVersion },
  "peer.Deliver": { messages: encodeMessages([]) },
  "peer.Clock": undefined,
  "peer.OfferSnapshot": { term: 1, point: { index: 1, term: 1 }, estimatedBytes: 1 },
  "peer.SnapshotChunk": { chunk: new Uint8Array(1) }
}

const clientPort = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.fresh(
    ClientServer.layer({ clusterId: "memory", nodeId: 1, listen: { host, port: 0 }, maxOperations: 10_000 }).pipe(
      Layer.provideMerge(FlareDb.layerMemory)
    )
  ))
  return { port: Context.get(context, ClientServer.ClientAddress).port, node: Context.get(context, RaftNode) }
})

const peerPort = Effect.gen(function*() {
  let port = 0
  yield* Layer.build(Layer.fresh(RpcTransport.layer({
    clusterId: "orders",
    nodeId: NodeId(2),
    listen: { host, port: 0 },
    peers: [{ id: NodeId(1), host, port: 1 }],
    onListening: (address) =>
      Effect.sync(() => {
        port = address.port
      })
  })))
  return port
})

/** How a call ends that is the first thing said on a connection. */
const firstCall = <Group extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Group>,
  port: number,
  tag: string,
  payload: unknown
) =>
  Effect.gen(function*() {
    const connection = yield* open(port)
    connection.send(call(group, 1, tag, payload))
    return exitOf(group, tag, yield* connection.next)
  }).pipe(Effect.scoped, Effect.timeout("5 seconds"))

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown => Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit

describe("a call before Hello is refused, and says so", () => {
  for (const [tag, payload] of Object.entries(toClients)) {
    if (tag === "client.Hello") continue
    it.live(tag, () =>
      Effect.gen(function*() {
        const { port } = yield* clientPort
        const error = errorOf(yield* firstCall(Rpcs, port, tag, payload))
        assert.deepInclude(error, { _tag: "NoHello", call: tag })
      }).pipe(Effect.scoped, quietly))
  }

  for (const [tag, payload] of Object.entries(toPeers)) {
    if (tag === "peer.Hello") continue
    it.live(tag, () =>
      Effect.gen(function*() {
        const error = errorOf(yield* firstCall(PeerRpcs, yield* peerPort, tag, payload))
        assert.deepInclude(error, { _tag: "PeerRefused", reason: "no-hello" })
      }).pipe(Effect.scoped, quietly))
  }
})

describe("a connection", () => {
  it.live("that keeps calling without Hello is closed", () =>
    Effect.gen(function*() {
      const { port } = yield* clientPort
      const connection = yield* open(port)
      for (let id = 1; id <= maxRefusals; id++) connection.send(call(Rpcs, id, "client.Status", undefined))
      yield* Effect.timeout(connection.closed, "5 seconds")
    }).pipe(Effect.scoped, quietly))

  it.live("whose Hello is of another version stays outside", () =>
    Effect.gen(function*() {
      const { port } = yield* clientPort
      const connection = yield* open(port)
      connection.send(call(Rpcs, 1, "client.Hello", { protocolVersion: clientProtocolVersion + 1 }))
      assert.deepInclude(errorOf(exitOf(Rpcs, "client.Hello", yield* connection.next)), { _tag: "WrongProtocol" })
      connection.send(call(Rpcs, 2, "client.Status", undefined))
      assert.deepInclude(errorOf(exitOf(Rpcs, "client.Status", yield* connection.next)), { _tag: "NoHello" })
    }).pipe(Effect.scoped, quietly))

  it.live("may send no call as a notification, without waiting, or under a number that is in use", () =>
    Effect.gen(function*() {
      const { port } = yield* clientPort
      const watch = call(Rpcs, 7, "state.HashState", { marker: bytes("never") })
      const misuses = [
        [call(Rpcs, 2, "client.Status", undefined, { isNotification: true })],
        [call(Rpcs, 2, "client.Status", undefined, { discard: true })],
        [watch, watch]
      ]
      for (const said of misuses) {
        const connection = yield* open(port)
        connection.send(call(Rpcs, 1, "client.Hello", toClients["client.Hello"]))
        yield* connection.next
        for (const one of said) connection.send(one)
        yield* Effect.timeout(connection.closed, "5 seconds")
      }
    }).pipe(Effect.scoped, quietly))
})

describe("a command that only nodes propose", () => {
  const samples: { readonly [Tag in Command["_tag"]]: Extract<Command, { readonly _tag: Tag }> | undefined } = {
    Put: undefined,
    Delete: undefined,
    Transact: undefined,
    GrantLease: undefined,
    KeepAlive: undefined,
    RevokeLease: undefined,
    Compact: undefined,
    OpenSession: undefined,
    CloseSession: undefined,
    Expire: { _tag: "Expire", leases: [], sessions: [1] },
    Checkpoint: undefined,
    EndSession: undefined,
    PutRole: undefined,
    DeleteRole: undefined,
    PutUser: undefined,
    DeleteUser: undefined,
    AddToken: undefined,
    RemoveToken: undefined
  }
  for (const [tag, sample] of Object.entries(samples)) {
    if (sample === undefined) continue
    it.live(`(${tag}) is refused from a client, before the log`, () =>
      Effect.gen(function*() {
        const { node, port } = yield* clientPort
        const connection = yield* TcpConnection.make({ connectTimeoutMs: 1_000 })({ host, port })
        yield* write(connection, [encodeCommand({ _tag: "Checkpoint" })])
        const before = (yield* node.status).lastIndex
        const [refused] = yield* write(connection, [encodeCommand(sample)])
        assert.deepInclude(refused, { _tag: "InvalidArgument", field: "command" })
        assert.include(refused instanceof Uint8Array ? "" : refused?.message, tag)
        assert.strictEqual((yield* node.status).lastIndex, before)
        // The node itself may.
        const [done] = yield* node.propose([encodeCommand(sample)], "node")
        assert.instanceOf(done, Uint8Array)
      }).pipe(Effect.scoped, quietly))
  }

  it("is one of those tried here", () => {
    const tried = Object.entries(samples).filter(([, sample]) => sample !== undefined).map(([tag]) => tag)
    assert.deepStrictEqual(tried, Object.entries(proposers).filter(([, who]) => who === "node").map(([tag]) => tag))
  })
})
