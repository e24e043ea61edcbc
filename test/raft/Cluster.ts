/**
 * A few cores in memory with everything between them in the test's hands: messages wait until they are delivered,
 * writes may wait until the disk is told to finish them.
 */
import type { Config } from "../../src/raft/Config.ts"
import { coreDefaults } from "../../src/testing/CoreDefaults.ts"
import type { Event } from "../../src/raft/Event.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Output, Persist } from "../../src/raft/Output.ts"
import type { Raft, Recovered } from "../../src/raft/Raft.ts"
import { status } from "../../src/raft/Raft.ts"
import type { Entry, HardState, LogPoint, TermRun } from "../../src/raft/Types.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import { CoreDriver } from "../../src/testing/CoreDriver.ts"

/** Short timeouts: a heartbeat each tick, an election after 10 to 19 quiet ones. */
export const configOf = (id: number, overrides: Partial<Config> = {}): Config => ({
  ...coreDefaults,
  id: NodeId(id),
  voters: [NodeId(1), NodeId(2), NodeId(3)],
  heartbeatTicks: 1,
  electionTicksMin: 10,
  electionTicksMax: 20,
  maxPersistTicks: 30,
  seed: id * 7_919,
  ...overrides
})

export const entry = (index: number, term: number, text = ""): Entry => ({
  index: LogIndex(index),
  term: Term(term),
  kind: text === "" ? "noop" : "command",
  timestampMs: 0,
  payload: new TextEncoder().encode(text)
})

export const textOf = ({ payload }: Entry): string => new TextDecoder().decode(payload)

/** A log written as the terms of its entries, as the paper draws them: `[1, 1, 2]`. */
export const logOf = (terms: ReadonlyArray<number>): Array<Entry> =>
  terms.map((term, at) => entry(at + 1, term, `${term}.${at + 1}`))

/** Where each term begins in `entries`. */
export const termRunsOf = (entries: ReadonlyArray<Entry>): Array<TermRun> => {
  const runs: Array<TermRun> = []
  for (const { index, term } of entries) {
    if (runs[runs.length - 1]?.term !== term) runs.push({ firstIndex: index, term })
  }
  return runs
}

/** What a test disk holds: the durable part of a node. */
export interface Disk {
  hardState: HardState
  compacted: Recovered["compacted"]
  entries: Array<Entry>
}

export const diskOf = (terms: ReadonlyArray<number> = [], term = terms[terms.length - 1] ?? 0, commit = 0): Disk => ({
  hardState: { term: Term(term), votedFor: undefined, commit: LogIndex(commit) },
  compacted: origin,
  entries: logOf(terms)
})

/** The disk of a node that cannot know whether the cluster is new. */
export const lostDisk = (): Disk => {
  const disk = diskOf()
  return { ...disk, hardState: { ...disk.hardState, membership: "unknown" } }
}

/** What a node that starts on `disk` finds. */
export const recover = ({ compacted, entries, hardState }: Disk, applied = compacted.index): Recovered => ({
  hardState,
  compacted,
  lastIndex: LogIndex(compacted.index + entries.length),
  termRuns: termRunsOf(entries),
  applied
})

/** Writes a persist output as a disk would. */
export const write = (disk: Disk, { entries, hardState, truncateFrom }: Persist): void => {
  if (hardState !== undefined) disk.hardState = hardState
  if (truncateFrom !== undefined) disk.entries = disk.entries.filter((held) => held.index < truncateFrom)
  disk.entries = [...disk.entries, ...entries.filter((added) => added.index > disk.compacted.index)]
}

type Tagged<Tag extends Output["_tag"]> = Extract<Output, { readonly _tag: Tag }>

/** The outputs of one kind. */
export const only = <Tag extends Output["_tag"]>(outputs: ReadonlyArray<Output>, tag: Tag): Array<Tagged<Tag>> =>
  outputs.filter((output): output is Tagged<Tag> => output._tag === tag)

/** Every message in `outputs`: those that leave now and those that wait for the disk. */
export const messagesIn = (
  outputs: ReadonlyArray<Output>
): Array<Message> => [...sentIn(outputs), ...promisedIn(outputs)]

/** The messages that leave now. */
export const sentIn = (outputs: ReadonlyArray<Output>): Array<Message> =>
  only(outputs, "Send").flatMap(({ messages }) => messages)

