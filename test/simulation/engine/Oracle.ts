/**
 * Knows what all nodes did and checks after every step what Raft promises of them together. (Figure 3) What a node can
 * check alone is in `src/raft/Invariants.ts`.
 */
import type { Event } from "../../../src/raft/Event.ts"
import type { Message } from "../../../src/raft/Message.ts"
import type { Output, PeerViolation, Persist } from "../../../src/raft/Output.ts"
import type { Raft } from "../../../src/raft/Raft.ts"
import type { Entry, HardState, LogIndex, LogPoint, NodeId, Term } from "../../../src/raft/Types.ts"
import type { TermFlips } from "./TermFlips.ts"
import { mostTerms } from "./TermFlips.ts"

/** What a disk keeps through any crash. */
export interface ObservedDisk {
  readonly hardState: HardState
  /** The last entry that is gone from the log, by compaction or because a snapshot stands for it. */
  readonly base: LogPoint
  readonly lastIndex: LogIndex
  /** The term of the entry at an index, also of the one that compaction removed last. */
  readonly termAt: (index: number) => Term | undefined
  /** What the node held before its disk was lost: it had kept its word then. */
  readonly before: ObservedDisk | undefined
}

/** A node, whatever it is made of. */
export interface ObservedNode {
  readonly id: NodeId
  readonly disk: ObservedDisk
  readonly raft: Raft | undefined
  /** How often it was started. */
  readonly runs: number
  /** How far the oracle has looked. */
  seenCommit: number
}

export type Property =
  | "election safety"
  | "leader append-only"
  | "log matching"
  | "leader completeness"
  | "state machine safety"
  | "committed on a durable quorum"
  | "one vote per term"
  | "acknowledged only when durable"
  | "acknowledged only what matches"
  | "linearizable reads"
  | "appears at most once"
  | "bounded memory"
  | "durable term and vote"
  | "convergence"
  | "the answer is the model's"
  | "real-time order"
  | "an error says what is known"
  | "a write appears once per attempt"
  | "watch without gaps"
  | "a lease keeps its time"
  | "stale reads do not go back"
  | "identical states"
  | "no node stops without a cause"
  | "a leader with a slow disk steps down"
  | "a failed write stops the node"
  | "damage is never silent"
  | "a voter holds what it acknowledged"
  | "a directory that went back is noticed"
  | "a term counts elections"
  | "no node is accused without a cause"
  | "a jump of ticks does what single ticks do"
  | "the seed alone decides"
  | "all nodes know the level"
  | "a command waits for its level"
  | "levels never go back"
  | "no node runs below the level"
  | "no caller acts without a right"
  | "no caller is refused with a right"
  | "a repeated command has its answer"

export class Violation extends Error {
  readonly property: Property

  constructor(property: Property, detail: string) {
    super(`${property}: ${detail}`)
    this.name = "Violation"
    this.property = property
  }
}

export function demand(holds: boolean, property: Property, detail: () => string): asserts holds {
  if (!holds) throw new Violation(property, detail())
}

const textOf = ({ payload }: Entry): string =>
  Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("latin1")

export class Oracle {
  private readonly leaders = new Map<Term, number>()
  /** Votes that left a node, by `term * 10 + node`, with the disk that remembers them. */
  private readonly votes = new Map<number, { readonly candidate: number; readonly disk: ObservedDisk }>()
  /** Every entry anybody ever wrote, by `index/term`: the term before it and what it carries. */
  private readonly written = new Map<string, string>()
  /** The term of every committed entry, by index. */
  private readonly committed: Array<Term | undefined> = []
  /** By the term of the leader that committed: how far. */
  private readonly commits = new Map<Term, LogIndex>()
  private readonly applied: Array<string | undefined> = []
  /** The disks of nodes that lost one and are no voters yet. */
  private readonly nonVoters = new Map<NodeId, ObservedDisk>()
  private readonly places = new Map<string, number>()
  /** Reads that wait, and what was committed anywhere when they were asked. */
  private readonly reads = new Map<string, number>()
  readonly nodes: ReadonlyArray<ObservedNode>
  private readonly repeats: boolean
  private readonly flips: TermFlips

  /** `repeats` says that clients may send a command again, so that it may be in the log several times. */
  constructor(
    nodes: ReadonlyArray<ObservedNode>,
    flips: TermFlips,
    options: { readonly repeats: boolean } = { repeats: false }
  ) {
    this.nodes = nodes
    this.flips = flips
    this.repeats = options.repeats
  }

  get commitIndex(): number {
    return Math.max(0, this.committed.length - 1)
  }

