/**
 * The state of one Raft node (Raft Figure 2), and the few ways every role changes it: the term, the durable prefix
 * of the log, and the outputs gathered during one step.
 *
 * The caller of `step` owns the record, and `step` changes it in place: a copy per event would cost more than consensus
 * does.
 */
import type { Claims } from "./TermAllowance.ts"
import type { Config } from "./Config.ts"
import type { Log } from "./Log.ts"
import type { Message } from "./Message.ts"
import type { Output, Persist, Trace } from "./Output.ts"
import type { Progress } from "./Progress.ts"
import type { Random } from "./Random.ts"
import type { ForwardedReads, ReadRounds } from "./ReadIndex.ts"
import type { Entry, HardState, LogIndex, MembershipRole, NodeId, Role, Term } from "./Types.ts"
import { addIndex, maxIndex, minIndex } from "./Types.ts"

/** A `Persist` that was handed out and not confirmed yet. */
interface OutstandingPersist {
  readonly id: number
  /** Once it is durable, the log is durable at least this far. Lowered when the log is truncated below it. */
  last: LogIndex
}

/** What one step gathers before it becomes outputs. */
export interface Gathered {
  hardState: boolean
  truncateFrom: LogIndex | undefined
  entries: Array<Entry>
  /** Messages that promise durability: they leave with the persist, or after those outstanding. */
  promises: Array<Message>
  messages: Array<Message>
  outputs: Array<Output>
  /** Why the role changed, when it did. */
  reason: string
}

/** Entry bytes that were proposed here and not applied yet, for back-pressure. */
export interface Backlog {
  bytes: number
  readonly batches: Array<{ readonly last: LogIndex; readonly bytes: number }>
}

/** What only a leader knows. It ends with the leadership, so nothing in it can outlive its term. */
export interface Leadership {
  readonly progress: ReadonlyMap<NodeId, Progress>
  /** The index of the no-op that opened the term. Nothing may be read before it is committed. (thesis §6.4) */
  readonly termStart: LogIndex
  readonly reads: ReadRounds
  readonly backlog: Backlog
  /** The peers that asked to join, by the ids of their requests. Their logs were shorter than they had been. */
  readonly joins: Map<NodeId, number>
  transfer: { readonly target: NodeId; elapsed: number; asked: boolean } | undefined
  /** Ticks before another transfer may begin, after one that failed: writes are refused during each. */
  transferPause: number
  /**
   * Ticks for which a majority of the others has held more than this node's own disk, within one write of that disk.
   */
  diskBehindTicks: number
  /** Ticks of writes in which that took long. A write in which it did not takes some back. */
  diskLagTicks: number
  heartbeatElapsed: number
  /** Ticks since it last made sure that a majority still answers. */
  quorumElapsed: number
}

export interface Raft {
  readonly config: Config
  readonly peers: ReadonlyArray<NodeId>
  readonly random: Random
  readonly log: Log
  role: Role
  term: Term
  votedFor: NodeId | undefined
  leader: NodeId | undefined
  commit: LogIndex
  applied: LogIndex
  /** Every entry up to here is durable on this node. */
  stable: LogIndex
  /** The end of the `Apply` that is out, if one is. */
  applying: LogIndex | undefined
  persistId: number
  /** The persist that made, or will make, the current term and vote durable; 0 when the disk held them at the start. */
  termPersist: number
  readonly outstanding: Array<OutstandingPersist>
  /** Ticks since the oldest outstanding persist was handed out. */
  persistElapsed: number
  /**
   * Ticks since this node last had a reason to wait: a leader's word, a vote that it gave, a campaign, its own vote on
   * disk. A leader counts none, and so always trusts itself.
   */
  electionElapsed: number
  /** Ticks of `electionElapsed` at which this node campaigns. Drawn when it begins to wait, not at each heartbeat. */
  electionTimeout: number
  /**
   * Answers to this node's campaign in the present term. They count until it follows a leader or enters another term.
   */
  readonly votes: Map<NodeId, boolean>
  /** Answers to this node's pre-vote. */
  readonly preVotes: Map<NodeId, boolean>
  /** The persist that makes this candidate's vote for itself durable; the vote counts from then on. */
  ownVotePersist: number
  leadership: Leadership | undefined
  readonly forwarded: ForwardedReads
  membership: MembershipRole
  readonly join: Joining
  readonly claims: Claims
  gathered: Gathered
}

/** What a node that is no voter yet knows about becoming one. */
export interface Joining {
  /** The id of its requests. It changes when a leader has to begin again with it. */
  id: number
  /** Ticks since it last asked. */
  elapsed: number
  /** Peers that have never taken part either. */
  readonly fresh: Set<NodeId>
  /** Up to where the leader of this term said it has to learn. */
  through: LogIndex | undefined
}

export const emptyGathered = (): Gathered => ({
  hardState: false,
  truncateFrom: undefined,
  entries: [],
  promises: [],
  messages: [],
  outputs: [],
  reason: ""
})

/** V8 gives an array that grows from nothing room for 17 elements. Most steps gather one or two of a kind. */
const added = <A>(list: Array<A>, item: A): Array<A> => {
  if (list.length === 0) return [item]
  list.push(item)
  return list
}

/** Sends now: the message promises nothing that a crash could take back. */
export const send = (raft: Raft, message: Message): void => {
  raft.gathered.messages = added(raft.gathered.messages, message)
}

