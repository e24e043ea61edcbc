/**
 * One node of the cluster: takes commands, gets them committed by a majority, applies them, and answers
 * linearizable reads. The layer composes the driver in this folder over the ports (`LogStore`, `StateStore`,
 * `PeerTransport`, `RaftTimer`) and a `StateMachine`, which keeps its state in the `StateStore`: what is in there is
 * what a snapshot carries.
 */
import { Context, Effect, Layer, PubSub, Queue, Scheduler, Stream, SubscriptionRef } from "effect"
import type { Scope } from "effect"
import type { BoundedTable } from "../BoundedTables.ts"
import { sampleMs, watchTables } from "../BoundedTables.ts"
import { lookEvery } from "../CoalescedSleep.ts"
import type { Limits } from "../config/Limits.ts"
import type { FlareDbConfig } from "../config/FlareDbConfig.ts"
import type { Fatal, ReadError, Unavailable } from "../FlareDbError.ts"
import { LogLimiter } from "../LogLimiter.ts"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import type { Trace } from "../protocol/Trace.ts"
import type { AnswerRoom } from "../machine/AnswerRoom.ts"
import type { MachineAccess } from "../machine/MachineAccess.ts"
import { OwnIdentity } from "../machine/OwnIdentity.ts"
import { OwnLevel } from "../machine/OwnLevel.ts"
import type { Proposer } from "../machine/StateMachine.ts"
import { StateMachine } from "../machine/StateMachine.ts"
import * as Raft from "../raft/Raft.ts"
import type { LogIndex, LogPoint } from "../raft/Types.ts"
import { NodeId } from "../raft/Types.ts"
import { LogStore } from "../storage/LogStore.ts"
import type { StateExport, StateRow } from "../storage/StateStore.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { RaftTimer } from "../timer/RaftTimer.ts"
import type { PeerHealth } from "../transport/PeerTransport.ts"
import { PeerTransport } from "../transport/PeerTransport.ts"
import * as Applier from "./Applier.ts"
import { EventLoop } from "./EventLoop.ts"
import * as Expiry from "./Expiry.ts"
import * as IdentityWait from "./IdentityWait.ts"
import { Inbox } from "./Inbox.ts"
import { IncomingEntries } from "./IncomingEntries.ts"
import { Markers } from "./Markers.ts"
import { NodeLife } from "./NodeLife.ts"
import type { Judgement } from "./NodeAccess.ts"
import { accessOf } from "./NodeAccess.ts"
import type { NodeDebug } from "./NodeDebug.ts"
import * as NodeMetrics from "./NodeMetrics.ts"
import type { NodeStatus, PublishedRole } from "./NodeStatus.ts"
import { completeStatus, followerLags } from "./NodeStatus.ts"
import * as OperationSpans from "./OperationSpans.ts"
import * as Persister from "./Persister.ts"
import type { Consistency, ReadFrom } from "../protocol/ReadMode.ts"
import type { ReadResults } from "./Reads.ts"
import { Reads } from "./Reads.ts"
import { recoverCore } from "./RecoveredCore.ts"
import { Refusals } from "./Refusals.ts"
import type { RoleChange } from "./RoleHistory.ts"
import { RoleHistory } from "./RoleHistory.ts"
import { Snapshotter } from "./snapshot/Snapshotter.ts"
import type { Stopwatch } from "./Stopwatch.ts"
import { WaitReport } from "./WaitReport.ts"
import type { WriteResults } from "./Writes.ts"
import { Writes } from "./Writes.ts"

/** The whole state at one applied point, in parts, as `StateStore.export` has it. */
export interface NodeExport {
  readonly point: LogPoint
  readonly estimatedBytes: number
  readonly next: (maxBytes: number) => Effect.Effect<ReadonlyArray<StateRow>, Fatal>
}

/** What a node stands on. */
type Ports = LogStore | OwnIdentity | OwnLevel | PeerTransport | RaftTimer | StateMachine | StateStore

/**
 * The node of this process. Services use the clients beside it; what runs a node waits on `fatal`, and may ask for
 * `status`.
 *
 * **When to use**
 *
 * In a program that embeds a node: wait on `fatal` beside its own work. Reads and writes go through `KeyValue`,
 * which is sent on to the leader.
 *
 * **Gotchas**
 *
 * `propose` is answered by the leader alone, and nothing is repeated.
 */
export class RaftNode extends Context.Service<RaftNode, {
  /**
   * Appends the commands in order when this node leads and answers each once it was committed and applied.
   * The result of each command stands alone: an error of one says nothing about the next. Resolves when all have one.
   * Commands are a client's unless the node itself proposes them.
   */
  readonly propose: (
    commands: ReadonlyArray<Uint8Array>,
    proposer?: Proposer
  ) => Effect.Effect<WriteResults>

