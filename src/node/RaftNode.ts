/**
 * One node of the cluster: takes commands, gets them committed by a majority, applies them, and answers
 * linearizable reads. The layer composes the driver in this folder over the ports (`LogStore`, `StateStore`,
 * `PeerTransport`, `RaftTimer`) and a `StateMachine`, which keeps its state in the `StateStore`: what is in there is
 * what a snapshot carries.
 */
import {
  Cause,
  Context,
  Deferred,
  Effect,
  Exit,
  FiberSet,
  Layer,
  Queue,
  Random,
  Scheduler,
  Stream,
  SubscriptionRef
} from "effect"
import type { Scope } from "effect"
import { watchTables } from "../BoundedTables.ts"
import type { FlareDbConfig } from "../FlareDbConfig.ts"
import { tickMs } from "../FlareDbConfig.ts"
import type { ReadError, WriteError } from "../FlareDbError.ts"
import { LogLimiter } from "../LogLimiter.ts"
import { Fatal, Indeterminate, Overloaded, Unavailable } from "../FlareDbError.ts"
import type { ClusterIdentity } from "../codec/ClusterIdentity.ts"
import { OwnIdentity } from "../machine/OwnIdentity.ts"
import type { AnswerRoom } from "../machine/AnswerRoom.ts"
import type { Proposer } from "../machine/StateMachine.ts"
import { StateMachine } from "../machine/StateMachine.ts"
import * as RaftConfig from "../raft/Config.ts"
import * as Raft from "../raft/Raft.ts"
import type { LogIndex, LogPoint, Role, Standing, Term } from "../raft/Types.ts"
import { compareNodeId, NodeId } from "../raft/Types.ts"
import { LogStore } from "../storage/LogStore.ts"
import type { StateExport, StateRow } from "../storage/StateStore.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { RaftTimer } from "../timer/RaftTimer.ts"
import type { PeerHealth } from "../transport/PeerTransport.ts"
import { PeerTransport } from "../transport/PeerTransport.ts"
import * as Applier from "./Applier.ts"
import { EventLoop } from "./EventLoop.ts"
import * as Housekeeping from "./Housekeeping.ts"
import { Inbox } from "./Inbox.ts"
import { IncomingEntries } from "./IncomingEntries.ts"
import { LogClock } from "./LogClock.ts"
import { Moments } from "./Moments.ts"
import * as NodeMetrics from "./NodeMetrics.ts"
import type { ReadGroup, Submission } from "./Pending.ts"
import * as Persister from "./Persister.ts"
import type { SnapshotStatus } from "./Snapshotter.ts"
import { Snapshotter } from "./Snapshotter.ts"
import { StepObserver } from "./StepObserver.ts"
import { WaitReport } from "./WaitReport.ts"
import type { Waiting } from "./Waiting.ts"
import { waitingOf } from "./Waiting.ts"

/** Where the node stands, as its owner saw it. */
export interface NodeStatus {
  readonly nodeId: NodeId
  /** The identity of the cluster; `undefined` until this node has applied it. */
  readonly identity: ClusterIdentity | undefined
  readonly voters: ReadonlyArray<NodeId>
  readonly role: Role
  /** Whether it votes: a node with an empty disk learns first. */
  readonly standing: Standing
  /** At a newcomer: the peers that said that they have never taken part either. */
  readonly fresh: ReadonlyArray<NodeId>
  /** What it waits for before it can serve; `undefined` when it can. */
  readonly waiting: Waiting | undefined
  readonly term: Term
  readonly leader: NodeId | undefined
  readonly commit: LogIndex
  readonly applied: LogIndex
  readonly firstIndex: LogIndex
  readonly lastIndex: LogIndex
  /** At a leader: how far each peer's log is known to match, and how it is brought on. */
  readonly matches: Raft.Status["matches"]
  readonly snapshots: SnapshotStatus
  readonly peers: ReadonlyArray<PeerHealth>
}

/** What the owner knows of it. */
export type OwnerStatus = Omit<NodeStatus, "identity" | "peers" | "waiting">

/** What the node last published about its role. */
export interface PublishedRole {
  readonly role: Role
  readonly term: Term
  readonly leader: NodeId | undefined
}

/** The whole state at one applied point, in parts, as `StateStore.export` has it. */
export interface NodeExport {
  readonly point: LogPoint
  readonly estimatedBytes: number
  readonly next: (maxBytes: number) => Effect.Effect<ReadonlyArray<StateRow>, Fatal>
}

