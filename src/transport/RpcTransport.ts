/** The live {@link PeerTransport}: Effect RPC over TCP, one {@link PeerLink} to each peer and a server for theirs. */
import { Clock, Effect, Exit, FiberSet, Layer, Metric, Queue, Scope } from "effect"
import { randomBytes } from "node:crypto"
import { watchTables } from "../BoundedTables.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import { secondsBuckets } from "../MetricBuckets.ts"
import { CodecError } from "../codec/EntryRecord.ts"
import { decodeMessages } from "../codec/MessageBatch.ts"
import type { Limits } from "../FlareDbConfig.ts"
import { defaultLimits } from "../FlareDbConfig.ts"
import type { Message } from "../raft/Message.ts"
import type { NodeId, Term } from "../raft/Types.ts"
import { Gate } from "../rpc/Gate.ts"
import type { BoundAddress, ListenError } from "../rpc/Listening.ts"
import { formatBound } from "../rpc/Listening.ts"
import { Offences } from "../rpc/Offences.ts"
import { serve } from "../rpc/TcpServer.ts"
import { IdentitySlot } from "./IdentitySlot.ts"
import { PeerInstances } from "./PeerInstances.ts"
import type { LinkLimits, PeerAddress } from "./PeerLink.ts"
import { defaultLinkLimits, PeerLink } from "./PeerLink.ts"
import { PeerRefused, PeerRpcs, point, protocolVersion } from "./PeerRpcs.ts"
import type { Received, SnapshotOffer, SnapshotSink } from "./PeerTransport.ts"
import { PeerTransport, SnapshotLost, SnapshotRefused } from "./PeerTransport.ts"
import * as SnapshotLink from "./SnapshotLink.ts"

export interface RpcTransportOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  /** Port 0 lets the system choose; `onListening` tells. */
  readonly listen: { readonly host: string; readonly port: number }
  readonly peers: ReadonlyArray<PeerAddress>
  readonly limits?: Partial<LinkLimits>
  /** What the port takes of others; see `FlareDbConfig.Limits`. */
  readonly portLimits?: PortLimits
  /**
   * Milliseconds without an answer after which a snapshot is given up. Default 30,000: installing one takes a while.
   */
  readonly snapshotTimeoutMs?: number
  readonly onListening?: (address: BoundAddress) => Effect.Effect<void>
}

/** Two disks that speak for one node may each promise what the other does not know of: stop one of the processes. */
const instanceConflicts = Metric.counter("flaredb_peer_instance_conflicts_total", {
  description: "times two processes were found to run as one node, counted every 30 seconds while they do",
  incremental: true
})

/** Half of it is the least that a commit waits for this peer. Asked at most twice a second and connection. */
const roundTrip = Metric.histogram("flaredb_peer_round_trip_seconds", {
  description: "seconds from a question to this peer to its answer, behind the messages sent before it",
  boundaries: secondsBuckets
})

/** Larger than any batch of {@link defaultLinkLimits}, which may hold one entry beyond its limit. */
const maxFrameBytes = 16 * 1024 * 1024

/**
 * Milliseconds after which a connection on which nothing moves is closed. The sides of a link say something every
 * second; one that does not has stopped, or its network has.
 */
const idleTimeoutMs = 15_000

type PortLimits = Pick<
  Limits,
  | "maxFrameMs"
  | "maxHandshakeMs"
  | "maxPeerConnections"
  | "maxPendingCallBytes"
  | "maxPendingCalls"
  | "maxUnfinishedBytes"
>

/** Which node is at the other end of a connection, from its `Hello` until it disconnects. */
class Introductions {
  private readonly options: RpcTransportOptions
  private readonly own: IdentitySlot
  private readonly instances: PeerInstances
  private readonly known = new Map<number, { readonly peer: NodeId; readonly identity: string | null }>()