  /**
   * {@link propose} for the client port, without a fiber: `done` is called once, at once or later, and must not throw.
   */
  readonly proposeUnsafe: (
    commands: ReadonlyArray<Uint8Array>,
    proposer: Proposer,
    done: (results: WriteResults) => void,
    /** The spans of its callers, as far as they have some. */
    traces?: ReadonlyArray<Trace>
  ) => void

  /**
   * Answers queries from this node's state. Linearizable reads work at any node: a follower asks the leader for the
   * read index, waits until it has applied that far, and answers itself (thesis §6.4), unless they are for the leader
   * only: then it says who that is.
   */
  readonly query: (
    queries: ReadonlyArray<Uint8Array>,
    consistency: Consistency,
    from?: ReadFrom,
    room?: AnswerRoom,
    /** The spans of its callers, as far as they have some. */
    traces?: ReadonlyArray<Trace>
  ) => Effect.Effect<ReadResults>

  /**
   * Succeeds once this node has applied everything that was acknowledged before the call. Linearizable reads wait for
   * the same; this is for code that reads the state in another way. (thesis §6.4)
   */
  readonly readBarrier: Effect.Effect<void, ReadError>

  /** What the state machine says of who may do what; absent when it leaves everything to administrators. */
  readonly access?: MachineAccess

  /**
   * The same from what this node has applied, also where it does not lead. Only behind {@link readBarrier}: without it
   * a role that was taken away may still count.
   */
  readonly appliedAccess?: MachineAccess

  /** The whole state as it is now, while the scope is open. Commits go on meanwhile, and are not in it. */
  readonly exportState: Effect.Effect<NodeExport, Unavailable | Fatal, Scope.Scope>

  /**
   * The whole state as it is right behind the next command with these bytes: the same on every node that is asked
   * before the command is committed. What is returned waits for that commit.
   */
  readonly exportAtMarker: (
    marker: Uint8Array
  ) => Effect.Effect<Effect.Effect<NodeExport, Unavailable | Fatal>, Unavailable | Fatal, Scope.Scope>

  readonly status: Effect.Effect<NodeStatus>

  /** Everything that decides what the node does next, for people. Bounded; its form may change with any version. */
  readonly debug: Effect.Effect<NodeDebug & { readonly peers: ReadonlyArray<PeerHealth> }>

  /**
   * The identity of the cluster, which every connection gets first; `undefined` while this node does not know it. A new
   * cluster has none before its first commit, and a node with an empty disk none before it has caught up. A node that
   * has just become leader waits for it, for as long as it leads.
   */
  readonly identity: Effect.Effect<ClusterIdentity | undefined>

  /** The published role, for waiting on state: "until this node leads", "until a leader is known". */
  readonly role: SubscriptionRef.SubscriptionRef<PublishedRole>

  /** The latest changes of role, term or leader, the oldest first. */
  readonly roleChanges: () => ReadonlyArray<RoleChange>

  /** The applied index, for waiting on state. */
  readonly applied: SubscriptionRef.SubscriptionRef<LogIndex>

  /** Hands leadership to `target` (or the best follower) and returns once the request was taken. (thesis §3.10) */
  readonly transferLeader: (target: NodeId | undefined) => Effect.Effect<void>

  /**
   * Runs work on the state of this node, for those beside it that read the state by themselves. Storage that cannot be
   * read stops the node; `what` is part of the reason.
   */
  readonly orStop: <A, R>(what: string, work: Effect.Effect<A, StorageError, R>) => Effect.Effect<A, Fatal, R>

  /** Fails when the node had to stop serving; never succeeds. The process should exit on it. */
  readonly fatal: Effect.Effect<never, Fatal>
}>()("flaredb/node/RaftNode") {
  /** The node of `config`, over the ports and the state machine. Closing its scope stops it cleanly. */
  static readonly layer = (
    config: FlareDbConfig
  ): Layer.Layer<RaftNode, never, Ports> => Layer.effect(RaftNode, make(config))
}

type Timer = RaftTimer["Service"]

const tablesOf = (limits: Limits, inbox: Inbox, { pending }: EventLoop): ReadonlyArray<BoundedTable> => [
  {
    table: "pending_proposals",
    entries: () => pending.waitingCommands,
    limit: limits.maxPendingProposals,
    setting: "maxPendingProposals"
  },
  {
    table: "pending_reads",
    entries: () => pending.waitingQueries,
    limit: limits.maxPendingReads,
    setting: "maxPendingReads"
  },
  { table: "inbox", entries: () => inbox.size, limit: limits.maxInboxEvents, setting: "maxInboxEvents" }
]

