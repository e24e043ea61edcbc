import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Queue, References, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { connect as connectSocket } from "node:net"
import { encodeMessages } from "../../src/protocol/MessageBatch.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import { linesPerWindow } from "../../src/net/ProtocolViolations.ts"
import { connect } from "../../src/net/TcpClient.ts"
import { heartbeat, listening, receive, untilConnected } from "../../src/testing/PeerTransportSuite.ts"
import type { LinkLimits } from "../../src/transport/rpc/PeerLink.ts"
import { PeerRefused, PeerRpcs, protocolVersion } from "../../src/protocol/PeerRpcs.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"
import * as RpcTransport from "../../src/transport/rpc/RpcTransport.ts"
import { eventually } from "../Eventually.ts"
import { otherCluster, someCluster } from "../client/Identities.ts"
import { freePorts } from "../FreePorts.ts"

const host = "127.0.0.1"
const one = NodeId(1)
const two = NodeId(2)

/** Starts node `node` and says where it listens. */
const start = Effect.fnUntraced(function*(
  node: NodeId,
  options: {
    readonly clusterId?: string
    readonly port?: number
    readonly peers?: RpcTransport.RpcTransportOptions["peers"]
    readonly limits?: Partial<LinkLimits>
  } = {}
) {
  let port = 0
  const layer = RpcTransport.layer({
    clusterId: options.clusterId ?? "orders",
    nodeId: node,
    listen: { host, port: options.port ?? 0 },
    peers: options.peers ?? [],
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    onListening: (address) =>
      Effect.sync(() => {
        port = address.port
      })
  })
  const transport = yield* listening(Context.get(yield* Layer.build(Layer.fresh(layer)), PeerTransport))
  return { transport, port }
})

/** A node that knows node 1, so that tests can pretend to be it, at an address nobody has. */
const server = Effect.gen(function*() {
  const [nowhere = 0] = yield* freePorts(1)
  return yield* start(two, { peers: [{ id: one, host, port: nowhere }] })
})

const client = (port: number) => connect(PeerRpcs, { host, port, openTimeoutMs: 1_000 })
const hello = { clusterId: "orders", identity: null, instance: "0".repeat(32), from: 1, to: 2, protocolVersion }

/** Sends bytes as they are, and waits until the other side closes the connection. */
const raw = (port: number, bytes: Uint8Array): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const socket = connectSocket(port, host, () => socket.write(bytes))
    socket.on("error", () => undefined)
    socket.once("close", () => resume(Effect.void))
    return Effect.sync(() => socket.destroy())
  })

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

/** Gathers what is logged at "Warn" and above. */
const gatheringLogs = (lines: Array<string>) =>
  Effect.provide(
    Layer.merge(
      Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]),
      Layer.succeed(References.MinimumLogLevel, "Warn")
    )
  )

