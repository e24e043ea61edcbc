/**
 * A network in memory, under the test's control: it drops, delays, duplicates and reorders messages, cuts links in one
 * or both directions, and heals. Chance comes from one seed and time from the Effect `Clock`, so a test under
 * `TestClock` sees the same run every time.
 */
import { Deferred, Effect, Layer, Queue, Semaphore } from "effect"
import type { ClusterIdentity } from "../../protocol/ClusterIdentity.ts"
import type { FeatureLevel } from "../../protocol/FeatureLevel.ts"
import { FeatureTable, highestLevel } from "../../protocol/FeatureLevel.ts"
import { protocolVersion } from "../../protocol/PeerRpcs.ts"
import type { Message } from "../../raft/Message.ts"
import type { NodeId } from "../../raft/Types.ts"
import type { PeerProcess, SnapshotRequest, SnapshotStream } from "../PeerTransport.ts"
import { PeerTransport, SnapshotLost } from "../PeerTransport.ts"
import { SnapshotRefused } from "../../protocol/SnapshotRefused.ts"
import type { Receivers } from "./Receivers.ts"
import { registration } from "./Receivers.ts"

/** What happens to messages on a link; probabilities from 0 to 1. */
export interface Faults {
  readonly drop: number
  readonly duplicate: number
  /** Milliseconds a message takes, drawn evenly from the range. Different delays reorder messages. */
  readonly delayMs: readonly [minimum: number, maximum: number]
}

/** Claims that a network remembers, for tests. */
const keptClaims = 100

export const noFaults: Faults = { drop: 0, duplicate: 0, delayMs: [0, 0] }

interface Endpoint extends Receivers {
  readonly lost: Queue.Queue<NodeId>
  /** The cluster that the node is of, once it knows. */
  identity: ClusterIdentity | undefined
  /** The highest feature level that the node knows, and that of its cluster. */
  readonly known: FeatureLevel
  required: number
  /** Done when the node is gone. */
  readonly gone: Deferred.Deferred<void>
}

/** A chunk of a snapshot in transfer, for tests that want to be there. */
export interface ChunkInFlight {
  readonly request: SnapshotRequest
  /** Its place among the chunks of its snapshot, from 0. */
  readonly number: number
}

/** A small generator (mulberry32), so that a network's chance does not depend on anybody else's. */
const random = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The network that the nodes of one test share. */
export class MemoryNetwork {
  private readonly endpoints = new Map<NodeId, Endpoint>()
  private readonly cuts = new Set<string>()
  private readonly next: () => number
  private faults: Faults = noFaults
  /** Messages that reached a node, and messages that did not. */
  readonly counts = { delivered: 0, dropped: 0, duplicated: 0 }
  /** Claims for which a connection was closed, the latest last; no more than {@link keptClaims}. */
  readonly closedPeers: Array<{ readonly by: NodeId; readonly peer: NodeId; readonly claim: string }> = []
  /** Chunks of snapshots that were stored. */
  chunks = 0
  /** Runs before each chunk of a snapshot is delivered: a test may hold it up, or do something meanwhile. */
  beforeChunk: (chunk: ChunkInFlight) => Effect.Effect<void> = () => Effect.void

  constructor(seed = 1) {
    this.next = random(seed)
  }

  /** From now on, on every link. */
  setFaults(faults: Partial<Faults>): void {
    this.faults = { ...this.faults, ...faults }
  }

  /** Cuts the link in one direction. */
  cut(from: NodeId, to: NodeId): void {
    this.cuts.add(`${from}>${to}`)
  }

  /** Cuts a node off from everybody, in both directions. */
  isolate(node: NodeId, others: ReadonlyArray<NodeId>): void {
    for (const other of others) {
      if (other === node) continue
      this.cut(node, other)
      this.cut(other, node)
      const endpoint = this.endpoints.get(other)
      if (endpoint !== undefined) Queue.offerUnsafe(endpoint.lost, node)
      const own = this.endpoints.get(node)
      if (own !== undefined) Queue.offerUnsafe(own.lost, other)
    }
  }

  /** Every link works again, without faults. */
  heal(): void {
    this.cuts.clear()
    this.faults = noFaults
  }

  connected(from: NodeId, to: NodeId): boolean {
    const sender = this.endpoints.get(from)
    const receiver = this.endpoints.get(to)
    if (receiver === undefined || this.cuts.has(`${from}>${to}`)) return false
    if (sender === undefined) return true
    if (sender.known.level < receiver.required || receiver.known.level < sender.required) return false
    return sender.identity === undefined || receiver.identity === undefined || sender.identity === receiver.identity
  }

  /** The nodes from which something can come to a node. */
  processes(node: NodeId): ReadonlyMap<NodeId, PeerProcess> {
    const found = new Map<NodeId, PeerProcess>()
    for (const [peer, { known }] of this.endpoints) {
      if (peer === node || !this.connected(peer, node)) continue
      found.set(peer, { release: known.release, level: known.level, protocol: protocolVersion })
    }
    return found
  }

  attach(node: NodeId, endpoint: Endpoint): void {
    this.endpoints.set(node, endpoint)
  }

