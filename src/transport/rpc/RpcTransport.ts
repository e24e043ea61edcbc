/** The live {@link PeerTransport}: Effect RPC over TCP, one {@link PeerLink} to each peer and a server for theirs. */
import { Clock, Effect, Exit, FiberSet, Layer, Metric, Queue } from "effect"
import { randomBytes } from "node:crypto"
import { sampleMs, watchTables } from "../../BoundedTables.ts"
import { lookEvery } from "../../CoalescedSleep.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import { CodecError } from "../../bytes/CodecError.ts"
import { decodeMessages } from "../../protocol/MessageBatch.ts"
import type { Limits } from "../../config/Limits.ts"
import { defaultLimits } from "../../config/Limits.ts"
import type { Message } from "../../raft/Message.ts"
import type { NodeId, Term } from "../../raft/Types.ts"
import { flushAll } from "../../net/FrameSocket.ts"
import { Gate } from "../../net/Gate.ts"
import type { BoundAddress, ListenError } from "../../net/Listening.ts"
import { formatBound } from "../../net/Listening.ts"
import { ProtocolViolations } from "../../net/ProtocolViolations.ts"
import { serve } from "../../net/TcpServer.ts"
import type { DialTls, PortTls } from "../../net/tls/Credentials.ts"
import { countRefusals } from "../../net/tls/RefusalCount.ts"
import { Remotes } from "../../net/tls/Remotes.ts"
import { peerProtocol } from "../../net/tls/TlsProtocol.ts"
import type { TlsRefusal } from "../../net/tls/TlsRefusal.ts"
import { refusal } from "../../net/tls/TlsRefusal.ts"
import { FeatureTable, highestLevel } from "../../protocol/FeatureLevel.ts"
import { ClockWatch } from "./ClockWatch.ts"
import { LearnedIdentity } from "./LearnedIdentity.ts"
import { OwnBuild } from "./OwnBuild.ts"
import { InboundSnapshots } from "./InboundSnapshots.ts"
import { PeerHandshakes } from "./PeerHandshakes.ts"
import { PeerInstances } from "./PeerInstances.ts"
import type { LinkLimits, PeerAddress } from "./PeerLink.ts"
import { defaultLinkLimits, PeerLink } from "./PeerLink.ts"
import * as PeerMetrics from "./PeerMetrics.ts"
import { PeerRefused, PeerRpcs, point } from "../../protocol/PeerRpcs.ts"
import type { Received, SnapshotRequest } from "../PeerTransport.ts"
import { PeerTransport, SnapshotLost } from "../PeerTransport.ts"
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
  /** How the port is served and peers are dialled over TLS, each where it is given. */
  readonly tls?: PeerTls | undefined
}

export interface PeerTls {
  /** Absent in mode `off`. */
  readonly port?: PortTls | undefined
  /** Absent while peers are dialled plainly: in the modes `off` and `accept`. */
  readonly dial?: Pick<DialTls, "credentials"> | undefined
}