  /** After one step of a node: what it put out, and where it stands. */
  stepped(node: ObservedNode, outputs: ReadonlyArray<Output>, event: Event | undefined): void {
    const { raft } = node
    if (raft === undefined) return
    if (event?._tag === "ReadIndex") this.asks(node, event.readId)
    if (event?._tag === "Receive") this.received(node, outputs, event.message)
    for (const output of outputs) {
      if (output._tag === "Persist") this.persists(node, output)
      else if (output._tag === "RoleChanged" && output.role === "leader") this.leads(node)
      else if (output._tag === "ReadReady") this.readsServed(node, output.readIds, output.index)
      else if (output._tag === "PeerViolation") this.accuses(node, output, event)
    }
    this.commitsOf(node)
    this.becomesVoter(node)
    demand(raft.term < mostTerms, "a term counts elections", () => `n${node.id} is in term ${raft.term}`)
    demand(
      raft.log.windowBytes <= raft.config.maxCachedBytes || raft.log.windowFirst > raft.stable,
      "bounded memory",
      () => `n${node.id} holds ${raft.log.windowBytes} bytes`
    )
  }

  /** Every node here follows Raft, so only what changed in flight is wrong. */
  private accuses({ id }: ObservedNode, { claim, peer }: PeerViolation, event: Event | undefined): void {
    demand(
      event?._tag === "Receive" && this.flips.has(event.message),
      "no node is accused without a cause",
      () => `n${id} accuses n${peer}: ${claim}`
    )
  }

  /** A read is confirmed by a voter, and a node whose leader remembers more than its log holds is no voter. */
  private received(node: ObservedNode, outputs: ReadonlyArray<Output>, message: Message): void {
    const { raft } = node
    if (message._tag === "HeartbeatResponse") {
      demand(
        message.voter || !outputs.some(({ _tag }) => _tag === "ReadReady"),
        "linearizable reads",
        () => `n${node.id} serves a read because n${message.from} answers, which is no voter`
      )
    } else if (message._tag === "Heartbeat" && raft !== undefined && raft.term === message.term) {
      const { index, term } = message.match
      demand(
        raft.membership !== "voter" || index <= raft.log.compacted.index || raft.log.termAt(index) === term,
        "a directory that went back is noticed",
        () => `n${node.id} votes without ${index}@${term}, which its leader knows that it acknowledged`
      )
    }
  }

  private persists(node: ObservedNode, { entries, truncateFrom }: Persist): void {
    const { raft } = node
    demand(
      raft?.role !== "leader" || truncateFrom === undefined,
      "leader append-only",
      () => `n${node.id} leads and truncates from ${truncateFrom}`
    )
    for (const [at, entry] of entries.entries()) {
      const before = at === 0 ? raft?.log.termAt((entry.index - 1) as LogIndex) : entries[at - 1]?.term
      const key = `${entry.index}/${entry.term}`
      const value = `${before} ${textOf(entry)}`
      const known = this.written.get(key)
      if (known === undefined) this.written.set(key, value)
      else demand(known === value, "log matching", () => `n${node.id} has ${value} at ${key}, another ${known}`)
    }
  }

  private leads(node: ObservedNode): void {
    const { raft } = node
    if (raft === undefined) return
    const { log, term } = raft
    const other = this.leaders.get(term)
    demand(other === undefined || other === node.id, "election safety", () => `n${other}, n${node.id} lead ${term}`)
    this.leaders.set(term, node.id)
    for (const [earlier, index] of this.commits) {
      if (earlier >= term || index < log.compacted.index) continue
      demand(
        log.termAt(index) === this.committed[index],
        "leader completeness",
        () => `n${node.id} leads ${term} without entry ${index}, committed in ${earlier}`
      )
    }
  }

  /**
   * A node that lost its disk is a voter again: committed entries that it acknowledged before are durable there again.
   */
  private becomesVoter({ disk, id }: ObservedNode): void {
    if (!votes(disk)) {
      this.nonVoters.set(id, disk)
      return
    }
    const learned = this.nonVoters.get(id) === disk
    this.nonVoters.delete(id)
    if (!learned || disk.before === undefined) return
    for (const [index, term] of this.committed.entries()) {
      if (term === undefined || !held(disk.before, { index: index as LogIndex, term })) continue
      demand(
        holds(disk, { index: index as LogIndex, term }),
        "a voter holds what it acknowledged",
        () => `n${id} is a voter again and lacks entry ${index}, which it held before and which is committed`
      )
    }
  }

  private commitsOf(node: ObservedNode): void {
    const { raft } = node
    if (raft === undefined || raft.commit <= node.seenCommit) return
    const { commit, log } = raft
    for (let index = node.seenCommit + 1; index <= commit; index++) {
      const term = log.termAt(index as LogIndex)
      if (term === undefined || index < log.firstIndex) continue
      const known = this.committed[index]
      if (known === undefined) {
        this.committed[index] = term
        const holders = this.nodes.filter(({ disk }) => held(disk, { index: index as LogIndex, term }))
        demand(
          holders.length * 2 > this.nodes.length,
          "committed on a durable quorum",
          () => `n${node.id} commits ${index}, which only ${holders.map(({ id }) => `n${id}`).join(" ")} hold as voters`
        )
        demand(
          raft.role === "leader",
          "state machine safety",
          () => `n${node.id} commits ${index}@${term}, which no leader has committed`
        )
      } else {
        demand(known === term, "state machine safety", () => `n${node.id} commits ${index}@${term}, others @${known}`)
      }
    }
    if (raft.role === "leader") this.commits.set(raft.term, commit)
    node.seenCommit = commit
  }