/** Sends once everything this node has written so far, this step included, is durable. */
export const promise = (raft: Raft, message: Message): void => {
  raft.gathered.promises = added(raft.gathered.promises, message)
}

/** Says that the log matches the leader's up to `match`, once it is durable that far. */
export const acknowledge = (raft: Raft, leader: NodeId, match: LogIndex): void =>
  promise(raft, {
    _tag: "AppendAccepted",
    from: raft.config.id,
    to: leader,
    term: raft.term,
    match,
    voter: raft.membership === "voter"
  })

export const emit = (raft: Raft, output: Output): void => {
  raft.gathered.outputs = added(raft.gathered.outputs, output)
}

export const trace = (raft: Raft, level: Trace["level"], message: string): void => {
  emit(raft, { _tag: "Trace", level, message })
}

/** Draws a new election timeout and starts to wait. Without peers there is nothing to wait for. (Raft §5.2) */
export const resetElectionTimer = (raft: Raft): void => {
  const { voters, electionTicksMin, electionTicksMax } = raft.config
  raft.electionElapsed = 0
  raft.electionTimeout = voters.length === 1 ? 1 : raft.random.between(electionTicksMin, electionTicksMax)
}

/** Whether the disk holds the present term and vote. */
export const termIsDurable = ({ outstanding, termPersist }: Raft): boolean =>
  outstanding[0] === undefined || outstanding[0].id > termPersist

/** Enters a later term, in which this node has not voted and knows no leader. (Raft §5.1) */
export const enterTerm = (raft: Raft, term: Term): void => {
  raft.term = term
  raft.votedFor = undefined
  raft.leader = undefined
  raft.votes.clear()
  raft.join.through = undefined
  raft.gathered.hardState = true
}

/** Whether this node heard from a leader recently enough to trust that it lives. (thesis §9.6, §4.2.3) */
export const trustsLeader = (raft: Raft): boolean =>
  raft.leader !== undefined && raft.electionElapsed < raft.config.electionTicksMin

/** Appends entries that follow the log's end; they are durable once this step's persist is. */
export const appendEntries = (raft: Raft, entries: ReadonlyArray<Entry>): void => {
  raft.log.append(entries)
  for (const entry of entries) raft.gathered.entries = added(raft.gathered.entries, entry)
}

/**
 * Removes the log from `index` on. Persists that are still out may cover entries that are gone now, and other entries
 * may take their place before they report; what they vouch for is lowered, so that a late report never makes
 * a new entry look durable.
 */
export const truncateFrom = (raft: Raft, index: LogIndex): void => {
  const kept = addIndex(index, -1)
  raft.log.truncateFrom(index)
  raft.gathered.truncateFrom = index
  raft.stable = minIndex(raft.stable, kept)
  for (const persist of raft.outstanding) persist.last = minIndex(persist.last, kept)
}

/** Every persist up to `persistId` is durable. */
export const persisted = (raft: Raft, persistId: number): void => {
  const { outstanding } = raft
  let done = 0
  while (done < outstanding.length && (outstanding[done] as OutstandingPersist).id <= persistId) {
    raft.stable = maxIndex(raft.stable, (outstanding[done] as OutstandingPersist).last)
    done += 1
  }
  if (done > 0) {
    outstanding.splice(0, done)
    raft.persistElapsed = 0
  }
}

/** Whether the disk has kept this node waiting for so long that it had better not lead. */
export const diskStalled = (raft: Raft): boolean =>
  raft.outstanding.length > 0 && raft.persistElapsed >= raft.config.maxPersistTicks

/**
 * Behind a disk that has stopped answering, an acknowledgement asked for at every heartbeat would pile up forever.
 * Past this many the promise is not made: like any message it may be lost, and the leader asks again.
 */
const maxOutstandingPersists = 1_024

/**
 * Turns what the step gathered into its persist and its messages. Promises wait for the disk whenever
 * a write is outstanding: what they promise may be part of it.
 */
export const flush = (raft: Raft): { readonly persist: Persist | undefined; readonly messages: Array<Message> } => {
  const { entries, hardState, promises, truncateFrom } = raft.gathered
  let { messages } = raft.gathered
  if (hardState) raft.termPersist = raft.persistId + 1
  if (messages.length > 0 && (hardState || !termIsDurable(raft))) {
    // No word leaves in a term that a crash could still take back. (Raft Figure 2: "before responding to RPCs")
    promises.push(...messages)
    messages = []
  }
  const writes = hardState || truncateFrom !== undefined || entries.length > 0
  if (!writes && raft.outstanding.length === 0) {
    for (const message of promises) messages.push(message)
    return { persist: undefined, messages }
  }
  if (!writes && (promises.length === 0 || raft.outstanding.length >= maxOutstandingPersists)) {
    return { persist: undefined, messages }
  }
  raft.persistId += 1
  raft.outstanding.push({ id: raft.persistId, last: raft.log.lastIndex })
  const persist: Persist = {
    _tag: "Persist",
    persistId: raft.persistId,
    hardState: hardState ? currentHardState(raft) : undefined,
    truncateFrom,
    entries,
    thenSend: promises
  }
  return { persist, messages }
}

/**
 * The commit hint covers durable entries only. It may reach the disk before the entries of the same persist do; after a
 * crash in between, a hint for those would commit whatever the log held in their place.
 */
const currentHardState = ({ commit, stable, membership, term, votedFor }: Raft): HardState => ({
  term,
  votedFor,
  commit: minIndex(commit, stable),
  ...(membership === "voter" ? {} : { membership })
})
