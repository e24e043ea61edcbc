import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, References } from "effect"
import { NodeId } from "../../src/raft/Types.ts"
import type { TransportCluster } from "../../src/testing/PeerTransportSuite.ts"
import { peerTransportCases } from "../../src/testing/PeerTransportSuite.ts"
import * as MemoryTransport from "../../src/transport/memory/MemoryTransport.ts"
import { PeerTransport } from "../../src/transport/PeerTransport.ts"
import * as RpcTransport from "../../src/transport/rpc/RpcTransport.ts"
import { freePorts } from "../cluster/FreePorts.ts"

const nodes = [1, 2, 3].map(NodeId)
const host = "127.0.0.1"

const built = <E>(layer: Layer.Layer<PeerTransport, E>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, PeerTransport))

const memory = Effect.sync((): TransportCluster => {
  const network = new MemoryTransport.MemoryNetwork()
  return { start: (node) => built(MemoryTransport.layer(network, node, nodes)) }
})

const live = Effect.map(freePorts(nodes.length), (ports): TransportCluster => {
  const peers = nodes.map((id, i) => ({ id, host, port: ports[i] ?? 0 }))
  return {
    start: (node) =>
      built(RpcTransport.layer({
        clusterId: "orders",
        nodeId: node,
        listen: { host, port: peers.find(({ id }) => id === node)?.port ?? 0 },
        peers: peers.filter(({ id }) => id !== node)
      }))
  }
})

describe("a peer transport in memory", () => {
  for (const { effect, name } of peerTransportCases({ fresh: memory })) it.live(name, () => effect)
})

describe("a peer transport over TCP", () => {
  for (const { effect, name } of peerTransportCases({ fresh: live })) {
    it.live(name, () => Effect.provideService(effect, References.MinimumLogLevel, "None"))
  }
})