describe("a connection from somebody else is refused", () => {
  const cases: ReadonlyArray<readonly [string, Partial<typeof hello>, string, string]> = [
    ["cluster-id", { clusterId: "payments" }, "orders", "payments"],
    ["node-id", { to: 3 }, "node 2", "node 3"],
    ["unknown-peer", { from: 4 }, "one of nodes 1", "node 4"],
    ["protocol-version", { protocolVersion: 99 }, String(protocolVersion), "99"]
  ]
  for (const [reason, change, expected, found] of cases) {
    it.live(`by its ${reason}, with one line in the log`, () => {
      const lines: Array<string> = []
      return Effect.gen(function*() {
        const { port } = yield* server
        const peer = yield* client(port)
        lines.length = 0
        const error = yield* Effect.flip(peer["peer.Hello"]({ ...hello, ...change }))
        if (error._tag !== "PeerRefused") return assert.fail(`expected a refusal, got ${error.message}`)
        assert.deepStrictEqual([error.reason, error.expected, error.found], [reason, expected, found] as const)
        assert.lengthOf(lines.filter((line) => line.includes("refused a connection")), 1)
        assert.include(lines.join(), reason)
        // Refused once, it is still a stranger.
        const next = yield* Effect.flip(peer["peer.Deliver"]({ messages: new Uint8Array(0) }))
        assert.strictEqual(next._tag === "PeerRefused" ? next.reason : next._tag, "no-hello")
      }).pipe(gatheringLogs(lines))
    })
  }

  it.live("by its protocol version, also when its Hello lacks what later ones have", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const earlier = RpcGroup.make(
        Rpc.make("Hello", {
          payload: {
            clusterId: Schema.String,
            identity: Schema.NullOr(Schema.String),
            from: Schema.Natural,
            to: Schema.Natural,
            protocolVersion: Schema.Natural
          },
          error: PeerRefused
        })
      ).prefix("peer.")
      const peer = yield* connect(earlier, { host, port, openTimeoutMs: 1_000 })
      const { clusterId, from, identity, to } = hello
      const error = yield* Effect.flip(
        peer["peer.Hello"]({ clusterId, identity, from, to, protocolVersion: protocolVersion - 1 })
      )
      assert.strictEqual(error._tag === "PeerRefused" ? error.reason : error.message, "protocol-version")
    }).pipe(quietly))

  it.live("by the identity of its cluster, also when that is learned on an open connection, on either side", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const { port, transport } = yield* server
      const stranger = yield* client(port)
      const late = yield* client(port)
      const known = yield* client(port)
      // Nobody knows anything yet: all are let in.
      yield* stranger["peer.Hello"]({ ...hello, identity: otherCluster })
      yield* late["peer.Hello"](hello)
      yield* known["peer.Hello"]({ ...hello, identity: someCluster })
      yield* stranger["peer.Deliver"]({ messages: encodeMessages([heartbeat(one, two, 1)]) })
      assert.deepStrictEqual(yield* receive(transport, 1), [heartbeat(one, two, 1)])
      transport.identifyUnsafe(someCluster)

      // From now on the stranger is not listened to.
      const cut = yield* Effect.flip(
        stranger["peer.Deliver"]({ messages: encodeMessages([heartbeat(one, two, 2)]) })
      )
      assert.strictEqual(cut._tag === "PeerRefused" ? cut.reason : cut._tag, "no-hello")
      const again = yield* Effect.flip(stranger["peer.Hello"]({ ...hello, identity: otherCluster }))
      if (again._tag !== "PeerRefused") return assert.fail(again.message)
      assert.strictEqual(again.reason, "cluster-identity")
      for (const part of [someCluster, otherCluster, "move its directory away", "lost-node.md"]) {
        assert.include(again.message, part)
      }
      assert.include(lines.join(), "cluster-identity")

      // One that did not know says so once more when it does, on the connection that it has.
      yield* late["peer.Deliver"]({ messages: encodeMessages([heartbeat(one, two, 3)]) })
      yield* Effect.flip(late["peer.Hello"]({ ...hello, identity: otherCluster }))
      yield* Effect.flip(late["peer.Deliver"]({ messages: encodeMessages([heartbeat(one, two, 4)]) }))
      yield* known["peer.Deliver"]({ messages: encodeMessages([heartbeat(one, two, 5)]) })
      assert.deepStrictEqual(yield* receive(transport, 2), [heartbeat(one, two, 3), heartbeat(one, two, 5)])
    }).pipe(gatheringLogs(lines))
  })

  it.live("and a link breaks when its node learns that the peer is of another cluster", () =>
    Effect.gen(function*() {
      const [portOne = 0, portTwo = 0] = yield* freePorts(2)
      const first = yield* start(one, { port: portOne, peers: [{ id: two, host, port: portTwo }] })
      const second = yield* start(two, { port: portTwo, peers: [{ id: one, host, port: portOne }] })
      yield* untilConnected(first.transport, two)
      yield* untilConnected(second.transport, one)
      first.transport.identifyUnsafe(someCluster)
      second.transport.identifyUnsafe(otherCluster)
      const refused = (transport: PeerTransport["Service"]) =>
        eventually(
          "the link is refused",
          Effect.map(
            transport.health,
            ([link]) => link?.connected === false && link.lastError?.includes("cluster-identity") === true
          )
        )
      yield* refused(first.transport)
      yield* refused(second.transport)
    }).pipe(quietly))

  it.live("when it speaks before its Hello, and what it said is dropped", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* server
      const peer = yield* client(port)
      const error = yield* Effect.flip(peer["peer.Deliver"]({ messages: encodeMessages([heartbeat(one, two, 1)]) }))
      assert.strictEqual(error._tag === "PeerRefused" ? error.reason : error._tag, "no-hello")
      yield* peer["peer.Hello"](hello)
      yield* peer["peer.Deliver"]({ messages: encodeMessages([heartbeat(one, two, 2)]) })
      assert.deepStrictEqual(yield* receive(transport, 1), [heartbeat(one, two, 2)])
    }).pipe(quietly))

  it.live("when it speaks for another node, or to one, or sends entries that are none, and loses its connection", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* server
      const good = heartbeat(one, two, 1)
      const entries = encodeMessages([{
        _tag: "AppendRequest",
        from: one,
        to: two,
        term: Term(1),
        prev: origin,
        commit: LogIndex(0),
        entries: [{ index: LogIndex(1), term: Term(1), kind: "command", timestampMs: 0, payload: new Uint8Array(8) }]
      }])
      // In the payload of the entry, whose checksum then does not match.
      const flipped = Uint8Array.from(entries, (byte, at) => at === entries.byteLength - 1 ? byte ^ 1 : byte)
      const bad = [
        encodeMessages([good, heartbeat(NodeId(3), two, 1)]),
        // A term that no election could follow.
        encodeMessages([good, { ...good, term: Number.MAX_SAFE_INTEGER as Term }]),
        encodeMessages([good, heartbeat(one, NodeId(3), 1)]),
        Buffer.concat([encodeMessages([good]), flipped]),
        Buffer.concat([encodeMessages([good]), entries.subarray(0, 60)]),
        new Uint8Array(50).fill(7)
      ]
      for (const messages of bad) {
        yield* Effect.scoped(Effect.gen(function*() {
          const peer = yield* client(port)
          yield* peer["peer.Hello"](hello)
          const error = yield* Effect.flip(peer["peer.Deliver"]({ messages }))
          assert.strictEqual(error._tag === "PeerRefused" ? error.reason : error._tag, "malformed")
          // Told why, it is not listened to any more.
          const after = yield* Effect.flip(peer["peer.Deliver"]({ messages: encodeMessages([good]) }))
          assert.isTrue(after._tag !== "PeerRefused" || after.reason === "no-hello")
        }))
      }
      assert.strictEqual(Queue.sizeUnsafe(transport.inbox), 0)
    }).pipe(quietly))
})