/** The messages that leave once this step's writes are durable. */
export const promisedIn = (outputs: ReadonlyArray<Output>): Array<Message> =>
  only(outputs, "Persist").flatMap(({ thenSend }) => thenSend)

/** One node: its process as it started last, and what outlives that. */
export class Member {
  config: Config
  disk: Disk
  driver: CoreDriver
  /** What its state machine holds, in order. */
  applied: Array<Entry> = []
  /** Everything it put out since it started. */
  outputs: Array<Output> = []
  private readonly cluster: Cluster

  constructor(cluster: Cluster, config: Config, disk: Disk) {
    this.cluster = cluster
    this.config = config
    this.disk = disk
    this.driver = this.started()
  }

  get raft(): Raft {
    return this.driver.raft
  }

  /** Writes that are on their way to the disk. */
  get writes(): ReadonlyArray<Persist> {
    return this.driver.writes.filter((output) => output._tag === "Persist")
  }

  /** Ends the process, which loses what its disk had not finished, and starts another one. */
  restart(): void {
    this.outputs = []
    this.applied = this.applied.filter(({ index }) => index <= this.disk.compacted.index)
    this.driver = this.started()
  }

  private started(): CoreDriver {
    const { cluster, config } = this
    return new CoreDriver(config, recover(this.disk), {
      disk: {
        // `installSnapshot` has restarted the log.
        write: (output) => output._tag === "Persist" && write(this.disk, output),
        at: (wanted) => this.disk.entries.find(({ index }) => index === wanted)
      },
      send: (messages) => cluster.post(messages),
      applies: (entries) => this.applied.push(...entries),
      stepped: (event, outputs) => {
        cluster.watch(config.id, event, outputs)
        this.outputs.push(...outputs)
      },
      carriedOut: (output) => this.goOn(output)
    })
  }

  /** State machine and reads of the log are prompt, and so is a disk that is not slow. */
  private goOn({ _tag }: Output): void {
    if (_tag === "Apply") this.driver.apply()
    if (_tag === "ReadLog") this.driver.answerLogRead()
    if (_tag === "Persist" && !this.cluster.slowDisks.has(this.config.id)) this.sync()
  }

  /** The disk finishes what is on its way. */
  sync(): void {
    while (this.driver.finishWrite());
    this.driver.report()
  }
}

export interface ClusterOptions {
  readonly size?: 1 | 3
  readonly config?: Partial<Config>
  /** The disks the nodes start from; empty ones by default. */
  readonly disks?: ReadonlyArray<Disk>
}

export class Cluster {
  readonly members: ReadonlyMap<number, Member>
  /** Messages on their way, oldest first. */
  inFlight: Array<Message> = []
  /** Nodes whose writes wait for `sync`. The others' disks are prompt. */
  readonly slowDisks = new Set<number>()
  /** Nodes that hear and say nothing. */
  readonly isolated = new Set<number>()
  /** Called with everything that happens, for whoever prints it. */
  watch: (id: number, event: Event, outputs: ReadonlyArray<Output>) => void = () => {}

  constructor({ config = {}, disks = [], size = 3 }: ClusterOptions = {}) {
    const ids = size === 1 ? [1] : [1, 2, 3]
    const members = new Map<number, Member>()
    for (const id of ids) {
      members.set(id, new Member(this, configOf(id, { voters: ids.map(NodeId), ...config }), disks[id - 1] ?? diskOf()))
    }
    this.members = members
  }

