/** Who gets in with which certificate, over real TCP: the table of `CertificateMatrix.ts` at both ports and at a dialler. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer, Logger, Metric, References, Schema } from "effect"
import { connect as connectTls } from "node:tls"
import type { SecureContextOptions } from "node:tls"
import { describeFailure, tlsRefusalOf } from "../../../src/net/CallFailure.ts"
import { connect } from "../../../src/net/TcpClient.ts"
import type { DialTls } from "../../../src/net/tls/Credentials.ts"
import { MemoryCredentials } from "../../../src/net/tls/Credentials.ts"
import { contextOptions } from "../../../src/net/tls/TlsContext.ts"
import { dialFailure } from "../../../src/net/tls/TlsDialling.ts"
import { clientProtocol, peerProtocol } from "../../../src/net/tls/TlsProtocol.ts"
import { refusalOfDefect } from "../../../src/net/tls/TlsRefusal.ts"
import { encodeMessages } from "../../../src/protocol/MessageBatch.ts"
import { PeerRefused, PeerRpcs, protocolVersion } from "../../../src/protocol/PeerRpcs.ts"
import { NodeId } from "../../../src/raft/Types.ts"
import { heartbeat } from "../../../src/testing/PeerTransportSuite.ts"
import { PeerTransport } from "../../../src/transport/PeerTransport.ts"
import * as RpcTransport from "../../../src/transport/rpc/RpcTransport.ts"
import { serialization } from "../../wire/Frames.ts"
import type { MatrixRow, Refused, Verdict } from "./CertificateMatrix.ts"
import { authority, matrix, nodeMaterial } from "./CertificateMatrix.ts"
import { nodeOf } from "./TestCertificates.ts"
import { ask, host, portTls, whoPort } from "./WhoPort.ts"

/** Everything that is logged. */
const withLog = <A, E, R>(lines: Array<string>, effect: Effect.Effect<A, E, R>) =>
  Effect.provide(
    effect,
    Layer.merge(
      Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]),
      Layer.succeed(References.MinimumLogLevel, "Warn")
    )
  )

const refusedTotal = (port: string, reason: string) =>
  Effect.map(
    Metric.snapshot,
    (metrics) =>
      metrics.reduce((sum, metric) =>
        metric.id === "flaredb_tls_refused_total" && metric.attributes?.["port"] === port &&
          metric.attributes["reason"] === reason && metric.type === "Counter"
          ? sum + Number(metric.state.count)
          : sum, 0)
  )

/** Dials as no FlareDB does, and says what it read or why nothing. */
const dialRaw = (port: number, { material, raw }: MatrixRow, protocol = clientProtocol): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const { ciphers: _, minVersion: __, ...context }: SecureContextOptions = contextOptions(material)
    const socket = connectTls({
      host,
      port,
      ...context,
      rejectUnauthorized: false,
      ...(raw?.maxVersion === undefined ? {} : { ALPNProtocols: [protocol.name] }),
      ...raw
    })
    const parser = serialization.makeUnsafe()
    socket.on("error", (error) => resume(Effect.succeed(dialFailure(error, protocol)?.message ?? error.message)))
    socket.on("data", (bytes) => {
      const [message] = parser.decode(bytes) as ReadonlyArray<{ readonly defect?: unknown }>
      const defect = Schema.decodeUnknownSync(serialization.codecFor(Schema.Defect()))(message?.defect)
      resume(Effect.succeed(refusalOfDefect(defect)?.problem ?? String(defect)))
    })
    return Effect.sync(() => socket.destroy())
  })

const isRefused = (verdict: Verdict): verdict is Refused => "reason" in verdict

const includesAll = (text: string, { says }: Refused): void => {
  for (const part of says) assert.include(text, part)
}

describe("at the client port", () => {
  for (const row of matrix) {
    const { client: verdict, material, name, raw } = row
    it.live(`a certificate ${name}: ${isRefused(verdict) ? verdict.reason : verdict.in}`, () => {
      const lines: Array<string> = []
      return withLog(
        lines,
        Effect.gen(function*() {
          const { calls, port } = yield* whoPort(portTls(nodeMaterial))
          const before = isRefused(verdict) ? yield* refusedTotal("client", verdict.reason) : 0
          if (raw !== undefined) {
            assert.isTrue(isRefused(verdict))
            if (isRefused(verdict)) {
              includesAll(yield* dialRaw(port, row), verdict)
              includesAll(lines.join("\n"), verdict)
              assert.strictEqual(yield* refusedTotal("client", verdict.reason), before + 1)
            }
            assert.strictEqual(calls(), 0)
            return
          }
          const tls: DialTls = { credentials: new MemoryCredentials(material), cluster: "orders" }
          const exit = yield* Effect.exit(ask(port, tls))
          if (!isRefused(verdict)) {
            assert.deepStrictEqual(exit, Exit.succeed(verdict.in))
            assert.deepStrictEqual(lines, [])
            return
          }
          if (Exit.isSuccess(exit)) return assert.fail(`it was let in as ${exit.value}`)
          assert.strictEqual(tlsRefusalOf(exit.cause)?.reason, verdict.reason, Cause.pretty(exit.cause))
          assert.strictEqual(tlsRefusalOf(exit.cause)?.by, "the other side")
          includesAll(describeFailure(exit.cause), verdict)
          assert.lengthOf(lines, 1)
          includesAll(lines.join(), verdict)
          assert.strictEqual(yield* refusedTotal("client", verdict.reason), before + 1)
          assert.strictEqual(calls(), 0)
        })
      )
    })
  }
})

