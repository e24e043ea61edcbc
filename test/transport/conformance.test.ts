import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, References } from "effect"
import { NodeId } from "../../src/raft/Types.ts"
import type { TransportCluster } from "../../src/testing/PeerTransportSuite.ts"
import { peerTransportCases } from "../../src/testing/PeerTransportSuite.ts"
import * as MemoryTransport from "../../src/transport/memory/MemoryTransport.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"
import * as RpcTransport from "../../src/transport/rpc/RpcTransport.ts"
import { freePorts } from "../FreePorts.ts"
import { nodeOf, TestAuthority } from "../net/tls/TestCertificates.ts"

const nodes = [1, 2, 3].map(NodeId)
const host = "127.0.0.1"

const built = <E>(layer: Layer.Layer<PeerTransport, E>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, PeerTransport))

const memory = Effect.sync((): TransportCluster => {
  const network = new MemoryTransport.MemoryNetwork()
  return { start: (node) => built(MemoryTransport.layer(network, node, nodes)) }
})

const authority = new TestAuthority()

/** How node `node` is served and dials: every side shows a certificate. */
const certified = (node: NodeId): RpcTransport.PeerTls => {
  const credentials = authority.credentials(nodeOf(node))
  return { port: { mode: "on", credentials, cluster: "orders", demand: "required" }, dial: { credentials } }
}

const live = (tls?: (node: NodeId) => RpcTransport.PeerTls) =>
  Effect.map(freePorts(nodes.length), (ports): TransportCluster => {
    const peers = nodes.map((id, i) => ({ id, host, port: ports[i] ?? 0 }))
    return {
      start: (node) =>
        built(RpcTransport.layer({
          clusterId: "orders",
          tls: tls?.(node),
          nodeId: node,
          listen: { host, port: peers.find(({ id }) => id === node)?.port ?? 0 },
          peers: peers.filter(({ id }) => id !== node)
        }))
    }
  })

describe("a peer transport in memory", () => {
  for (const { effect, name } of peerTransportCases({ fresh: memory })) it.live(name, () => effect)
})

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

describe("a peer transport over TCP", () => {
  for (const { effect, name } of peerTransportCases({ fresh: live() })) it.live(name, () => quietly(effect))
})

describe("a peer transport over TLS", () => {
  for (const { effect, name } of peerTransportCases({ fresh: live(certified) })) it.live(name, () => quietly(effect))
})
