/**
 * The owner of a node's Raft state. A turn takes whatever gathered in the inbox, steps the core through it, and
 * carries the outputs out; no other part reads or changes term, role or log.
 *
 * A turn is synchronous from the first step to the last output, so that hundreds of commands cost one turn. The
 * slow work (sync, apply, network) happens elsewhere and comes back as inputs.
 */
import { Deferred, Effect, Exit } from "effect"
import type { Fatal, WriteError } from "../FlareDbError.ts"
import { Indeterminate, Unavailable } from "../FlareDbError.ts"
import type { LogLimiter } from "../LogLimiter.ts"
import type { OwnIdentity } from "../machine/OwnIdentity.ts"
import type { OwnLevel } from "../machine/OwnLevel.ts"
import type { Event, Proposal } from "../raft/Event.ts"
import type { Message } from "../raft/Message.ts"
import type { Accepted, Output, ReadLog, RoleChanged } from "../raft/Output.ts"
import { InvariantViolation } from "../raft/Invariants.ts"
import * as Raft from "../raft/Raft.ts"
import type { LogIndex, NodeId } from "../raft/Types.ts"
import { lastTimestampOf } from "../raft/Types.ts"
import type { LogStore } from "../storage/LogStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { RaftTimer } from "../timer/RaftTimer.ts"
import type { PeerTransport, SnapshotRequest } from "../transport/PeerTransport.ts"
import type { SnapshotRefused } from "../protocol/SnapshotRefused.ts"
import type { Applier } from "./Applier.ts"
import { CommitTimes } from "./CommitTimes.ts"
import type { IncomingEntries } from "./IncomingEntries.ts"
import type { Inbox } from "./Inbox.ts"
import type { AppliedBatch, FromPeer, Input, Installed } from "./Input.ts"
import type { LogClock } from "./LogClock.ts"
import type { NodeDebug } from "./NodeDebug.ts"
import { debugOf } from "./NodeDebug.ts"
import type { OwnerStatus } from "./NodeStatus.ts"
import { ownerStatus } from "./NodeStatus.ts"
import type { ReadGroup, Submission } from "./Pending.ts"
import { OwnerLog } from "./OwnerLog.ts"
import { OwnProposals } from "./OwnProposals.ts"
import { Pending } from "./Pending.ts"
import type { Persister } from "./Persister.ts"
import type { NodeMetrics } from "./NodeMetrics.ts"
import { refusalOf } from "./snapshot/RequestCheck.ts"
import type { Refusals } from "./Refusals.ts"
import { Rounds } from "./Rounds.ts"
import { SerialWork } from "./SerialWork.ts"
import type { Snapshotter } from "./snapshot/Snapshotter.ts"
import type { StepObserver } from "./StepObserver.ts"
import { Upkeep } from "./Upkeep.ts"
import type { WaitReport } from "./WaitReport.ts"

export interface EventLoopOptions {
  readonly raft: Raft.Raft
  readonly nodeId: NodeId
  readonly inbox: Inbox
  readonly persister: Persister
  readonly applier: Applier
  readonly snapshotter: Snapshotter
  readonly log: LogStore["Service"]
  readonly transport: PeerTransport["Service"]
  readonly clock: LogClock
  readonly timer: RaftTimer["Service"]
  /** Milliseconds by which a turn has to be late to be logged as a stall. */
  readonly stallMs: number
  readonly incoming: IncomingEntries
  /** Logs what the node waits for. */
  readonly waits: WaitReport
  /** Bounds the lines that peers and clients can cause. */
  readonly lines: LogLimiter
  readonly metrics: NodeMetrics
  readonly observe: StepObserver | undefined
  /** The identity of the cluster, which this node proposes when it leads and the cluster has none. */
  readonly identity: OwnIdentity["Service"]
  /** The feature level of the cluster, which this node raises when it leads and all voters know a higher one. */
  readonly level: OwnLevel["Service"]
  readonly refusals: Refusals
  /** Gets every change of role, term or leader. */
  readonly onRole: (change: RoleChanged) => Effect.Effect<void>
  /** Gets the applied index after each turn in which it grew. */
  readonly onApplied: (index: LogIndex) => void
  /** Starts work beside the loop; its failure stops the node. */
  readonly fork: (work: Effect.Effect<void, StorageError>) => Effect.Effect<void>
}