  constructor(options: RpcTransportOptions, own: IdentitySlot, instances: PeerInstances) {
    this.options = options
    this.own = own
    this.instances = instances
  }

  hello(
    clientId: number,
    remote: string,
    hello: {
      readonly clusterId: string
      readonly identity: string | null
      readonly instance?: string
      readonly from: number
      readonly to: number
      readonly protocolVersion: number
    }
  ): PeerRefused | undefined {
    const { clusterId, nodeId, peers } = this.options
    const { identity } = this.own
    const refuse = (reason: PeerRefused["reason"], expected: unknown, found: unknown) =>
      new PeerRefused({ reason, expected: String(expected), found: String(found) })
    if (hello.protocolVersion !== protocolVersion) {
      return refuse("protocol-version", protocolVersion, hello.protocolVersion)
    }
    if (hello.clusterId !== clusterId) return refuse("cluster-id", clusterId, hello.clusterId)
    if (identity !== undefined && hello.identity !== null && hello.identity !== identity) {
      this.forget(clientId)
      return refuse("cluster-identity", `cluster identity ${identity}`, hello.identity)
    }
    if (hello.to !== nodeId) return refuse("node-id", `node ${nodeId}`, `node ${hello.to}`)
    const peer = peers.find(({ id }) => id === hello.from)
    if (peer === undefined) {
      return refuse("unknown-peer", `one of nodes ${peers.map(({ id }) => id).join(", ")}`, `node ${hello.from}`)
    }
    if (this.sender(clientId) !== peer.id) this.forget(clientId)
    this.known.set(clientId, { peer: peer.id, identity: hello.identity })
    if (hello.instance !== undefined) this.instances.hello(clientId, peer.id, { name: hello.instance, remote })
    return undefined
  }

  sender(clientId: number): NodeId | undefined {
    return this.known.get(clientId)?.peer
  }

  /**
   * Forgets the nodes of other clusters, and names their connections. They have to say `Hello` again, which is refused.
   */
  identified(identity: string): ReadonlyArray<number> {
    const others = [...this.known].filter(([, hello]) => hello.identity !== null && hello.identity !== identity)
    for (const [clientId] of others) this.forget(clientId)
    return others.map(([clientId]) => clientId)
  }

  forget(clientId: number): void {
    const hello = this.known.get(clientId)
    if (hello === undefined) return
    this.known.delete(clientId)
    this.instances.forget(clientId, hello.peer)
  }
}

type Taker = Parameters<PeerTransport["Service"]["takeSnapshots"]>[0]

/** The snapshots on their way in, one for each connection that carries one. */
class Arrivals {
  private taker: Taker | undefined
  private readonly arriving = new Map<
    number,
    { readonly scope: Scope.Closeable; readonly sink: SnapshotSink<SnapshotRefused> }
  >()

  readonly takeSnapshots = (taker: Taker): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        this.taker = taker
      }),
      () =>
        Effect.suspend(() => {
          this.taker = undefined
          return Effect.forEach([...this.arriving.keys()], (clientId) => this.end(clientId), { discard: true })
        })
    )

  offer(clientId: number, offer: SnapshotOffer): Effect.Effect<void, SnapshotRefused> {
    const { taker } = this
    if (taker === undefined) {
      return Effect.fail(new SnapshotRefused({ reason: `node ${offer.to} is not ready for snapshots`, covered: false }))
    }
    return Effect.gen({ self: this }, function*() {
      yield* this.end(clientId)
      const scope = yield* Scope.make()
      const sink = yield* Scope.provide(taker(offer), scope).pipe(
        Effect.onError(() => Scope.close(scope, Exit.void))
      )
      this.arriving.set(clientId, { scope, sink })
    })
  }

  chunk(clientId: number, chunk: Uint8Array): Effect.Effect<void, SnapshotRefused | PeerRefused> {
    const arriving = this.arriving.get(clientId)
    return arriving === undefined
      ? Effect.fail(new PeerRefused({ reason: "malformed", expected: "OfferSnapshot first", found: "SnapshotChunk" }))
      // What arrives is a view of everything that came with it.
      : arriving.sink.write(new Uint8Array(chunk))
  }

  end(clientId: number): Effect.Effect<void> {
    const arriving = this.arriving.get(clientId)
    this.arriving.delete(clientId)
    return arriving === undefined ? Effect.void : Scope.close(arriving.scope, Exit.void)
  }
}

