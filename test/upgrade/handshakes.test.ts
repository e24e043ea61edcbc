/** Two releases meet: the highest version that both speak is used, or both sides say which versions there are. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, References, Schema } from "effect"
import type { Rpc } from "effect/rpc"
import { ClientRpcs, WrongProtocol } from "../../src/protocol/ClientRpcs.ts"
import { PeerRpcs, protocolVersion } from "../../src/protocol/PeerRpcs.ts"
import { commonVersion, rangeOfHello } from "../../src/protocol/ProtocolRange.ts"
import type { ProtocolRange } from "../../src/protocol/ProtocolRange.ts"
import { NodeId } from "../../src/raft/Types.ts"
import { untilConnected } from "../../src/testing/PeerTransportSuite.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"
import { LearnedIdentity } from "../../src/transport/rpc/LearnedIdentity.ts"
import { OwnBuild } from "../../src/transport/rpc/OwnBuild.ts"
import { PeerHandshakes } from "../../src/transport/rpc/PeerHandshakes.ts"
import { PeerInstances } from "../../src/transport/rpc/PeerInstances.ts"
import * as RpcTransport from "../../src/transport/rpc/RpcTransport.ts"
import type { ProtocolViolations } from "../../src/net/ProtocolViolations.ts"
import { plain } from "../../src/net/tls/Remote.ts"
import type { HelloRequest } from "../../src/server/Admission.ts"
import { Admission } from "../../src/server/Admission.ts"
import { freePorts } from "../FreePorts.ts"
import { eventually } from "../Eventually.ts"
import { serialization } from "../wire/Frames.ts"
import { asNextRelease } from "./NextRelease.ts"

const [one, two] = [NodeId(1), NodeId(2)]
const first = { level: 1, release: "0.1.0" }
const second = { level: 2, release: "0.2.0" }
const third = { level: 3, release: "0.3.0" }

describe("the versions of two sides", () => {
  const cases: ReadonlyArray<readonly [ProtocolRange, ProtocolRange, number | undefined]> = [
    [{ oldest: 8, newest: 8 }, { oldest: 8, newest: 8 }, 8],
    [{ oldest: 8, newest: 8 }, { oldest: 8, newest: 9 }, 8],
    [{ oldest: 8, newest: 10 }, { oldest: 9, newest: 12 }, 10],
    [{ oldest: 8, newest: 9 }, { oldest: 10, newest: 11 }, undefined]
  ]
  it.each(cases)("%j and %j have %s in common", (a, b, common) => {
    assert.strictEqual(commonVersion(a, b), common)
    assert.strictEqual(commonVersion(b, a), common)
  })

  it("of a release before ranges are the one that it says", () => {
    assert.deepStrictEqual(rangeOfHello({ protocolVersion: 8 }), { oldest: 8, newest: 8 })
    // A newest version below the oldest one makes no sense, and changes nothing.
    assert.deepStrictEqual(rangeOfHello({ protocolVersion: 8, newest: 3 }), { oldest: 8, newest: 8 })
  })
})

describe("a peer's Hello", () => {
  /** What node 2 of one release answers node 1 of another. */
  const answer = (own: OwnBuild, peer: OwnBuild) => {
    const handshakes = new PeerHandshakes(
      { clusterId: "orders", nodeId: two, peers: [{ id: one, host: "127.0.0.1", port: 1 }] },
      new LearnedIdentity(),
      own,
      new PeerInstances(() => 0, () => undefined)
    )
    const hello = { clusterId: "orders", identity: null, from: 1, to: 2, ...peer.wire }
    const refused = handshakes.hello(7, { address: "127.0.0.1:9", remote: plain }, hello)
    return refused?.message ?? handshakes.processes().get(one)
  }
  const build = (known: typeof first, protocols: ProtocolRange, required?: typeof first) => {
    const made = new OwnBuild(known, protocols, known.release)
    if (required !== undefined) made.require(required)
    return made
  }

  it("is answered in the highest version that both speak, and says what its process knows", () => {
    const old = build(first, { oldest: 8, newest: 8 })
    const next = build(second, { oldest: 8, newest: 9 })
    const later = build(third, { oldest: 9, newest: 10 })
    assert.deepStrictEqual(answer(next, old), { release: "0.1.0", level: 1, protocol: 8 })
    assert.deepStrictEqual(answer(old, next), { release: "0.2.0", level: 2, protocol: 8 })
    assert.deepStrictEqual(answer(next, later), { release: "0.3.0", level: 3, protocol: 9 })
  })

  it("without a common version is refused, and the refusal has the versions of both", () => {
    const old = build(first, { oldest: 8, newest: 8 })
    const later = build(third, { oldest: 9, newest: 10 })
    assert.match(
      String(answer(old, later)),
      /refused \(protocol-version\): expected 8, got 9 to 10, which is flaredb 0\.3\.0\. Upgrade the older/
    )
    assert.match(String(answer(later, old)), /expected 9 to 10, got 8, which is flaredb 0\.1\.0/)
  })

  it("of a node that does not know the level of the cluster is refused by either side", () => {
    const protocols = { oldest: 8, newest: 8 }
    const old = build(first, protocols)
    const raised = build(third, protocols, second)
    assert.match(
      String(answer(raised, old)),
      /expected feature level 2, which flaredb 0\.2\.0 and later know, got feature level 1, which is flaredb 0\.1\.0/
    )
    assert.match(
      String(answer(old, raised)),
      /feature level 1 or less, which this node knows: it is flaredb 0\.1\.0, got a node of a cluster with feature level 2/
    )
    assert.deepInclude(answer(raised, build(second, protocols)), { level: 2 })
  })
})