  detach(node: NodeId, endpoint: Endpoint): void {
    if (this.endpoints.get(node) !== endpoint) return
    this.endpoints.delete(node)
    for (const [other, { lost }] of this.endpoints) {
      if (!this.cuts.has(`${other}>${node}`)) Queue.offerUnsafe(lost, node)
    }
  }

  /** The connection on which a peer made a claim ends, and the peer notices. */
  closeFor(by: NodeId, peer: NodeId, claim: string): void {
    this.closedPeers.push({ by, peer, claim })
    if (this.closedPeers.length > keptClaims) this.closedPeers.shift()
    const endpoint = this.endpoints.get(peer)
    if (endpoint !== undefined) Queue.offerUnsafe(endpoint.lost, by)
  }

  send(message: Message, run: (delayed: Effect.Effect<void>) => void): void {
    if (!this.connected(message.from, message.to) || this.next() < this.faults.drop) {
      this.counts.dropped += 1
      return
    }
    const copies = this.next() < this.faults.duplicate ? 2 : 1
    this.counts.duplicated += copies - 1
    for (let copy = 0; copy < copies; copy++) {
      const [minimum, maximum] = this.faults.delayMs
      const delay = minimum + this.next() * (maximum - minimum)
      if (delay === 0) this.deliver(message)
      else run(Effect.andThen(Effect.sleep(delay), Effect.sync(() => this.deliver(message))))
    }
  }

  /** A connection for one snapshot. It breaks when the link is cut in either direction, or when the receiver goes. */
  readonly sendSnapshot: PeerTransport["Service"]["sendSnapshot"] = (request) =>
    Effect.gen({ self: this }, function*() {
      const lost = new SnapshotLost({ reason: `the network has no connection to node ${request.to}` })
      const endpoint = this.endpoints.get(request.to)
      const open = () => this.connected(request.from, request.to) && this.connected(request.to, request.from)
      if (endpoint === undefined || !open()) return yield* lost
      if (endpoint.acceptor === undefined) {
        return yield* new SnapshotRefused({ reason: `node ${request.to} is not ready for snapshots`, upToDate: false })
      }
      const whileThere = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | SnapshotLost, R> =>
        Effect.raceFirst(work, Effect.andThen(Deferred.await(endpoint.gone), Effect.fail(lost)))
      const stream = yield* whileThere(endpoint.acceptor(request))
      const turn = yield* Semaphore.make(1)
      let number = 0
      const connection: SnapshotStream<SnapshotRefused | SnapshotLost> = {
        write: (chunk) =>
          Effect.gen({ self: this }, function*() {
            const [minimum, maximum] = this.faults.delayMs
            const delay = minimum + this.next() * (maximum - minimum)
            yield* this.beforeChunk({ request, number: number++ })
            if (delay > 0) yield* Effect.sleep(delay)
            if (!open() || this.next() < this.faults.drop) return yield* lost
            yield* whileThere(stream.write(new Uint8Array(chunk)))
            if (!open()) return yield* lost
            this.chunks += 1
          }).pipe((write) => Semaphore.withPermit(turn, write))
      }
      return connection
    })

  private deliver(message: Message): void {
    const endpoint = this.endpoints.get(message.to)
    // The link may have been cut while the message travelled.
    if (endpoint?.receiver === undefined || !this.connected(message.from, message.to)) {
      this.counts.dropped += 1
      return
    }
    this.counts.delivered += 1
    // There is one connection for each direction of a link, and its sender is its number.
    endpoint.receiver({ messages: [message], connection: message.from })
  }
}

/** `node`'s place in `network`, until the scope closes. */
export const layer = (
  network: MemoryNetwork,
  node: NodeId,
  peers: ReadonlyArray<NodeId>
): Layer.Layer<PeerTransport> =>
  Layer.effect(
    PeerTransport,
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const lost = yield* Queue.sliding<NodeId>(64)
      const endpoint: Endpoint = {
        receiver: undefined,
        lost,
        acceptor: undefined,
        identity: undefined,
        known: highestLevel(yield* FeatureTable),
        required: 0,
        gone: yield* Deferred.make<void>()
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => network.attach(node, endpoint)),
        () =>
          Effect.suspend(() => {
            network.detach(node, endpoint)
            return Deferred.succeed(endpoint.gone, undefined)
          })
      )
      const run = (delayed: Effect.Effect<void>) => {
        Effect.runForkWith(context)(delayed)
      }
      return PeerTransport.of({
        sendUnsafe: (messages) => {
          for (const message of messages) network.send(message, run)
        },
        flushUnsafe: () => undefined,
        identifyUnsafe: (identity) => {
          endpoint.identity = identity
        },
        requireLevelUnsafe: ({ level }) => {
          endpoint.required = level
        },
        peersUnsafe: () => network.processes(node),
        wallClocksUnsafe: () => new Map(),
        closeForUnsafe: (_connection, peer, claim) => network.closeFor(node, peer, claim),
        health: Effect.sync(() =>
          peers.filter((peer) => peer !== node).map((peer) => ({
            peer,
            connected: network.connected(node, peer),
            sinceMs: 0,
            queued: 0,
            dropped: 0,
            lastError: undefined
          }))
        ),
        lost,
        sendSnapshot: network.sendSnapshot,
        ...registration(endpoint, Deferred.succeed(endpoint.gone, undefined))
      })
    })
  )