/**
 * `linearizable` sees every write acknowledged before the read began; `stale` answers at once from whatever this
 * node has applied, which may be arbitrarily old when it is cut off.
 */
export type Consistency = "linearizable" | "stale"

/** Which node may answer: the leader alone, or any. */
export type ReadFrom = "leader" | "any"

export class RaftNode extends Context.Service<RaftNode, {
  /**
   * Appends the commands in order when this node leads and answers each once it was committed and applied.
   * The result of each command stands alone: an error of one says nothing about the next. Resolves when all have one.
   * Commands are a client's unless the node itself proposes them.
   */
  readonly propose: (
    commands: ReadonlyArray<Uint8Array>,
    proposer?: Proposer
  ) => Effect.Effect<ReadonlyArray<Uint8Array | WriteError>>

  /**
   * {@link propose} for the client port, without a fiber: `done` is called once, at once or later, and must not throw.
   */
  readonly proposeUnsafe: (
    commands: ReadonlyArray<Uint8Array>,
    proposer: Proposer,
    done: (results: ReadonlyArray<Uint8Array | WriteError>) => void
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
    room?: AnswerRoom
  ) => Effect.Effect<ReadonlyArray<Uint8Array | ReadError>>

  /**
   * Succeeds once this node has applied everything that was acknowledged before the call: what linearizable reads wait
   * for, for whoever reads the state in another way. (thesis §6.4)
   */
  readonly fence: Effect.Effect<void, ReadError>

  /** The whole state as it is now, while the scope is open. Commits go on meanwhile, and are not in it. */
  readonly exportState: Effect.Effect<NodeExport, Unavailable | Fatal, Scope.Scope>

  /**
   * The whole state as it is right behind the next command with these bytes: the same on every node that is asked
   * before the command is committed. What is returned waits for that moment.
   */
  readonly exportBehind: (
    marker: Uint8Array
  ) => Effect.Effect<Effect.Effect<NodeExport, Unavailable | Fatal>, Unavailable | Fatal, Scope.Scope>

  readonly status: Effect.Effect<NodeStatus>

  /**
   * The identity of the cluster, which every connection is told first; `undefined` while this node does not know it:
   * a new cluster has none before its first commit, a node with an empty disk none before it has caught up. A node that
   * has just begun to lead waits for it, for as long as it leads.
   */
  readonly identity: Effect.Effect<ClusterIdentity | undefined>

  /** The published role, for waiting on state: "until this node leads", "until a leader is known". */
  readonly role: SubscriptionRef.SubscriptionRef<PublishedRole>

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
  ): Layer.Layer<RaftNode, never, LogStore | OwnIdentity | PeerTransport | RaftTimer | StateMachine | StateStore> =>
    Layer.effect(RaftNode, make(config))
}

/** The core's settings, from the node's: milliseconds become ticks. */
const coreConfig = (config: FlareDbConfig, seed: number): RaftConfig.Config => {
  const tick = tickMs(config)
  const {
    maxAppendBytes,
    maxInflightMessages,
    maxInflightBytes,
    maxUncommittedBytes,
    maxCachedBytes,
    maxPendingReads
  } = config.limits
  return {
    ...RaftConfig.defaults,
    id: NodeId(config.nodeId),
    voters: config.nodes.map((node) => NodeId(node.id)).sort(compareNodeId),
    heartbeatTicks: Math.max(1, Math.round(config.heartbeatMs / tick)),
    electionTicksMin: Math.round(config.electionTimeoutMinMs / tick),
    electionTicksMax: Math.round(config.electionTimeoutMaxMs / tick),
    maxAppendBytes,
    maxInflightMessages,
    maxInflightBytes,
    maxUncommittedBytes,
    maxCachedBytes,
    maxPendingReads,
    // One apply is one synchronous stretch of the state machine; half a MiB keeps it well below a heartbeat.
    maxApplyBytes: 512 * 1024,
    seed
  }
}