export class EventLoop {
  readonly pending = new Pending()
  private readonly commitTimes = new CommitTimes()
  private readonly rounds: Rounds
  private readonly options: EventLoopOptions
  private leading = false
  /** Whether the outputs of a step are being carried out: another step would have its own overtake the rest of them. */
  private stepping = false
  /** The end of the apply that is under way; the core learns of it only when all of it is done. */
  private applyingThrough = 0
  /** The connection of the message that is being handled. */
  private connection = 0
  /** What this turn wants sent, in order. */
  private outbox: Array<Message> = []
  /** The last entry that this turn heard to be applied; 0 for none. */
  private heardApplied = 0
  /** What turns leave to be done outside their synchronous part, in order. */
  private readonly afterwards = new SerialWork<Effect.Effect<void>>((works) => Effect.all(works, { discard: true }))
  private readonly own: OwnProposals
  private readonly lines: OwnerLog
  private readonly upkeep: Upkeep
  /**
   * However little there is to do, the owner looks at its clock as often as this: a stall counts for no more ticks, and
   * so never makes a follower campaign that heard its leader just before.
   */
  private readonly longestSleepTicks: number

  constructor(options: EventLoopOptions) {
    this.longestSleepTicks = Math.max(1, Math.floor(options.raft.config.electionTicksMin / 2))
    this.options = options
    this.own = new OwnProposals(options)
    this.rounds = new Rounds(options)
    const afterwards = (work: Effect.Effect<void>) => this.afterwards.handOver(work)
    this.lines = new OwnerLog(options.lines, afterwards)
    this.upkeep = new Upkeep({ ...options, lines: this.lines, afterwards, describe: () => this.describe() })
  }

