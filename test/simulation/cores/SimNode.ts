/** One node of a simulation: the core, its disk, its state machine, and what it waits for. */
import type { Config } from "../../../src/raft/Config.ts"
import { coreDefaults } from "../../../src/testing/CoreDefaults.ts"
import { describeState } from "../../../src/raft/Describe.ts"
import type { Event } from "../../../src/raft/Event.ts"
import type { Message } from "../../../src/raft/Message.ts"
import type { Output, SendSnapshot } from "../../../src/raft/Output.ts"
import type { Raft } from "../../../src/raft/Raft.ts"
import type { Entry, LogPoint, MembershipRole, Term } from "../../../src/raft/Types.ts"
import { LogIndex, NodeId } from "../../../src/raft/Types.ts"
import type { CoreDriver } from "../../../src/testing/CoreDriver.ts"
import { MutantDriver } from "./MutantDriver.ts"
import type { Mutant } from "./MutantDriver.ts"
import type { Trace } from "../engine/Engine.ts"
import type { ObservedNode, Oracle } from "../engine/Oracle.ts"
import { demand } from "../engine/Oracle.ts"
import type { Probes } from "../engine/Probes.ts"
import type { Steps } from "../engine/Steps.ts"
import type { Timeline } from "../engine/Timeline.ts"
import type { Random } from "../Random.ts"
import type { Probe } from "./Probes.ts"
import { SimDisk } from "./SimDisk.ts"
import type { SimNetwork } from "./SimNetwork.ts"

export interface World {
  readonly random: Random
  readonly timeline: Timeline
  readonly network: SimNetwork
  readonly oracle: Oracle
  readonly steps: Steps
  readonly probes: Probes<Probe>
  readonly mutant: Mutant | undefined
  readonly trace: Trace
}

/** Limits so small that each of them is reached. */
const tightLimits = {
  ...coreDefaults,
  heartbeatTicks: 1,
  electionTicksMin: 4,
  electionTicksMax: 9,
  maxAppendBytes: 130,
  maxAppendEntries: 3,
  maxInflightMessages: 2,
  maxInflightBytes: 200,
  maxUncommittedBytes: 260,
  maxApplyBytes: 100,
  maxCachedBytes: 150,
  maxPendingReads: 3,
  maxPersistTicks: 12
} satisfies Partial<Config>

export class SimNode implements ObservedNode {
  readonly id: NodeId
  disk: SimDisk
  private readonly voters: ReadonlyArray<NodeId>
  /** The process, while it runs. */
  private driver: CoreDriver | undefined
  seenCommit = 0
  runs = 0
  /** Whether it led after the step before. */
  private wasLeader = false
  /** Ticks since the core last heard that the disk finished something, while it has something to do. */
  private stalledTicks = 0
  /** Neither ticks nor receives: a process that is stopped for some time. */
  paused = false
  /** Set while the process is suspended: nothing happens in it. */
  private suspension: object | undefined
  /** An older state of the directory. */
  private backup: SimDisk | undefined
  private readonly world: World
  /** The last entry that the state machine had when the process ended. */
  private appliedBefore: LogIndex = LogIndex(0)
  private snapshotReports: Array<{ readonly peer: NodeId; readonly installed: LogPoint | undefined }> = []
  private accepted = new Map<LogIndex, Term>()

  constructor(id: number, voters: ReadonlyArray<number>, world: World, membership: MembershipRole) {
    this.disk = new SimDisk(membership)
    this.id = NodeId(id)
    this.voters = voters.map(NodeId)
    this.world = world
  }

  get raft(): Raft | undefined {
    return this.driver?.raft
  }

  get appliedIndex(): LogIndex {
    return this.driver?.applied ?? this.appliedBefore
  }

  /** The next snapshot that a follower needs. */
  nextSnapshot(): SendSnapshot | undefined {
    return this.driver?.snapshotsToSend.shift()
  }