const make = Effect.fnUntraced(function*(options: RpcTransportOptions) {
  const clock = yield* Clock.Clock
  const runFork = yield* FiberSet.makeRuntime<never>()
  let receiver: ((received: Received) => void) | undefined
  const lost = yield* Queue.sliding<NodeId>(64)
  const own = new IdentitySlot()
  const arrivals = new Arrivals()
  const offences = yield* Offences.make("peer")
  const context = yield* Effect.context<never>()
  const conflicts = () => instanceConflicts.updateUnsafe(1, context)
  const instances = new PeerInstances(offences.nowMs, (peer, text) => {
    conflicts()
    const line = Effect.annotateLogs(Effect.logError(text), { peer, offence: "instance-conflict" })
    runFork(offences.limited("instance-conflict", line))
  })
  const introductions = new Introductions(options, own, instances)
  const instance = randomBytes(16).toString("hex")
  const noHello = (found: string) => new PeerRefused({ reason: "no-hello", expected: "Hello first", found })
  const gate = new Gate(PeerRpcs, {
    hello: "peer.Hello",
    noHello,
    overloaded: ({ current, limit, maximum }) =>
      new PeerRefused({ reason: "overloaded", expected: `at most ${maximum} (${limit})`, found: String(current) }),
    notifications: ["peer.Deliver"]
  })

  const deliver = (
    { messages: batch }: { readonly messages: Uint8Array },
    clientId: number
  ): Exit.Exit<void, PeerRefused> => {
    const from = introductions.sender(clientId)
    if (from === undefined) return Exit.fail(noHello("peer.Deliver"))
    const messages = decodeMessages(batch)
    const problem = messages instanceof CodecError ? messages.message : misdirected(messages, from)
    if (problem !== undefined) {
      introductions.forget(clientId)
      offences.expelCaller("malformed-messages", clientId, `closed a connection of node ${from}: ${problem}`)
      return Exit.fail(new PeerRefused({ reason: "malformed", expected: "valid messages", found: problem }))
    }
    instances.spoke(clientId, from)
    const received = messages as ReadonlyArray<Message>
    if (received.length > 0) receiver?.({ messages: received, connection: clientId })
    return Exit.void
  }
  /** Nobody speaks for another node, or to one. */
  const misdirected = (messages: ReadonlyArray<Message>, sender: NodeId): string | undefined => {
    for (const { from, to } of messages) {
      if (from === sender && to === options.nodeId) continue
      return `a message from ${from} to ${to} on the connection from ${sender} to ${options.nodeId}`
    }
    return undefined
  }

  const handlers = PeerRpcs.toLayer({
    "peer.Hello": (hello, { client }) => {
      const refused = introductions.hello(client.id, offences.remoteOf(client.id), hello)
      if (refused === undefined) {
        gate.admit(client.id)
        return Effect.void
      }
      if (introductions.sender(client.id) === undefined) gate.dismiss(client.id)
      offences.reportCaller(
        "refused-hello",
        client.id,
        `refused a connection that says it is node ${hello.from}: ${refused.message}`
      )
      return Effect.fail(refused)
    },
    "peer.Deliver": (batch, { client }) => deliver(batch, client.id),
    "peer.OfferSnapshot": (offered, { client }) => {
      const from = introductions.sender(client.id)
      if (from === undefined) return Effect.fail(noHello("peer.OfferSnapshot"))
      const { estimatedBytes, term } = offered
      return arrivals.offer(client.id, {
        from,
        to: options.nodeId,
        term: term as Term,
        point: point(offered.point),
        estimatedBytes
      })
    },
    "peer.SnapshotChunk": ({ chunk }, { client }) => arrivals.chunk(client.id, chunk)
  })
  const portLimits = options.portLimits ?? defaultLimits
  const address = yield* serve(PeerRpcs, {
    name: "peer",
    ...options.listen,
    maxFrameBytes,
    idleTimeoutMs,
    limits: { ...portLimits, maxConnections: portLimits.maxPeerConnections },
    connectionsSetting: "maxPeerConnections",
    callLimits: portLimits,
    gate,
    offences,
    direct: { "peer.Deliver": deliver },
    onDisconnect: (clientId) =>
      Effect.suspend(() => {
        introductions.forget(clientId)
        return arrivals.end(clientId)
      })
  }).pipe(Effect.provide(handlers))
  yield* Effect.logInfo(`peers are served at ${formatBound(address)}`)
  if (options.onListening !== undefined) yield* options.onListening(address)

  const links = new Map<NodeId, PeerLink>()
  for (const peer of options.peers) {
    const answered = Metric.withAttributes(roundTrip, { peer: String(peer.id) })
    const link = new PeerLink({
      clusterId: options.clusterId,
      identity: own,
      instance,
      nodeId: options.nodeId,
      peer,
      limits: { ...defaultLinkLimits, ...options.limits },
      nowMsUnsafe: () => clock.currentTimeMillisUnsafe(),
      monotonicMs: () => monotonicMsOf(clock),
      onAnswer: (ms) => answered.updateUnsafe(ms / 1_000, context),
      conflict: () => instances.conflict(peer.id),
      tell: (kind, line) => offences.limited(kind, line),
      onLost: (id) =>
        Effect.sync(() => {
          Queue.offerUnsafe(lost, id)
        })
    })
    links.set(peer.id, link)
    yield* Effect.forkScoped(link.run)
  }

  const { maxQueuedMessages } = { ...defaultLinkLimits, ...options.limits }
  yield* watchTables([
    {
      table: "peer_outbox_messages",
      entries: () => [...links.values()].reduce((most, link) => Math.max(most, link.health().queued), 0),
      limit: 2 * maxQueuedMessages,
      setting: "maxQueuedMessages"
    }
  ])

  return PeerTransport.of({
    sendUnsafe: (messages) => {
      for (const message of messages) links.get(message.to)?.send(message)
    },
    identifyUnsafe: (identity) => {
      own.learn(identity)
      for (const clientId of introductions.identified(identity)) {
        gate.dismiss(clientId)
        runFork(arrivals.end(clientId))
      }
    },
    receive: (taker) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          receiver = taker
        }),
        () =>
          Effect.sync(() => {
            receiver = undefined
          })
      ),
    expelUnsafe: (connection, peer, claim) => {
      introductions.forget(connection)
      offences.expelCaller(
        "peer-violation",
        connection,
        `closed a connection of node ${peer}, which is wrong: ${claim}`
      )
    },
    health: Effect.sync(() => [...links.values()].map((link) => link.health())),
    lost,
    sendSnapshot: (offer) => {
      const peer = options.peers.find(({ id }) => id === offer.to)
      return peer === undefined
        ? Effect.fail(new SnapshotLost({ reason: `node ${offer.to} is not a peer` }))
        : SnapshotLink.open(offer, {
          clusterId: options.clusterId,
          identity: own,
          instance,
          peer,
          timeoutMs: options.snapshotTimeoutMs ?? 30_000
        })
    },
    takeSnapshots: arrivals.takeSnapshots
  })
})

/** Listens for peers and keeps links to all of them up, until the scope closes. */
export const layer = (options: RpcTransportOptions): Layer.Layer<PeerTransport, ListenError> =>
  Layer.effect(PeerTransport, make(options))