  /** Takes turns until it is interrupted. Dies when an invariant breaks; never ends otherwise. */
  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    const turns = Effect.callback<never>((resume) =>
      this.options.inbox.open((inputs) => this.turn(inputs), (defect) => resume(Effect.die(defect)))
    )
    return Effect.raceFirst(this.afterwards.run, turns)
  })

  /** Takes no turn any more, and fails everything that waits. What never had a turn is in no log. */
  abandon(write: WriteError, stopped: Fatal | Unavailable): void {
    for (const submission of this.rounds.close()) this.pending.reject(submission, stopped)
    for (const input of this.options.inbox.close()) {
      if (input._tag === "Submit") this.pending.reject(input.submission, stopped)
      else if (input._tag === "Read") this.pending.rejectRead(input.request, stopped)
      else if (input._tag === "Look") input.look()
    }
    this.pending.abandonCommands(write)
    this.pending.abandonReads(stopped)
  }

  get persister(): Persister {
    return this.options.persister
  }

  get applier(): Applier {
    return this.options.applier
  }

  /** Whether this node leads, as far as it knows. */
  get leads(): boolean {
    return this.leading
  }

  /**
   * One turn:
   * 1. step the core through the ticks that have passed, then through the events in their order;
   * 2. propose what a leader says itself, then all commands that are due (`Rounds.ts`), and start one read round;
   * 3. send what is to be sent in one call, before this node writes, so that followers write while it does;
   * 4. begin to persist and to apply what the steps put out;
   * 5. do what is not synchronous (a role change, log lines), and sleep until something comes or time asks for a turn.
   */
  private turn(inputs: ReadonlyArray<Input>): void {
    const submissions: Array<Submission> = []
    const reads: Array<ReadGroup> = []
    const { metrics, persister, raft, timer, transport } = this.options
    const sinceMs = timer.monotonicMsUnsafe()
    this.passTime()
    for (const input of inputs) {
      switch (input._tag) {
        case "Submit":
          submissions.push(input.submission)
          break
        case "Read":
          reads.push(input.request)
          break
        case "Look":
          input.look()
          break
        case "AppliedBatch":
          this.applyDone(input)
          break
        case "Compacted":
          this.options.snapshotter.compacted(input.through)
          this.step(input)
          break
        case "SnapshotRequested":
          Deferred.doneUnsafe(input.answer, Exit.succeed(this.unwanted(input.request)))
          break
        case "Installed":
          this.installed(input)
          break
        case "Alarm":
          break
        case "Receive":
          this.receive(input)
          break
        default:
          this.step(input)
      }
    }
    if (this.leading) this.proposeOwn(this.own.identity())
    this.propose(this.rounds.next(submissions, this.leading))
    if (reads.length > 0) this.step({ _tag: "ReadIndex", readId: this.pending.read(reads) })
    if (this.outbox.length > 0) {
      transport.sendUnsafe(this.outbox)
      this.outbox = []
      // The sync of this node may hold up the thread, and the followers make theirs meanwhile.
      if (persister.isDue) transport.flushUnsafe()
    }
    persister.start()
    this.options.applier.work.start()
    if (this.heardApplied > 0) {
      this.options.onApplied(this.heardApplied as LogIndex)
      this.heardApplied = 0
    }
    this.afterwards.start()
    timer.sleepUnsafe(Math.min(this.longestSleepTicks, Raft.ticksUntilDue(raft)))
    metrics.turn(inputs.length, timer.monotonicMsUnsafe() - sinceMs)
  }

  /** Tells the core of the ticks that have passed, before anything that came after them. */
  private passTime(): void {
    const { lateMs, ticks } = this.options.timer.takeUnsafe()
    if (ticks === 0) return
    this.upkeep.passed(lateMs)
    this.step(ticks === 1 ? { _tag: "Tick" } : { _tag: "Tick", count: ticks })
    this.upkeep.look()
    if (this.leading) this.proposeOwn(this.own.level())
  }

  private proposeOwn(proposal: Proposal | undefined): void {
    if (proposal !== undefined) this.step({ _tag: "Propose", proposals: [proposal], nowMs: this.options.clock.now() })
  }

  private propose(submissions: ReadonlyArray<Submission>): void {
    if (submissions.length === 0) return
    const proposals = this.pending.propose(submissions)
    if (this.leading && this.own.lacksIdentity) {
      const reason = "the identity of the cluster could not be proposed yet"
      return this.pending.refuse(proposals.map(({ id }) => id), new Unavailable({ reason }))
    }
    if (proposals.length > 0) this.step({ _tag: "Propose", proposals, nowMs: this.options.clock.now() })
  }

  private applyDone({ entries, replies, tookMs }: AppliedBatch): void {
    const last = entries[entries.length - 1]
    if (last === undefined) return
    const { index } = last
    const { metrics, timer } = this.options
    this.options.clock.observe(last.timestampMs, this.leading)
    this.pending.applied(entries, replies, tookMs)
    if (this.leading) this.commitTimes.applied(index, timer.monotonicMsUnsafe(), metrics.committed)
    this.pending.releaseReads(index)
    this.heardApplied = index
    if (index >= this.applyingThrough) this.step({ _tag: "Applied", index })
    this.rounds.applied(index)
    this.options.snapshotter.applied(entries)
    this.upkeep.compactIfDue()
  }

  /** Why this node does not want the state that a peer asks to send. */
  private unwanted(request: SnapshotRequest): SnapshotRefused | undefined {
    const { metrics, observe, raft } = this.options
    observe?.snapshotRequested({ from: request.from, point: request.point, term: request.term })
    return refusalOf(raft, request, (claim) => {
      metrics.peerViolation()
      this.lines.tell(Effect.logWarning, `refused a snapshot of node ${request.from}, which is wrong: ${claim}`, {
        peer: request.from
      })
    })
  }

  private receive(input: FromPeer): void {
    const { incoming, raft } = this.options
    const { message } = input
    this.connection = input.connection
    const claim = message._tag === "AppendRequest" ? incoming.problem(message, raft) : undefined
    if (claim === undefined) this.step(input)
    else this.closeFor(message.from, claim)
  }

  /** What a peer sent cannot be, and changes nothing: its connection is closed. */
  private closeFor(peer: NodeId, claim: string): void {
    this.options.metrics.peerViolation()
    this.options.transport.closeForUnsafe(this.connection, peer, claim)
  }

  private installed({ known, logTimeMs, point }: Installed): void {
    const { clock, snapshotter } = this.options
    clock.observe(logTimeMs, this.leading)
    this.step({ _tag: "SnapshotInstalled", point })
    snapshotter.installed(point.index)
    this.pending.skipped(point.index)
    this.pending.releaseReads(point.index)
    this.heardApplied = point.index
    Deferred.doneUnsafe(known, Exit.void)
  }

  private step(event: Event): void {
    const { observe, raft } = this.options
    if (this.stepping) throw new InvariantViolation("OneStepAtATime", `${event._tag} came in the middle of a step`)
    this.stepping = true
    const outputs = Raft.step(raft, event)
    if (observe !== undefined) observe.stepped(raft, event, outputs)
    for (const output of outputs) this.carryOut(output)
    this.stepping = false
  }

  private carryOut(output: Output): void {
    switch (output._tag) {
      case "Persist":
        // Also of entries that are not applied when this node becomes leader. What they began, such as a lease, counts
        // in the time of the leader that gave them their timestamps.
        if (!this.leading) this.options.clock.observe(lastTimestampOf(output.entries), false)
        return this.options.persister.handOver(output)
      case "Send":
        for (const message of output.messages) this.outbox.push(message)
        return
      case "Apply":
        this.applyingThrough = output.through
        return this.options.applier.work.handOver(output)
      case "Accepted":
        return this.accepted(output)
      case "Refused":
        // Proposed again with the next turn.
        this.own.refused(output.ids)
        return this.pending.refuse(output.ids, this.options.refusals.notAppended(output.reason))
      case "ReadReady":
        this.options.metrics.readRound()
        this.pending.readReady(output)
        return this.pending.releaseReads(this.options.raft.applied)
      case "ReadRefused":
        return this.pending.readRefused(output.readIds, this.options.refusals.notLeader(output.leader))
      case "RoleChanged":
        return this.roleChanged(output)
      case "ReadLog":
        return void this.afterwards.handOver(this.readLog(output))
      case "SendSnapshot":
        return void this.afterwards.handOver(this.options.snapshotter.send(output))
      case "RestartLog":
        return this.options.persister.handOver(output)
      case "DirectoryRolledBack":
        return this.lines.rolledBack(output)
      case "PeerViolation":
        return this.closeFor(output.peer, output.claim)
      case "Trace":
        return this.lines.trace(output)
    }
  }

  private accepted(output: Accepted): void {
    const { metrics, timer } = this.options
    const { length } = output.ids
    this.pending.accept(output)
    this.commitTimes.appended(output.firstIndex + length - 1, timer.monotonicMsUnsafe())
    metrics.batch(length)
  }

  private roleChanged(change: RoleChanged): void {
    const leads = change.role === "leader"
    if (this.leading && !leads) {
      this.pending.abandonCommands(
        new Indeterminate({ reason: `node ${this.options.nodeId} lost leadership before the write was committed` })
      )
    }
    if (!leads) {
      this.commitTimes.clear()
      this.options.snapshotter.abandon()
    }
    if (leads !== this.leading) this.own.forget()
    this.leading = leads
    this.options.metrics.roleChanged(change)
    this.afterwards.handOver(this.options.onRole(change))
    const { leader = "none", reason, role, term } = change
    this.lines.tell(Effect.logInfo, `${role} in term ${term}: ${reason}`, { term, role, leader })
  }

  /** Reads old entries for a lagging follower beside the loop, which must not wait for a disk. */
  private readLog(request: ReadLog): Effect.Effect<void> {
    const { peer, term, from } = request
    return this.options.fork(
      Effect.flatMap(
        this.options.log.read(from, request.through, request.maxBytes),
        (entries) => Effect.sync(() => this.options.inbox.post({ _tag: "LogRead", peer, term, from, entries }))
      )
    )
  }

  /** Where the node stands. For a turn, or once there is none. */
  describe(): OwnerStatus {
    const { nodeId, raft, snapshotter } = this.options
    return ownerStatus(nodeId, Raft.status(raft), snapshotter.status)
  }

  /** The same in every detail. */
  debug(): NodeDebug {
    const { inbox, raft, snapshotter } = this.options
    return debugOf(raft, inbox, this.pending, snapshotter.status)
  }
}