  start(): void {
    const recovered = this.disk.recover()
    this.seenCommit = 0
    this.runs += 1
    this.wasLeader = false
    const { disk, world } = this
    const config = { ...tightLimits, id: this.id, voters: this.voters, seed: world.random.below(2 ** 31) + 1 }
    this.driver = new MutantDriver(
      config,
      recovered,
      {
        disk,
        send: (messages) => this.send(messages),
        applies: (entries) => this.takeIn(entries),
        stepped: (event, outputs) => this.stepped(event, outputs),
        carriedOut: (output) => this.noteOutput(output)
      },
      world.mutant
    )
    disk.unsynced = this.driver.writes
    world.trace?.(`n${this.id} starts: ${describeState(this.driver.raft)}`)
    world.oracle.stepped(this, [], undefined)
  }

  crash(): void {
    const { mutant, probes, random, trace } = this.world
    const appliedBefore = this.appliedIndex
    this.appliedBefore = appliedBefore
    const { lost, torn } = this.disk.crash(random, appliedBefore)
    if (lost) probes.hit("a crash lost writes")
    if (torn) probes.hit("a crash tore a write")
    if (this.disk.restartsLog) probes.hit("a crash came between a snapshot and its log")
    if (this.disk.applied < appliedBefore) probes.hit("a crash lost applied state")
    if (mutant === "forgets its vote in a crash") {
      this.disk.hardState = { ...this.disk.hardState, votedFor: undefined }
    }
    this.driver = undefined
    this.stalledTicks = 0
    this.paused = false
    this.suspension = undefined
    this.snapshotReports = []
    this.accepted = new Map()
    trace?.(`n${this.id} crashes: log on disk ..${this.disk.lastIndex}, applied ${this.disk.applied}`)
  }

  /** The process ends and its disk is lost: it starts again with an empty one. */
  wipe(): void {
    if (this.raft !== undefined) this.crash()
    if (!this.disk.votes) this.world.probes.hit("a learner lost its disk again")
    this.disk = new SimDisk("unknown", this.disk)
    this.backup = undefined
    this.world.probes.hit("a disk was lost")
    this.world.trace?.(`n${this.id} loses its disk`)
  }

  /** The directory is copied, to be put back later. */
  backUp(): void {
    if (this.disk.votes) this.backup = this.disk.copy()
  }

  get canPutBack(): boolean {
    return this.backup !== undefined
  }

  /** The process ends, its directory becomes what it was when it was copied, and it starts again. */
  putBack(): void {
    const { backup } = this
    if (backup === undefined) return
    if (this.raft !== undefined) this.crash()
    this.world.network.loseFrom(this.id)
    this.disk = backup.copy(this.disk)
    this.disk.wasPutBack = true
    this.world.probes.hit("a directory was put back")
    this.world.trace?.(`the directory of n${this.id} is put back to ..${this.disk.lastIndex}`)
    this.start()
  }

  get isSuspended(): boolean {
    return this.suspension !== undefined
  }

  /** Whether the process runs and is not stopped. */
  get isAwake(): boolean {
    return this.raft !== undefined && !this.paused && !this.isSuspended
  }

  /** The process is suspended, as by SIGSTOP, for so many draws. What it has sent still arrives. */
  suspend(draws: number): void {
    if (this.raft === undefined || this.isSuspended) return
    const suspension = {}
    this.suspension = suspension
    this.world.timeline.after(draws, () => {
      if (this.suspension === suspension) this.wake()
    })
    this.world.probes.hit(this.raft.role === "leader" ? "a leader was suspended" : "a node was suspended")
    this.world.trace?.(`n${this.id} is suspended for ${draws} events`)
  }

  /** The process goes on. Its connections may have broken meanwhile. */
  wake(): void {
    if (!this.isSuspended) return
    this.suspension = undefined
    this.world.trace?.(`n${this.id} wakes up`)
  }

  /** Feeds one event, lets the oracle look, and carries the outputs out as far as they happen at once. */
  step(event: Event): ReadonlyArray<Output> {
    return this.awakeDriver?.step(event) ?? []
  }

  private get awakeDriver(): CoreDriver | undefined {
    return this.isSuspended ? undefined : this.driver
  }