const make = Effect.fnUntraced(function*(config: FlareDbConfig) {
  const log = yield* LogStore
  const state = yield* StateStore
  const machine = yield* StateMachine
  const identity = yield* OwnIdentity
  const transport = yield* PeerTransport
  const timer = yield* RaftTimer
  const metrics = yield* NodeMetrics.make
  const nodeId = NodeId(config.nodeId)
  const { limits } = config
  const endpoints = new Map(config.nodes.map((node) => [NodeId(node.id), `${node.host}:${node.clientPort}`]))

  const core = coreConfig(config, yield* Random.nextIntBetween(1, 2 ** 31))
  const recovered = {
    hardState: log.recovered.hardState,
    compacted: log.recovered.compacted,
    lastIndex: log.recovered.lastIndex,
    termRuns: log.recovered.termRuns,
    applied: machine.recovered.index
  }
  const observe = yield* StepObserver
  observe?.started(core, recovered)
  const raft = Raft.make(core, recovered)
  const start = Raft.status(raft)
  const knownMs = Math.max(machine.logTimeMs(), log.recovered.lastStampMs)
  const clock = new LogClock({
    // Where neither the state nor the log knows a time, it begins with the wall clock's, so that people can read stamps.
    startMs: knownMs || timer.nowMsUnsafe(),
    knowsTime: knownMs > 0,
    monotonicMs: timer.monotonicMsUnsafe,
    maxStepMs: config.electionTimeoutMinMs
  })
  const role = yield* SubscriptionRef.make<PublishedRole>({ role: start.role, term: start.term, leader: start.leader })
  const applied = yield* SubscriptionRef.make<LogIndex>(start.applied)
  const inbox = new Inbox(limits.maxInboxEvents, (yield* Scheduler.Scheduler).makeDispatcher())
  const persister = Persister.make(log, transport, inbox)
  const moments = new Moments(state)
  const applier = yield* Applier.make(log, machine, moments, inbox)
  const failure = yield* Deferred.make<never, Fatal>()
  const fibers = yield* FiberSet.make<void>()
  /** Why the node serves no more, once it does not. */
  let stopped: Fatal | Unavailable | undefined

  /** Ends everything after a failure: what waits is told, and whoever watches `fatal` exits the process. */
  const stop = Effect.fnUntraced(function*(reason: string, cause: Cause.Cause<unknown>) {
    if (stopped !== undefined) return
    const fatal = new Fatal({ reason })
    stopped = fatal
    yield* Effect.logFatal(`the node stops serving: ${reason}`, cause)
    loop.abandon(fatal, fatal)
    yield* Deferred.fail(failure, fatal)
    // Detached, because the fiber that failed is one of those that end here.
    yield* Effect.forkDetach(FiberSet.clear(fibers))
  })

  /** Runs a part of the node beside the others; a part that fails or dies takes the node with it. */
  const supervise = (name: string, part: Effect.Effect<void, { readonly message: string }>) =>
    FiberSet.run(
      fibers,
      Effect.catchCause(part, (cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.void
          : stop(`${name}: ${errorText(Cause.squash(cause))}`, cause)).pipe(Effect.annotateLogs({ node: nodeId }))
    )

  const lines = new LogLimiter(timer.monotonicMsUnsafe)
  const snapshotter = yield* Snapshotter.make({
    nodeId,
    limits,
    log,
    state,
    machine,
    transport,
    applier,
    inbox,
    metrics,
    lines,
    identity: identity.current,
    fork: (work) => Effect.asVoid(supervise("snapshots", work))
  }, start.applied)

  const loop = new EventLoop({
    raft,
    nodeId,
    inbox,
    persister,
    applier,
    snapshotter,
    log,
    transport,
    clock,
    incoming: new IncomingEntries({ check: machine.check, clock, wallMs: timer.nowMsUnsafe }),
    waits: new WaitReport(timer.monotonicMsUnsafe, lines),
    lines,
    metrics,
    observe,
    identity,
    clientEndpoint: (node) => endpoints.get(node),
    onRole: (change) => SubscriptionRef.set(role, { role: change.role, term: change.term, leader: change.leader }),
    onApplied: (index) => {
      metrics.applied(index)
      return SubscriptionRef.set(applied, index)
    },
    fork: (work) => Effect.asVoid(supervise("reading the log", work))
  })

  yield* watchTables([
    {
      table: "pending_proposals",
      entries: () => loop.pending.waitingCommands,
      limit: limits.maxPendingProposals,
      setting: "maxPendingProposals"
    },
    {
      table: "pending_reads",
      entries: () => loop.pending.waitingQueries,
      limit: limits.maxPendingReads,
      setting: "maxPendingReads"
    },
    {
      table: "inbox",
      entries: () => inbox.size,
      limit: limits.maxInboxEvents,
      setting: "maxInboxEvents"
    }
  ])

  const stallMs = config.electionTimeoutMinMs / 2
  const tick = Effect.forever(
    Effect.flatMap(Queue.take(timer.ticks), ({ lateMs }) => {
      const ticked = Effect.sync(() => inbox.post({ _tag: "Tick" }))
      if (lateMs < stallMs) return ticked
      metrics.stalled()
      return Effect.andThen(
        Effect.logWarning(`stalled for ${Math.round(lateMs)} ms; stalls near the election timeout depose leaders`),
        ticked
      )
    })
  )

  const lost = Effect.forever(
    Effect.map(Queue.take(transport.lost), (peer) => inbox.post({ _tag: "PeerUnreachable", peer }))
  )

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      stopped ??= new Unavailable({ reason: `node ${nodeId} is shutting down` })
      loop.abandon(new Indeterminate({ reason: `node ${nodeId} shut down before the write was committed` }), stopped)
    })
  )
  const identify = (own: ClusterIdentity) => {
    metrics.identified(own)
    transport.identifyUnsafe(own)
    // Raft makes up for what is lost here; it could not make up for a message of another history.
    inbox.dropReceived()
  }
  const known = identity.current()
  // At once where possible: peers of another cluster are refused before the owner hears anything.
  if (known === undefined) yield* supervise("learning the identity", Effect.map(identity.known, identify))
  else identify(known)
  yield* supervise("the owner", loop.run)
  yield* supervise("persisting the log", persister.run)
  yield* supervise("applying the log", applier.work.run)
  yield* transport.receive((received) => inbox.deliver(received))
  yield* supervise("ticking", tick)
  yield* supervise("the log store", log.failed)
  yield* supervise("the state store", state.failed)
  yield* supervise("watching links", lost)
  yield* Effect.logInfo(
    `node ${nodeId} starts in term ${start.term} with the log at ${start.lastIndex}, applied ${start.applied}`
  ).pipe(Effect.annotateLogs({ node: nodeId, term: start.term, commit: start.commit }))

  const proposeUnsafe = (
    commands: ReadonlyArray<Uint8Array>,
    proposer: Proposer,
    done: (results: ReadonlyArray<Uint8Array | WriteError>) => void
  ): void => {
    if (stopped !== undefined) return done(fill(commands.length, stopped))
    const results: Array<Uint8Array | WriteError | undefined> = new Array(commands.length)
    let open = 0
    for (let slot = 0; slot < commands.length; slot++) {
      const invalid = machine.check(commands[slot] as Uint8Array, proposer)
      if (invalid === undefined) open += 1
      else results[slot] = invalid
    }
    if (open === 0) return done(results as Array<WriteError>)
    const { waitingCommands } = loop.pending
    const refuse = (limit: string, current: number, maximum: number) =>
      done(fill(commands.length, overloaded(limit, current, maximum)))
    if (waitingCommands + open > limits.maxPendingProposals) {
      return refuse("maxPendingProposals", waitingCommands, limits.maxPendingProposals)
    }
    const submission: Submission = { commands, results, open, done }
    if (!inbox.offer({ _tag: "Submit", submission })) {
      return refuse("maxInboxEvents", limits.maxInboxEvents, limits.maxInboxEvents)
    }
    loop.pending.admit(submission)
  }

  const propose = (
    commands: ReadonlyArray<Uint8Array>,
    proposer: Proposer = "client"
  ): Effect.Effect<ReadonlyArray<Uint8Array | WriteError>> =>
    Effect.callback((resume) => proposeUnsafe(commands, proposer, (results) => resume(Effect.succeed(results))))

  /** The identity as soon as it is known, or `undefined` once this node does not lead or serves no more. */
  const identityWhileLeading: Effect.Effect<ClusterIdentity | undefined> = Effect.suspend(() => {
    const current = identity.current()
    if (current !== undefined) return Effect.succeed(current)
    const ends = SubscriptionRef.changes(role).pipe(
      Stream.filter((published) => published.role !== "leader"),
      Stream.take(1),
      Stream.runDrain
    )
    const failed = Effect.catch(Deferred.await(failure), () => Effect.void)
    return Effect.raceFirst(
      identity.known,
      Effect.map(Effect.raceFirst(ends, failed), () => identity.current())
    )
  })

  /** Positions in a history mean nothing before it is known which history that is. */
  const identityKnown: Effect.Effect<void, ReadError> = Effect.suspend(() =>
    identity.current() !== undefined
      ? Effect.void
      : Effect.flatMap(identityWhileLeading, (current) =>
        current === undefined
          ? Effect.fail(
            stopped ?? new Unavailable({ reason: `node ${nodeId} does not know the identity of its cluster yet` })
          )
          : Effect.void)
  )

  /** Waits until this node may answer linearizable reads that began now. */
  const readBarrier = (count: number): Effect.Effect<void, ReadError> =>
    Effect.suspend(() => {
      const { waitingQueries } = loop.pending
      if (waitingQueries + count > limits.maxPendingReads) {
        return Effect.fail(overloaded("maxPendingReads", waitingQueries, limits.maxPendingReads))
      }
      const request: ReadGroup = { count, ready: Deferred.makeUnsafe() }
      if (!inbox.offer({ _tag: "Read", request })) {
        return Effect.fail(overloaded("maxInboxEvents", limits.maxInboxEvents, limits.maxInboxEvents))
      }
      loop.pending.admitRead(request)
      return identity.current() === undefined
        ? Effect.andThen(Deferred.await(request.ready), identityKnown)
        : Deferred.await(request.ready)
    })

  /** Storage that cannot be read ends the node. */
  const orStop = <A, R>(what: string, work: Effect.Effect<A, StorageError, R>): Effect.Effect<A, Fatal, R> =>
    Effect.catch(work, (error) =>
      Effect.andThen(
        stop(`${what}: ${error.message}`, Cause.fail(error)),
        Effect.fail(new Fatal({ reason: error.message }))
      ))

  const readState = (
    queries: ReadonlyArray<Uint8Array>,
    room: AnswerRoom | undefined
  ): Effect.Effect<ReadonlyArray<Uint8Array | ReadError>, ReadError> =>
    orStop("reading the state", machine.query(queries, room))

  const exported = (view: StateExport): NodeExport => ({
    ...view,
    next: (maxBytes) => orStop("reading the state", view.next(maxBytes))
  })

  const whileRunning = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | Unavailable | Fatal, R> =>
    Effect.suspend((): Effect.Effect<A, E | Unavailable | Fatal, R> =>
      stopped === undefined ? work : Effect.fail(stopped)
    )

  const query = (
    queries: ReadonlyArray<Uint8Array>,
    consistency: Consistency,
    from: ReadFrom = "any",
    room?: AnswerRoom
  ): Effect.Effect<ReadonlyArray<Uint8Array | ReadError>> =>
    Effect.suspend(() => {
      if (stopped !== undefined) return Effect.succeed(fill(queries.length, stopped))
      if (from === "leader" && !loop.leads) {
        return Effect.succeed(fill(queries.length, loop.notLeader(SubscriptionRef.getUnsafe(role).leader)))
      }
      const answers = consistency === "stale"
        ? identity.current() === undefined
          ? Effect.andThen(identityKnown, readState(queries, room))
          : readState(queries, room)
        : Effect.flatMap(readBarrier(queries.length), () => readState(queries, room))
      return Effect.catch(answers, (error) => Effect.succeed(fill(queries.length, error)))
    })

  const fence = Effect.suspend(() => stopped === undefined ? readBarrier(1) : Effect.fail(stopped))

  yield* supervise(
    "housekeeping",
    Housekeeping.run({
      machine,
      clock,
      leads: () => loop.leads,
      fence,
      propose: (commands) => propose(commands, "node")
    })
  )

  const status = Effect.gen(function*() {
    const answer = yield* Deferred.make<OwnerStatus>()
    if (stopped === undefined) inbox.post({ _tag: "AskStatus", answer })
    else Deferred.doneUnsafe(answer, Exit.succeed(loop.describe()))
    const now = { ...yield* Deferred.await(answer), identity: identity.current(), peers: yield* transport.health }
    return { ...now, waiting: waitingOf(now) }
  })

  return RaftNode.of({
    propose,
    proposeUnsafe,
    query,
    fence,
    exportState: whileRunning(Effect.map(orStop("reading the state", state.export), exported)),
    exportBehind: (marker) =>
      whileRunning(
        Effect.map(
          moments.await(marker),
          (view) => Effect.raceFirst(Effect.map(view, exported), Deferred.await(failure))
        )
      ),
    status,
    identity: identityWhileLeading,
    role,
    applied,
    transferLeader: (target) => Effect.sync(() => inbox.post({ _tag: "TransferLeader", target })),
    orStop,
    fatal: Deferred.await(failure)
  })
})

const fill = <A>(length: number, value: A): Array<A> => new Array<A>(length).fill(value)

const overloaded = (limit: string, current: number, maximum: number): Overloaded =>
  new Overloaded({ limit, current, maximum })

const errorText = (error: unknown): string => error instanceof Error ? error.message : String(error)