  member(id: number): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`there is no node ${id}`)
    return member
  }

  status(id: number): ReturnType<typeof status> {
    return status(this.member(id).raft)
  }

  /** The log of a node's disk as terms. */
  terms(id: number): Array<number> {
    return this.member(id).disk.entries.map(({ term }) => term)
  }

  /** The commands a node has applied. */
  commands(id: number): Array<string> {
    return this.member(id).applied.filter(({ kind }) => kind === "command").map(textOf)
  }

  /** Feeds one event and carries its outputs out. Answers what that step put out. */
  step(id: number, event: Event): ReadonlyArray<Output> {
    return this.member(id).driver.step(event)
  }

  /** Messages that are on their way from now on, unless their node is cut off. */
  post(messages: ReadonlyArray<Message>): void {
    for (const message of messages) {
      if (!this.isolated.has(message.from) && !this.isolated.has(message.to)) this.inFlight.push(message)
    }
  }

  /** The disk of a node finishes what is on its way. */
  sync(id: number): void {
    this.member(id).sync()
  }

  /** A node stops, loses what its disk had not finished, and starts again. */
  restart(id: number): void {
    this.member(id).restart()
  }

  /** What a node's disk holds now, to be put back later. */
  copyDisk(id: number): Disk {
    const { compacted, entries, hardState } = this.member(id).disk
    return { compacted, entries: [...entries], hardState }
  }

  /** A node stops and starts on another disk: an empty one, as after a loss, or a copy of an earlier state. */
  replaceDisk(id: number, disk: Disk = lostDisk()): void {
    const member = this.member(id)
    member.disk = disk
    // The seed differs from one start to the next, and with it the id of the node's questions.
    member.config = { ...member.config, seed: member.config.seed + 1 }
    this.drop(({ from, to }) => from === id || to === id)
    this.restart(id)
  }

  /** A node removes its log up to `through`, as after taking a snapshot. */
  compact(id: number, through: number): void {
    const { disk, raft } = this.member(id)
    const term = raft.log.termAt(LogIndex(through))
    if (term === undefined) throw new Error(`node ${id} does not hold entry ${through}`)
    disk.compacted = { index: LogIndex(through), term }
    disk.entries = disk.entries.filter(({ index }) => index > through)
    this.member(id).driver.compacted(LogIndex(through))
  }

  /** Copies the state machine of one node to another, whose log restarts behind it. Answers what it covers. */
  installSnapshot(from: number, to: number): LogPoint {
    const source = this.member(from)
    const target = this.member(to)
    const index = source.raft.applied
    const point = { index, term: source.raft.log.termAt(index) as Term }
    const agrees = target.raft.log.matches(point)
    target.applied = [...source.applied]
    target.disk.compacted = point
    target.disk.entries = agrees ? target.disk.entries.filter((held) => held.index > index) : []
    target.driver.installed(point)
    return point
  }

  tick(id: number, times = 1): void {
    for (let at = 0; at < times; at++) this.step(id, { _tag: "Tick" })
  }

  /** Ticks of all nodes, with everything delivered in between. */
  run(ticks: number): void {
    for (let at = 0; at < ticks; at++) {
      for (const id of this.members.keys()) this.tick(id)
      this.settle()
    }
  }

  /** Delivers what is on its way, and what that leads to, until nothing is. */
  settle(): void {
    for (let at = 0; this.inFlight.length > 0; at++) {
      if (at > 10_000) throw new Error("the cluster never comes to rest")
      this.deliver()
    }
  }

  /** Delivers the oldest message that `choose` accepts. */
  deliver(choose: (message: Message) => boolean = () => true): Message | undefined {
    const at = this.inFlight.findIndex(choose)
    const message = this.inFlight.splice(at, at < 0 ? 0 : 1)[0]
    if (message !== undefined && !this.isolated.has(message.to) && !this.isolated.has(message.from)) {
      this.step(message.to, { _tag: "Receive", message })
    }
    return message
  }

  /** Loses the messages that `choose` accepts. */
  drop(choose: (message: Message) => boolean = () => true): void {
    this.inFlight = this.inFlight.filter((message) => !choose(message))
  }

  /** Cuts a node off, and loses what was on its way to and from it. */
  isolate(id: number): void {
    this.isolated.add(id)
    this.drop(({ from, to }) => from === id || to === id)
  }

  heal(): void {
    this.isolated.clear()
  }

  /** Ticks one node until it asks for pre-votes. The others have not heard from a leader for long enough to answer. */
  timeout(id: number): void {
    for (const [other, { config, raft }] of this.members) {
      if (other !== id && raft.role !== "leader") raft.electionElapsed = config.electionTicksMin
    }
    const { raft } = this.member(id)
    for (let at = 0; raft.role === "follower" || at === 0; at++) {
      if (at > 100) throw new Error(`node ${id} never campaigns`)
      this.tick(id)
    }
  }

  /** Makes a node campaign, delivers everything, and demands that it wins. */
  elect(id: number): void {
    this.timeout(id)
    this.settle()
    const { role, term } = this.status(id)
    if (role !== "leader") throw new Error(`node ${id} did not win: it is a ${role} in term ${term}`)
  }

  propose(id: number, ...texts: ReadonlyArray<string>): ReadonlyArray<Output> {
    return this.step(id, {
      _tag: "Propose",
      proposals: texts.map((text, at) => ({ id: at + 1, payload: new TextEncoder().encode(text) })),
      nowMs: 0
    })
  }
}