/** A node of some release on the network. */
const start = Effect.fnUntraced(function*(node: NodeId, own: number, peer: NodeId, port: number) {
  const layer = RpcTransport.layer({
    clusterId: "orders",
    nodeId: node,
    listen: { host: "127.0.0.1", port: own },
    peers: [{ id: peer, host: "127.0.0.1", port }],
    limits: { reconnectMs: 5 }
  })
  return Context.get(yield* Layer.build(Layer.fresh(layer)), PeerTransport)
})

it.live("nodes of two releases work together until the level is raised, and both then say why not", () =>
  Effect.gen(function*() {
    const [portOne = 0, portTwo = 0] = yield* freePorts(2)
    const old = yield* start(one, portOne, two, portTwo)
    yield* Effect.scoped(Effect.gen(function*() {
      const next = yield* asNextRelease(start(two, portTwo, one, portOne))
      yield* untilConnected(old, two)
      yield* untilConnected(next, one)
      assert.deepInclude(next.peersUnsafe().get(one), { level: 1, protocol: protocolVersion })
      assert.deepInclude(old.peersUnsafe().get(two), { level: 2, protocol: protocolVersion })
    }))
    const raised = yield* asNextRelease(start(two, portTwo, one, portOne))
    raised.requireLevelUnsafe({ level: 2, release: "99.0.0" })
    const refused = (transport: PeerTransport["Service"]) =>
      eventually(
        "the link is refused",
        Effect.map(transport.health, ([link]) =>
          link?.connected === false && link.lastError?.includes("feature level 2, which flaredb 99.0.0") === true)
      )
    yield* refused(old)
    yield* refused(raised)
    assert.isFalse(raised.peersUnsafe().has(one))
  }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))

describe("what the release before ranges sends and reads", () => {
  /** Calls of client protocol 5 and peer protocol 8, as commit f54eb34 has them. */
  const clientHello = { protocolVersion: Schema.Natural, token: Schema.optionalKey(Schema.String) }
  const peerHello = {
    clusterId: Schema.String,
    identity: Schema.NullOr(Schema.String),
    instance: Schema.optionalKey(Schema.String),
    from: Schema.Natural,
    to: Schema.Natural,
    protocolVersion: Schema.Natural
  }
  const codec = (schema: Schema.Top) => serialization.codecFor(schema as Schema.Codec<unknown, unknown>)
  const across = (from: Schema.Top, to: Schema.Top, value: unknown) =>
    Schema.decodeUnknownSync(codec(to))(Schema.encodeUnknownSync(codec(from))(value))
  const payloadOf = (rpc: unknown) => (rpc as Rpc.AnyWithProps).payloadSchema

  it("a client's Hello", () => {
    const now = payloadOf(ClientRpcs.requests.get("client.Hello"))
    const before = Schema.Struct(clientHello)
    assert.deepStrictEqual(across(now, before, { protocolVersion: 5, newest: 6 }), { protocolVersion: 5 })
    assert.deepStrictEqual(across(before, now, { protocolVersion: 5 }), { protocolVersion: 5 })
  })

  it("a peer's Hello", () => {
    const now = payloadOf(PeerRpcs.requests.get("peer.Hello"))
    const before = Schema.Struct(peerHello)
    const hello = { clusterId: "orders", identity: null, instance: "0".repeat(32), from: 1, to: 2, protocolVersion: 8 }
    const said = { ...hello, ...new OwnBuild(second).wire, required: second }
    assert.deepStrictEqual(across(now, before, said), hello)
    assert.deepStrictEqual(across(before, now, hello), hello)
  })

  it("a refusal of a client says both ranges, and an older client reads it", () => {
    const before = Schema.TaggedStruct("WrongProtocol", { server: Schema.Natural, client: Schema.Natural })
    const refused = new WrongProtocol({ server: 8, serverOldest: 7, client: 5, clientNewest: 6, release: "0.3.0" })
    assert.match(refused.message, /the node speaks client protocol 7 to 8 \(flaredb 0\.3\.0\), this client 5 to 6/)
    assert.deepStrictEqual(across(WrongProtocol, before, refused), { _tag: "WrongProtocol", server: 8, client: 5 })
  })
})

describe("a client's Hello", () => {
  const admission = new Admission({
    clusterId: "orders",
    nodeId: 1,
    node: { readBarrier: Effect.void, identity: Effect.succeed(undefined) },
    gate: { admit: () => undefined, admits: () => false, dismiss: () => undefined, size: 0 },
    violations: { reportCaller: () => undefined } as unknown as ProtocolViolations,
    maxClientConnections: 10,
    protocols: { oldest: 5, newest: 6 }
  })

  it.effect("is answered in the highest version that both speak", () =>
    Effect.gen(function*() {
      const spoken = (hello: HelloRequest) => Effect.map(admission.hello(1, hello), ({ protocol }) => protocol)
      assert.strictEqual(yield* spoken({ protocolVersion: 5 }), 5)
      assert.strictEqual(yield* spoken({ protocolVersion: 5, newest: 6 }), 6)
      assert.strictEqual(yield* spoken({ protocolVersion: 6, newest: 9 }), 6)
    }))

  it.effect("without a common version is refused with the versions of both", () =>
    Effect.gen(function*() {
      const refused = (hello: HelloRequest) => Effect.map(Effect.flip(admission.hello(1, hello)), String)
      assert.match(
        yield* refused({ protocolVersion: 3, newest: 4 }),
        /speaks client protocol 5 to 6 .*this client 3 to 4/
      )
      assert.match(yield* refused({ protocolVersion: 7 }), /speaks client protocol 5 to 6 .*this client 7;/)
    }))
})