  private stepped(event: Event, outputs: ReadonlyArray<Output>): void {
    const { raft } = this
    if (raft === undefined) return
    // What the step put out is not among the writes yet.
    if (!this.disk.unsynced.some(({ _tag }) => _tag === "Persist")) this.stalledTicks = 0
    else if (event._tag === "Tick") this.stalledTicks += 1
    this.world.steps.stepped(this, event, outputs)
    demand(
      raft.role !== "leader" || raft.peers.length === 0 || this.stalledTicks <= raft.config.maxPersistTicks,
      "a leader with a slow disk steps down",
      () => `n${this.id} leads, and its disk has finished nothing for ${this.stalledTicks} ticks`
    )
    if (this.wasLeader && raft.role === "leader" && raft.commit > raft.stable) {
      this.world.probes.hit("the leader committed before its own disk had the entry")
    }
    this.wasLeader = raft.role === "leader"
  }

  /** What is remembered or counted of an output. */
  private noteOutput(output: Output): void {
    const { probes } = this.world
    switch (output._tag) {
      case "Accepted":
        for (const at of output.ids.keys()) this.accepted.set(LogIndex(output.firstIndex + at), output.term)
        return
      case "Refused":
        if (output.reason._tag === "Overloaded") probes.hit("a proposal was refused as overloaded")
        if (output.reason._tag === "Transferring") probes.hit("a proposal was refused during a transfer")
        return
      case "ReadReady":
        return probes.hit(this.raft?.role === "leader" ? "a leader served a read" : "a follower served a read")
      case "ReadRefused":
        return probes.hit("a read was refused")
      case "DirectoryRolledBack":
        demand(
          this.disk.wasPutBack,
          "a directory that went back is noticed",
          () => `n${this.id} says that its directory went back, which it did not`
        )
        return probes.hit("a directory that went back was noticed")
      default:
        return
    }
  }

  private send(messages: ReadonlyArray<Message>): void {
    const { network, steps } = this.world
    steps.sends(this, messages)
    network.send(messages)
  }

  /** The disk finishes some of what waits. The core hears of it later. */
  sync(most: number): void {
    for (let at = 0; at < most; at++) if (this.awakeDriver?.finishWrite() !== true) return
  }

  /** The core hears that writes are durable. */
  report(): void {
    const driver = this.awakeDriver
    if (driver?.hasFinished !== true) return
    this.stalledTicks = 0
    driver.report()
  }

  /** The state machine applies some of what it was handed. */
  apply(): void {
    const driver = this.awakeDriver
    if (driver?.applying === undefined) return
    const { probes, random } = this.world
    const readsBack = driver.applying.entries === undefined
    if (readsBack) probes.hit("committed entries were read back")
    driver.apply(readsBack ? 1 + random.below(4) : undefined)
  }

  private takeIn(entries: ReadonlyArray<Entry>): void {
    const { oracle, probes } = this.world
    for (const entry of entries) {
      oracle.applies(this, entry)
      if (this.accepted.get(entry.index) === entry.term) probes.hit("a command was acknowledged")
      this.accepted.delete(entry.index)
    }
  }

  answerLogRead(): void {
    this.awakeDriver?.answerLogRead(3)
  }

  compact(): void {
    if (this.isSuspended) return
    const { compacted } = this.disk
    const through = LogIndex(compacted.index + this.world.random.below(this.appliedIndex - compacted.index + 1))
    if (through <= compacted.index || through > this.disk.lastIndex) return
    this.disk.compact(through)
    this.driver?.compacted(through)
  }

  /** What a snapshot taken now covers. */
  snapshot(): LogPoint | undefined {
    const index = this.appliedIndex
    const term = this.raft?.log.termAt(index)
    return term === undefined ? undefined : { index, term }
  }

  /** Takes over a snapshot, whatever waits for the disk. */
  install(point: LogPoint): boolean {
    const { driver } = this
    if (driver === undefined || !this.isAwake || driver.raft.role === "leader") return false
    if (point.index <= driver.applied) return true
    this.disk.install(point)
    this.world.probes.hit("a snapshot was installed")
    driver.installed(point)
    return true
  }

  reportSnapshotLater(peer: NodeId, installed: LogPoint | undefined): void {
    this.snapshotReports.push({ peer, installed })
  }

  reportSnapshot(): void {
    if (this.isSuspended) return
    const report = this.snapshotReports.shift()
    if (report !== undefined) this.driver?.reportSnapshot(report.peer, report.installed)
  }
}
