/** The transport of a node over the simulated network. */
import { Effect, Layer, Queue } from "effect"
import { baselineLevel } from "../../../src/protocol/FeatureLevel.ts"
import type { NodeId } from "../../../src/raft/Types.ts"
import { registration } from "../../../src/transport/memory/Receivers.ts"
import { PeerTransport } from "../../../src/transport/PeerTransport.ts"
import type { SimProcess } from "../engine/SimProcess.ts"
import type { NodeWorld } from "./NodeWorld.ts"
import { releaseOf } from "./Releases.ts"
import type { Endpoint } from "./SimNetwork.ts"
import type { SimNode } from "./SimNode.ts"
import { SnapshotConnection } from "./SnapshotConnection.ts"

export const simTransport = (node: SimNode, { network, random, timeline, watcher }: NodeWorld, process: SimProcess) =>
  Layer.effect(
    PeerTransport,
    Effect.gen(function*() {
      const lost = yield* Queue.sliding<NodeId>(64)
      const endpoint: Endpoint = {
        process,
        known: node.known,
        required: baselineLevel,
        receiver: undefined,
        lost,
        acceptor: undefined,
        run: (effect, done) => node.run(effect, done)
      }
      network.attach(node.id, endpoint)
      return PeerTransport.of({
        sendUnsafe: (messages) => {
          watcher.sends(node, messages)
          network.send(messages)
        },
        // Every node of a simulation is of one cluster.
        flushUnsafe: () => undefined,
        identifyUnsafe: () => undefined,
        requireLevelUnsafe: ({ level }) => {
          endpoint.required = level
        },
        peersUnsafe: () =>
          new Map([...network.peers(node.id)].map(([id, level]) => [
            id,
            { level, release: releaseOf(level), protocol: 1 }
          ])),
        wallClocksUnsafe: () => new Map(),
        closeForUnsafe: (_connection, peer, claim) => watcher.closes(node, peer, claim),
        health: Effect.succeed([]),
        lost,
        sendSnapshot: (request) =>
          SnapshotConnection.open({
            network,
            random,
            timeline,
            process,
            request,
            arrived: watcher.snapshotArrives,
            flipped: watcher.snapshotFlipped
          }),
        ...registration(endpoint)
      })
    })
  )