/** Two disks that speak for one node may each promise what the other does not know of: stop one of the processes. */
const instanceConflicts = Metric.counter("flaredb_peer_instance_conflicts_total", {
  description: "times two processes were found to run as one node, counted every 30 seconds while they do",
  incremental: true
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
  | "maxClockDifferenceMs"
  | "maxFrameMs"
  | "maxHandshakeMs"
  | "maxPeerConnections"
  | "maxPendingCallBytes"
  | "maxPendingCalls"
  | "maxUnfinishedBytes"
>

/** How a peer is dialled: it must be the node that is wanted, and of this cluster. */
const dialOf = ({ clusterId, tls }: RpcTransportOptions, peer: NodeId): DialTls | undefined =>
  tls?.dial === undefined ? undefined : { ...tls.dial, cluster: clusterId, node: peer }

interface DeliveryParts {
  readonly handshakes: PeerHandshakes
  readonly instances: PeerInstances
  readonly violations: ProtocolViolations
}

interface PeerCalls {
  readonly nodeId: NodeId
  readonly deliver: (batch: { readonly messages: Uint8Array }, clientId: number) => Exit.Exit<void, PeerRefused>
  readonly gate: ReturnType<typeof newGate>
  readonly handshakes: PeerHandshakes
  readonly inbound: InboundSnapshots
  readonly violations: ProtocolViolations
  readonly remotes: Remotes
  readonly onRefused: (refusal: TlsRefusal) => void
}

const noHello = (found: string) => new PeerRefused({ reason: "no-hello", expected: "Hello first", found })

/** What is done with the calls of peers. */
const handlersOf = ({ deliver, gate, handshakes, inbound, nodeId, violations, onRefused, remotes }: PeerCalls) =>
  PeerRpcs.toLayer({
    "peer.Hello": (hello, { client }) => {
      const caller = { address: violations.remoteOf(client.id), remote: remotes.of(client.id) }
      const refused = handshakes.hello(client.id, caller, hello)
      if (refused?.reason === "certificate") onRefused(refusal("wrong-node", refused.message))
      if (refused === undefined) {
        gate.admit(client.id)
        return Effect.void
      }
      if (handshakes.sender(client.id) === undefined) gate.dismiss(client.id)
      violations.reportCaller(
        "refused-hello",
        client.id,
        `refused a connection that says it is node ${hello.from}: ${refused.message}`
      )
      return Effect.fail(refused)
    },
    "peer.Deliver": (batch, { client }) => deliver(batch, client.id),
    "peer.Clock": () => Effect.map(Clock.currentTimeMillis, (wallMs) => ({ wallMs: Math.max(0, Math.floor(wallMs)) })),
    "peer.OfferSnapshot": (request, { client }) => {
      const from = handshakes.sender(client.id)
      if (from === undefined) return Effect.fail(noHello("peer.OfferSnapshot"))
      const { estimatedBytes, term } = request
      return inbound.open(client.id, {
        from,
        to: nodeId,
        term: term as Term,
        point: point(request.point),
        estimatedBytes
      })
    },
    "peer.SnapshotChunk": ({ chunk }, { client }) => inbound.chunk(client.id, chunk)
  })

/** What is wrong when a node speaks for another node, or to one. */
const misdirected = (messages: ReadonlyArray<Message>, sender: NodeId, nodeId: NodeId): string | undefined => {
  for (const { from, to } of messages) {
    if (from === sender && to === nodeId) continue
    return `a message from ${from} to ${to} on the connection from ${sender} to ${nodeId}`
  }
  return undefined
}

/** Hands the messages of a batch on, when their sender may send them. */
const delivery = (
  nodeId: NodeId,
  { handshakes, instances, violations }: DeliveryParts,
  receive: (received: Received) => void
): PeerCalls["deliver"] =>
({ messages: batch }, clientId) => {
  const from = handshakes.sender(clientId)
  if (from === undefined) return Exit.fail(noHello("peer.Deliver"))
  const messages = decodeMessages(batch)
  const problem = messages instanceof CodecError ? messages.message : misdirected(messages, from, nodeId)
  if (problem !== undefined) {
    handshakes.forget(clientId)
    violations.closeCaller("malformed-messages", clientId, `closed a connection of node ${from}: ${problem}`)
    return Exit.fail(new PeerRefused({ reason: "malformed", expected: "valid messages", found: problem }))
  }
  instances.spoke(clientId, from)
  const received = messages as ReadonlyArray<Message>
  if (received.length > 0) receive({ messages: received, connection: clientId })
  return Exit.void
}

interface LinkParts {
  readonly own: LearnedIdentity
  readonly build: OwnBuild
  readonly instance: string
  readonly instances: PeerInstances
  readonly lost: Queue.Queue<NodeId>
  readonly violations: ProtocolViolations
}

type Links = ReadonlyMap<NodeId, PeerLink>

/** Keeps a link to each peer up until the scope closes. */
const openLinks = Effect.fnUntraced(function*(
  options: RpcTransportOptions,
  { build, instance, instances, lost, violations, own }: LinkParts
) {
  const clock = yield* Clock.Clock
  const limits = { ...defaultLinkLimits, ...options.limits }
  const links = new Map<NodeId, PeerLink>()
  const metricsOf = yield* PeerMetrics.forPeers
  const looks: Array<() => void> = []
  const runFork = yield* FiberSet.makeRuntime<never>()
  const { maxClockDifferenceMs } = options.portLimits ?? defaultLimits
  for (const peer of options.peers) {
    const metrics = metricsOf(peer.id)
    const clocks = new ClockWatch(peer.id, maxClockDifferenceMs)
    const link = new PeerLink({
      clusterId: options.clusterId,
      identity: own,
      build,
      instance,
      nodeId: options.nodeId,
      peer,
      tls: dialOf(options, peer.id),
      limits,
      nowMsUnsafe: () => clock.currentTimeMillisUnsafe(),
      monotonicMs: () => monotonicMsOf(clock),
      onAnswer: metrics.answered,
      clockProblem: (difference) => clocks.problem(difference),
      onClock: (difference) => {
        metrics.clock(difference)
        const warning = clocks.seen(difference)
        if (warning === undefined) return
        const line = Effect.annotateLogs(Effect.logWarning(warning), { peer: peer.id, ...difference })
        runFork(violations.limited("clock-difference", line))
      },
      conflict: () => instances.conflict(peer.id),
      tell: (kind, line) => violations.limited(kind, line),
      onLost: (id) =>
        Effect.sync(() => {
          Queue.offerUnsafe(lost, id)
        })
    })
    links.set(peer.id, link)
    looks.push(() => metrics.health(link.health()))
    yield* Effect.forkScoped(link.run)
  }
  yield* lookEvery(sampleMs, () => {
    for (const look of looks) look()
  })
  yield* watchTables([
    {
      table: "peer_outbox_messages",
      entries: () => [...links.values()].reduce((most, link) => Math.max(most, link.health().queued), 0),
      limit: 2 * limits.maxQueuedMessages,
      setting: "maxQueuedMessages"
    }
  ])
  return links
})

/** Notices two processes that run as one node, and says so in the log and in a metric. */
const watchInstances = Effect.fnUntraced(function*(violations: ProtocolViolations) {
  const runFork = yield* FiberSet.makeRuntime<never>()
  const context = yield* Effect.context<never>()
  instanceConflicts.updateUnsafe(0, context)
  return new PeerInstances(violations.nowMs, (peer, text) => {
    instanceConflicts.updateUnsafe(1, context)
    const line = Effect.annotateLogs(Effect.logError(text), { peer, violation: "instance-conflict" })
    runFork(violations.limited("instance-conflict", line))
  })
})

const newGate = () =>
  new Gate(PeerRpcs, {
    hello: "peer.Hello",
    noHello,
    overloaded: ({ current, limit, maximum }) =>
      new PeerRefused({ reason: "overloaded", expected: `at most ${maximum} (${limit})`, found: String(current) }),
    notifications: ["peer.Deliver"]
  })

/** A connection of its own to the peer that a request names. */
const sendSnapshot = (
  options: RpcTransportOptions,
  { build, instance, own }: Pick<LinkParts, "build" | "instance" | "own">,
  request: SnapshotRequest
): ReturnType<PeerTransport["Service"]["sendSnapshot"]> => {
  const peer = options.peers.find(({ id }) => id === request.to)
  return peer === undefined
    ? Effect.fail(new SnapshotLost({ reason: `node ${request.to} is not a peer` }))
    : SnapshotLink.open(request, {
      clusterId: options.clusterId,
      identity: own,
      build,
      instance,
      peer,
      tls: dialOf(options, peer.id),
      timeoutMs: options.snapshotTimeoutMs ?? 30_000
    })
}

const wallClocksOf = (links: Links): ReadonlyMap<NodeId, number> => {
  const clocks = new Map<NodeId, number>()
  for (const [peer, link] of links) {
    const wallMs = link.wallMs()
    if (wallMs !== undefined) clocks.set(peer, wallMs)
  }
  return clocks
}

const sending = (links: Links): Pick<PeerTransport["Service"], "flushUnsafe" | "sendUnsafe"> => ({
  sendUnsafe: (messages) => {
    for (const message of messages) links.get(message.to)?.send(message)
  },
  flushUnsafe: () => {
    for (const link of links.values()) link.flush()
    flushAll()
  }
})

const make = Effect.fnUntraced(function*(options: RpcTransportOptions) {
  const runFork = yield* FiberSet.makeRuntime<never>()
  let receiver: ((received: Received) => void) | undefined
  const lost = yield* Queue.sliding<NodeId>(64)
  const own = new LearnedIdentity()
  const build = new OwnBuild(highestLevel(yield* FeatureTable))
  const inbound = new InboundSnapshots()
  const violations = yield* ProtocolViolations.make("peer")
  const instances = yield* watchInstances(violations)
  const handshakes = new PeerHandshakes(options, own, build, instances)
  const instance = randomBytes(16).toString("hex")
  const gate = newGate()
  const remotes = new Remotes()
  const onRefused = yield* countRefusals("peer")
  const { nodeId } = options
  const deliver = delivery(nodeId, { handshakes, instances, violations }, (received) => receiver?.(received))
  const handlers = handlersOf({ nodeId, deliver, gate, handshakes, inbound, violations, remotes, onRefused })
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
    violations,
    remotes,
    protocol: peerProtocol,
    ...(options.tls?.port === undefined ? {} : { tls: options.tls.port }),
    direct: { "peer.Deliver": deliver },
    onDisconnect: (clientId) =>
      Effect.suspend(() => {
        handshakes.forget(clientId)
        return inbound.end(clientId)
      })
  }).pipe(Effect.provide(handlers))
  yield* Effect.logInfo(`peers are served at ${formatBound(address)}`)
  if (options.onListening !== undefined) yield* options.onListening(address)

  const links = yield* openLinks(options, { own, build, instance, instances, lost, violations })

  return PeerTransport.of({
    ...sending(links),
    identifyUnsafe: (identity) => {
      own.learn(identity)
      for (const clientId of handshakes.identified(identity)) {
        gate.dismiss(clientId)
        runFork(inbound.end(clientId))
      }
    },
    requireLevelUnsafe: (level) => build.require(level),
    peersUnsafe: () => handshakes.processes(),
    wallClocksUnsafe: () => wallClocksOf(links),
    receive: (acceptor) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          receiver = acceptor
        }),
        () => Effect.sync(() => receiver = undefined)
      ),
    closeForUnsafe: (connection, peer, claim) => {
      handshakes.forget(connection)
      violations.closeCaller(
        "peer-violation",
        connection,
        `closed a connection of node ${peer}, which is wrong: ${claim}`
      )
    },
    health: Effect.sync(() => [...links.values()].map((link) => link.health())),
    lost,
    sendSnapshot: (request) => sendSnapshot(options, { own, build, instance }, request),
    takeSnapshots: inbound.takeSnapshots
  })
})

/** Listens for peers and keeps links to all of them up, until the scope closes. */
export const layer = (options: RpcTransportOptions): Layer.Layer<PeerTransport, ListenError> =>
  Layer.effect(PeerTransport, make(options))