const identified = (
  metrics: NodeMetrics.NodeMetrics,
  transport: PeerTransport["Service"],
  inbox: Inbox
) =>
(own: ClusterIdentity): void => {
  metrics.identified(own)
  transport.identifyUnsafe(own)
  // Raft makes up for what is lost here; it could not make up for a message of another history.
  inbox.dropReceived()
}

/** The owner of the core, and the parts that it works with. */
const makeOwner = Effect.fnUntraced(function*(config: FlareDbConfig, life: NodeLife, timer: Timer) {
  const log = yield* LogStore
  const state = yield* StateStore
  const machine = yield* StateMachine
  const identity = yield* OwnIdentity
  const level = yield* OwnLevel
  const transport = yield* PeerTransport
  const metrics = yield* NodeMetrics.make
  const { limits } = config
  const nodeId = NodeId(config.nodeId)
  const { clock, observe, raft } = yield* recoverCore(config, timer)
  const start = Raft.status(raft)
  const role = yield* SubscriptionRef.make<PublishedRole>({ role: start.role, term: start.term, leader: start.leader })
  const history = new RoleHistory()
  const applied = yield* SubscriptionRef.make<LogIndex>(start.applied)
  const measured = (took: (ms: number) => void): Stopwatch => ({ nowMs: timer.monotonicMsUnsafe, took })
  const dispatcher = (yield* Scheduler.Scheduler).makeDispatcher()
  const inbox = new Inbox(limits.maxInboxEvents, dispatcher, measured(metrics.waited))
  const markers = new Markers(state)
  const applier = yield* Applier.make(log, machine, markers, inbox, measured(metrics.appliedIn))
  const lines = new LogLimiter(timer.monotonicMsUnsafe)
  const fork = (name: string) => (work: Effect.Effect<void, StorageError>) => life.supervise(name, work)
  const shared = { nodeId, inbox, applier, log, transport, lines, metrics }
  const snapshotter = yield* Snapshotter.make(
    {
      ...shared,
      limits,
      state,
      machine,
      identity: identity.current,
      level: level.known.level,
      fork: fork("snapshots")
    },
    start.applied
  )
  const endpoints = new Map(config.nodes.map((node) => [NodeId(node.id), `${node.host}:${node.clientPort}`]))
  const refusals = new Refusals(nodeId, endpoints)
  const loop = new EventLoop({
    ...shared,
    raft,
    persister: Persister.make(log, transport, inbox, measured(metrics.synced)),
    snapshotter,
    clock,
    timer,
    stallMs: config.electionTimeoutMinMs / 2,
    incoming: new IncomingEntries({ check: machine.check, clock, wallMs: timer.nowMsUnsafe }),
    waits: new WaitReport(timer.monotonicMsUnsafe, lines),
    observe,
    identity,
    level,
    refusals,
    onRole: (change) => {
      const now = { role: change.role, term: change.term, leader: change.leader }
      history.add(timer.nowMsUnsafe(), now)
      return SubscriptionRef.set(role, now)
    },
    onApplied: (index) => {
      metrics.applied(index)
      // As `SubscriptionRef.set` does, whose turn nothing else takes: a fiber for each put was most of what it costs.
      applied.value = index
      PubSub.publishUnsafe(applied.pubsub, index)
    },
    fork: fork("reading the log")
  })
  yield* watchTables(tablesOf(limits, inbox, loop))
  yield* lookEvery(sampleMs, () => {
    metrics.sampled(raft.commit)
    for (const [peer, entries] of followerLags(Raft.status(raft))) metrics.followerLag(peer, entries)
  })
  /** For the time between two turns. */
  const judgement = (): Judgement => {
    const { applied, leader, leadership } = raft
    if (leadership === undefined) return refusals.notLeader(leader)
    return applied >= leadership.termStart ? "current" : "behind"
  }
  return { loop, inbox, role, history, applied, markers, clock, metrics, refusals, start, judgement }
})

type Owner = Effect.Success<ReturnType<typeof makeOwner>>