/** Node 2 with its peer port, and the frames that come through it. */
const node2 = Effect.gen(function*() {
  let port = 0
  const layer = RpcTransport.layer({
    clusterId: "orders",
    nodeId: NodeId(2),
    listen: { host, port: 0 },
    // Not dialled: nothing listens there.
    peers: [{ id: NodeId(1), host, port: 1 }, { id: NodeId(3), host, port: 1 }],
    limits: { reconnectMs: 60_000 },
    tls: { port: portTls(nodeMaterial, "required") },
    onListening: (address) =>
      Effect.sync(() => {
        port = address.port
      })
  })
  const transport = Context.get(yield* Layer.build(Layer.fresh(layer)), PeerTransport)
  let frames = 0
  yield* transport.receive(() => frames++)
  yield* transport.takeSnapshots(() => {
    frames++
    return Effect.die("no snapshot is wanted")
  })
  return { port, frames: () => frames }
})

const hello = { clusterId: "orders", identity: null, instance: "0".repeat(32), from: 1, to: 2, protocolVersion }

describe("at the peer port, as node 1", () => {
  for (const row of matrix) {
    const { material, name, peer: verdict, raw } = row
    it.live(`a certificate ${name}: ${isRefused(verdict) ? verdict.reason : verdict.in}`, () => {
      const lines: Array<string> = []
      return withLog(
        lines,
        Effect.gen(function*() {
          const { frames, port } = yield* node2
          lines.length = 0
          const before = isRefused(verdict) ? yield* refusedTotal("peer", verdict.reason) : 0
          if (raw !== undefined) {
            if (isRefused(verdict)) includesAll(yield* dialRaw(port, row, peerProtocol), verdict)
            if (isRefused(verdict)) includesAll(lines.join("\n"), verdict)
            assert.strictEqual(frames(), 0)
            return
          }
          const tls: DialTls = { credentials: new MemoryCredentials(material), cluster: "orders", node: 2 }
          const rpcs = yield* connect(PeerRpcs, { host, port, openTimeoutMs: 2_000, tls, protocol: peerProtocol })
          const said = yield* Effect.exit(rpcs["peer.Hello"](hello))
          const delivered = yield* Effect.exit(
            rpcs["peer.Deliver"]({ messages: encodeMessages([heartbeat(NodeId(1), NodeId(2), 1)]) })
          )
          const offered = yield* Effect.exit(
            rpcs["peer.OfferSnapshot"]({ term: 1, point: { index: 1, term: 1 }, estimatedBytes: 1 })
          )
          if (!isRefused(verdict)) {
            assert.deepStrictEqual([said, delivered], [Exit.void, Exit.void])
            assert.strictEqual(frames(), 2)
            return
          }
          for (const exit of [said, delivered, offered]) assert.isTrue(Exit.isFailure(exit))
          assert.strictEqual(frames(), 0)
          if (Exit.isSuccess(said)) return
          const error = Cause.squash(said.cause)
          const reason = error instanceof PeerRefused ? error.reason : tlsRefusalOf(said.cause)?.reason
          assert.strictEqual(reason, error instanceof PeerRefused ? "certificate" : verdict.reason)
          includesAll(describeFailure(said.cause), verdict)
          includesAll(lines.join("\n"), verdict)
          assert.strictEqual(yield* refusedTotal("peer", verdict.reason), before + 1)
        })
      )
    })
  }
})

describe("dialled as node 2", () => {
  for (const { dialled, name } of matrix) {
    if (dialled === undefined) continue
    const { material, verdict } = dialled
    it.live(`a certificate ${name}: ${isRefused(verdict as Verdict) ? (verdict as Refused).reason : "node 2"}`, () =>
      withLog(
        [],
        Effect.gen(function*() {
          const { calls, port } = yield* whoPort(portTls(material))
          const tls: DialTls = { credentials: authority.credentials(nodeOf(1)), cluster: "orders", node: 2 }
          const exit = yield* Effect.exit(ask(port, tls))
          if (!("reason" in verdict)) return assert.deepStrictEqual(exit, Exit.succeed("node 1"))
          if (Exit.isSuccess(exit)) return assert.fail("it was accepted")
          assert.strictEqual(tlsRefusalOf(exit.cause)?.reason, verdict.reason, Cause.pretty(exit.cause))
          assert.strictEqual(tlsRefusalOf(exit.cause)?.by, "this side")
          includesAll(describeFailure(exit.cause), verdict)
          // What was to be said stays here.
          assert.strictEqual(calls(), 0)
        })
      ))
  }
})