describe("a node that is told the wrong address", () => {
  it.live("says why its link is down, and says it once", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const { port } = yield* start(two, { clusterId: "payments", peers: [{ id: one, host, port: 1 }] })
      const { transport } = yield* start(one, {
        peers: [{ id: two, host, port }],
        limits: { reconnectMs: 5 }
      })
      yield* eventually(
        "the link has an error",
        Effect.map(transport.health, (links) => links[0]?.lastError !== undefined)
      )
      const [link] = yield* transport.health
      assert.include(link?.lastError ?? "", "cluster-id")
      assert.isFalse(link?.connected)
      // Several attempts later, as many as the other side tells of, there is still one line about it here.
      const refusals = () => lines.filter((line) => line.includes("refused a connection")).length
      yield* eventually("the other side has told of several attempts", () => refusals() >= linesPerWindow)
      assert.lengthOf(lines.filter((line) => line.includes("peer 2 is not reachable")), 1)
    }).pipe(gatheringLogs(lines))
  })
})

describe("bytes that are no call", () => {
  const frames: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["an HTTP request", Buffer.from(`GET / HTTP/1.1\r\nHost: example\r\nCookie: ${"c".repeat(500)}\r\n\r\n`)],
    ["a frame of 0xff", new Uint8Array(64).fill(0xff)]
  ]
  for (const [name, bytes] of frames) {
    it.live(`(${name}) close their connection and no other`, () =>
      Effect.gen(function*() {
        const { port, transport } = yield* server
        const peer = yield* client(port)
        yield* peer["peer.Hello"](hello)
        yield* raw(port, bytes)
        yield* peer["peer.Deliver"]({ messages: encodeMessages([heartbeat(one, two, 5)]) })
        assert.deepStrictEqual(yield* receive(transport, 1), [heartbeat(one, two, 5)])
      }).pipe(quietly))
  }
})

describe("a port in use", () => {
  it.live("is a typed error with the address and what to do", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const error = yield* Effect.flip(start(one, { port }))
      assert.strictEqual(error._tag, "ListenError")
      assert.include(error.message, `${host}:${port} is in use`)
    }).pipe(quietly))
})

describe("a full queue", () => {
  it.live("drops the oldest and never grows beyond its limit", () =>
    Effect.gen(function*() {
      const [nowhere = 0] = yield* freePorts(1)
      const { transport } = yield* start(one, {
        peers: [{ id: two, host, port: nowhere }],
        limits: { maxQueuedMessages: 10 }
      })
      for (let i = 0; i < 1_000; i++) transport.sendUnsafe([heartbeat(one, two, i)])
      const [link] = yield* transport.health
      assert.strictEqual(link?.queued, 10)
      assert.strictEqual(link?.dropped, 990)
      // What waited for a peer that was not there is out of date: it starts with what is sent from then on.
      const { transport: peer } = yield* start(two, { port: nowhere, peers: [{ id: one, host, port: 1 }] })
      yield* untilConnected(transport, two)
      transport.sendUnsafe([heartbeat(one, two, 1_001)])
      assert.deepStrictEqual(yield* receive(peer, 1), [heartbeat(one, two, 1_001)])
    }).pipe(quietly))
})