  applies(node: ObservedNode, entry: Entry): void {
    const { index } = entry
    const text = `${entry.term} ${textOf(entry)}`
    const known = this.applied[index]
    demand(
      known === undefined || known === text,
      "state machine safety",
      () => `n${node.id} applies "${text}" at ${index}, another node "${known}"`
    )
    demand(this.committed[index] === entry.term, "state machine safety", () => `n${node.id} applies ${index} early`)
    this.applied[index] = text
    if (entry.kind === "noop" || this.repeats) return
    const place = this.places.get(textOf(entry))
    demand(place === undefined || place === index, "appears at most once", () => `${text} at ${place} and ${index}`)
    this.places.set(textOf(entry), index)
  }

  /** A message leaves a node: what it promises must be on the node's disk. */
  leaves(node: ObservedNode, message: Message): void {
    const { disk } = node
    demand(
      message.term <= durableTerm(disk) || message._tag === "PreVoteRequest" || message._tag === "PreVoteResponse",
      "durable term and vote",
      () => `n${node.id} says ${message._tag} in ${message.term}, its disk is in ${disk.hardState.term}`
    )
    if (message._tag === "VoteRequest") this.votesFor(node, message.term, node.id)
    else if (message._tag === "VoteResponse" && message.granted) this.votesFor(node, message.term, message.to)
    else if (message._tag === "AppendAccepted") {
      demand(
        disk.lastIndex >= message.match && durableTerm(disk) >= message.term,
        "acknowledged only when durable",
        () => `n${node.id} acknowledges ${message.match}, its disk ends at ${disk.lastIndex}`
      )
      const leader = this.nodes[message.to - 1]?.raft
      if (leader?.role !== "leader" || leader.term !== message.term) return
      const own = disk.termAt(message.match)
      const theirs = leader.log.termAt(message.match)
      demand(
        own === undefined || theirs === undefined || own === theirs,
        "acknowledged only what matches",
        () => `n${node.id} acknowledges ${message.match}@${own}, its leader has @${theirs}`
      )
    }
  }

  private votesFor(node: ObservedNode, term: Term, candidate: number): void {
    const { hardState } = node.disk
    demand(
      hardState.term > term || hardState.term === term && hardState.votedFor === candidate,
      "durable term and vote",
      () => `n${node.id} votes for n${candidate} in ${term}, its disk says n${hardState.votedFor} in ${hardState.term}`
    )
    const key = term * 10 + node.id
    const earlier = this.votes.get(key)
    // A campaign ends with the disk of its candidate. If it had not been won, the vote of the candidate elects no
    // leader.
    const forgotten = earlier !== undefined && earlier.candidate === node.id && earlier.disk !== node.disk &&
      this.leaders.get(term) !== node.id
    demand(
      earlier === undefined || earlier.candidate === candidate || forgotten,
      "one vote per term",
      () => `n${node.id} votes for n${earlier?.candidate} and n${candidate} in ${term}`
    )
    this.votes.set(key, { candidate, disk: node.disk })
  }

  asks(node: ObservedNode, readId: number): void {
    this.reads.set(readName(node, readId), this.commitIndex)
  }

  readsServed(node: ObservedNode, readIds: ReadonlyArray<number>, index: number): void {
    for (const readId of readIds) {
      const read = readName(node, readId)
      const floor = this.reads.get(read)
      demand(floor !== undefined, "linearizable reads", () => `read ${read} is answered twice, or was never asked`)
      demand(index >= (floor ?? 0), "linearizable reads", () => `read ${read} at ${index}, ${floor} was committed`)
      this.reads.delete(read)
    }
  }
}

/** A node counts its reads from the beginning whenever it is started. */
const readName = ({ id, runs }: ObservedNode, readId: number): string => `${readId} of n${id} in run ${runs}`

/** The term a disk is in, or was in before it was damaged under a node that goes on. */
const durableTerm = ({ before, hardState }: ObservedDisk): Term =>
  before === undefined ? hardState.term : maxTerm(hardState.term, before.hardState.term)

const maxTerm = (a: Term, b: Term): Term => (a > b ? a : b)

/** Whether a disk is that of a voter. */
const votes = ({ hardState }: ObservedDisk): boolean => hardState.membership === undefined

/** Whether a node holds an entry durably as a voter, or did until its disk was lost. */
const held = (disk: ObservedDisk, point: LogPoint): boolean =>
  votes(disk) && holds(disk, point) || disk.before !== undefined && held(disk.before, point)

const holds = (disk: ObservedDisk, { index, term }: LogPoint): boolean =>
  disk.base.index >= index || disk.termAt(index) === term