/** Starts the parts of a node, each beside the others. */
const run = Effect.fnUntraced(function*(config: FlareDbConfig, life: NodeLife, timer: Timer, owner: Owner) {
  const log = yield* LogStore
  const state = yield* StateStore
  const identity = yield* OwnIdentity
  const transport = yield* PeerTransport
  const { inbox, loop, metrics, start } = owner
  const identify = identified(metrics, transport, inbox)
  const known = identity.current()
  const level = yield* OwnLevel
  level.watch(transport.requireLevelUnsafe)
  // At once where possible: peers of another cluster are refused before the owner hears anything.
  if (known === undefined) yield* life.supervise("learning the identity", Effect.map(identity.known, identify))
  else identify(known)
  yield* life.supervise("the owner", loop.run)
  yield* life.supervise("persisting the log", loop.persister.run)
  yield* life.supervise("applying the log", loop.applier.work.run)
  yield* transport.receive((received) => inbox.deliver(received))
  yield* timer.start(() => inbox.post({ _tag: "Alarm" }))
  yield* life.supervise("the log store", log.failed)
  yield* life.supervise("the state store", state.failed)
  const lost = Effect.map(Queue.take(transport.lost), (peer) => inbox.post({ _tag: "PeerUnreachable", peer }))
  yield* life.supervise("watching links", Effect.forever(lost))
  yield* Effect.logInfo(
    `node ${config.nodeId} starts in term ${start.term} with the log at ${start.lastIndex}, applied ${start.applied}`
  ).pipe(Effect.annotateLogs({ node: config.nodeId, term: start.term, commit: start.commit }))
})

const make = Effect.fnUntraced(function*(config: FlareDbConfig) {
  const state = yield* StateStore
  const machine = yield* StateMachine
  const identity = yield* OwnIdentity
  const transport = yield* PeerTransport
  const timer = yield* RaftTimer
  const nodeId = NodeId(config.nodeId)
  const life = yield* NodeLife.make(nodeId)
  const owner = yield* makeOwner(config, life, timer)
  const { applied, clock, history, inbox, judgement, loop, markers, refusals, role } = owner
  yield* life.atEnd((write, stopped) => loop.abandon(write, stopped))
  yield* run(config, life, timer, owner)

  const identityWait = IdentityWait.make(nodeId, identity, role, life)
  const spans = yield* OperationSpans.make(nodeId)
  const parts = { machine, life, inbox, pending: loop.pending, limits: config.limits, spans, refusals }
  const reads = new Reads({
    ...parts,
    identity,
    identityWait,
    leads: () => loop.leads,
    leader: () => SubscriptionRef.getUnsafe(role).leader
  })
  const { readBarrier } = reads
  const start = Effect.runForkWith(yield* Effect.context<never>())
  const writes = new Writes({ ...parts, level: yield* OwnLevel, judgement, readBarrier, start })
  const propose = (commands: ReadonlyArray<Uint8Array>) => writes.propose(commands, "node")
  const leading = SubscriptionRef.changes(role).pipe(
    Stream.filter((now) => now.role === "leader"),
    Stream.runHead,
    Effect.asVoid
  )
  yield* life.supervise(
    "expiry and compaction",
    Expiry.run({ machine, clock, leads: () => loop.leads, leading, readBarrier, propose })
  )

  const exported = (view: StateExport): NodeExport => ({
    ...view,
    next: (maxBytes) => life.orStop("reading the state", view.next(maxBytes))
  })
  /** What the owner sees between two turns, or once it takes none any more. */
  const seen = <A>(look: () => A): Effect.Effect<A> =>
    Effect.callback((resume) => {
      if (life.stopped !== undefined) return resume(Effect.succeed(look()))
      inbox.post({ _tag: "Look", look: () => resume(Effect.succeed(look())) })
    })
  const status = Effect.flatMap(seen(() => loop.describe()), yield* completeStatus)

  return RaftNode.of({
    propose: (commands, proposer = "client") => writes.propose(commands, proposer),
    proposeUnsafe: (commands, proposer, done, traces) => writes.proposeUnsafe(commands, proposer, done, traces),
    query: (queries, consistency, from = "any", room, traces) => reads.query(queries, consistency, from, room, traces),
    readBarrier,
    ...accessOf(machine.access, judgement),
    exportState: life.whileRunning(Effect.map(life.orStop("reading the state", state.export), exported)),
    exportAtMarker: (marker) =>
      life.whileRunning(
        Effect.map(markers.await(marker), (view) => Effect.raceFirst(Effect.map(view, exported), life.fatal))
      ),
    status,
    debug: Effect.zipWith(seen(() => loop.debug()), transport.health, (own, peers) => ({ ...own, peers })),
    identity: identityWait.whileLeading,
    role,
    roleChanges: () => history.all,
    applied,
    transferLeader: (target) => Effect.sync(() => inbox.post({ _tag: "TransferLeader", target })),
    orStop: (what, work) => life.orStop(what, work),
    fatal: life.fatal
  })
})
