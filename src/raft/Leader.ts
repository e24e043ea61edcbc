/** A leader: begins its term, appends, commits, and proves that it still leads. (Raft §5.3, §5.4, thesis §6.2) */
import { entryBytes } from "./Config.ts"
import type { Propose } from "./Event.ts"
import { becomeFollower } from "./Follower.ts"
import { heartbeatAll, read, startReads } from "./Heartbeats.ts"
import type { AppendAccepted, JoinRequest } from "./Message.ts"
import { Progress } from "./Progress.ts"
import { committedIndex, majority } from "./Quorum.ts"
import { ReadRounds } from "./ReadIndex.ts"
import { replicate, replicateToAll } from "./Replication.ts"
import type { Backlog, Leadership, Raft } from "./State.ts"
import { appendEntries, diskStalled, emit, trace } from "./State.ts"
import { bestFollower, completeTransfer, tickTransfer, transferLeadership } from "./Transfer.ts"
import type { Entry, LogIndex } from "./Types.ts"
import { addIndex, LogIndex as toIndex, maxIndex } from "./Types.ts"

/**
 * Becomes leader: opens the term with an entry of its own, because only entries of its own term tell a leader
 * what is committed. (Raft §5.4.2, §8)
 */
export const becomeLeader = (raft: Raft, reason: string): void => {
  const start = addIndex(raft.log.lastIndex, 1)
  const leadership: Leadership = {
    progress: new Map(raft.peers.map((peer) => [peer, new Progress(start)])),
    termStart: start,
    reads: new ReadRounds(),
    backlog: { bytes: 0, batches: [] },
    joins: new Map(),
    transfer: undefined,
    transferPause: 0,
    diskBehindTicks: 0,
    diskLagTicks: 0,
    heartbeatElapsed: 0,
    quorumElapsed: 0
  }
  raft.role = "leader"
  raft.leader = raft.config.id
  raft.leadership = leadership
  raft.votes.clear()
  raft.electionElapsed = 0
  raft.gathered.reason = reason
  appendEntries(raft, [{ index: start, term: raft.term, kind: "noop", timestampMs: 0, payload: new Uint8Array(0) }])
  replicateToAll(raft, leadership)
}

/** Appends the commands of one turn together; what exceeds the limit is refused, in order. */
export const propose = (raft: Raft, leadership: Leadership, { nowMs, proposals }: Propose): void => {
  const ids = proposals.map((proposal) => proposal.id)
  if (leadership.transfer !== undefined) {
    return emit(raft, {
      _tag: "Refused",
      ids,
      reason: { _tag: "Transferring", target: leadership.transfer.target }
    })
  }
  const { backlog } = leadership
  const limitBytes = raft.config.maxUncommittedBytes
  const firstIndex = addIndex(raft.log.lastIndex, 1)
  const entries: Array<Entry> = []
  let bytes = 0
  for (const { decoded, payload } of proposals) {
    const more = entryBytes({ payload })
    const waiting = backlog.bytes + bytes
    // However large, one command is taken when nothing waits: otherwise it could never be.
    if (waiting > 0 && waiting + more > limitBytes) break
    bytes += more
    entries.push({
      index: addIndex(firstIndex, entries.length),
      term: raft.term,
      kind: "command",
      timestampMs: nowMs,
      payload,
      decoded
    })
  }
  const last = entries[entries.length - 1]
  if (last !== undefined) {
    backlog.bytes += bytes
    backlog.batches.push({ last: last.index, bytes })
    emit(raft, { _tag: "Accepted", ids: ids.slice(0, entries.length), firstIndex, term: raft.term })
    appendEntries(raft, entries)
    replicateToAll(raft, leadership)
  }
  if (entries.length < ids.length) {
    emit(raft, {
      _tag: "Refused",
      ids: ids.slice(entries.length),
      reason: { _tag: "Overloaded", uncommittedBytes: backlog.bytes, limitBytes }
    })
  }
}

/** Commands up to `applied` wait no more. */
export const relieve = (backlog: Backlog, applied: LogIndex): void => {
  let done = 0
  for (const batch of backlog.batches) {
    if (batch.last > applied) break
    backlog.bytes -= batch.bytes
    done += 1
  }
  if (done > 0) backlog.batches.splice(0, done)
}

export const receiveAppendAccepted = (raft: Raft, leadership: Leadership, message: AppendAccepted): void => {
  const progress = leadership.progress.get(message.from)
  if (progress === undefined) return
  progress.answered(message.voter)
  if (progress.state === "snapshot" && message.match >= raft.log.compacted.index) progress.becomeProbe()
  progress.accepted(message.match)
  if (message.voter) progress.acknowledged = maxIndex(progress.acknowledged, message.match)
  // `step` does this as well, but after what is sent below, which is to carry the new commit index.
  advanceCommit(raft, leadership)
  completeTransfer(raft, leadership)
  replicate(raft, message.from, progress)
}

/**
 * A node that is no voter wants to be one: its disk was lost or is older than what it acknowledged, so what this leader
 * believed about its log is void. The answer tells it how far to learn, and waits for a round, so that another voter
 * confirms it.
 */
export const receiveJoinRequest = (raft: Raft, leadership: Leadership, { from, joinId }: JoinRequest): void => {
  const progress = leadership.progress.get(from)
  if (progress === undefined) return
  progress.answered(false)
  if (leadership.joins.get(from) !== joinId) {
    leadership.joins.set(from, joinId)
    progress.restart(addIndex(raft.log.lastIndex, 1))
    trace(raft, "info", `node ${from} is no voter and starts to learn: its disk was lost or went back`)
    replicate(raft, from, progress)
  }
  if (!leadership.reads.holds(from, joinId)) read(raft, leadership, { node: from, readId: joinId, join: true })
}

/**
 * Commits what a majority of voters holds durably, and only entries of this term by counting: an older entry on a
 * majority can still be replaced. (Raft §5.4.2, Figure 8)
 */
export const advanceCommit = (raft: Raft, leadership: Leadership): void => {
  if (raft.commit === raft.log.lastIndex) return
  const held = committedIndex(heldByVoters(leadership, raft.stable))
  if (held <= raft.commit || raft.log.termAt(held) !== raft.term) return
  raft.commit = held
  startReads(raft, leadership)
}

/** What every voter holds durably, this leader's own disk taken to hold `own`. */
const heldByVoters = (leadership: Leadership, own: LogIndex): Array<LogIndex> => {
  const held = [own]
  for (const progress of leadership.progress.values()) held.push(progress.acknowledged)
  return held
}

/** One tick of a leader. */
export const tickLeader = (raft: Raft, leadership: Leadership): void => {
  const { electionTicksMin, heartbeatTicks } = raft.config
  for (const progress of leadership.progress.values()) progress.silentTicks += 1
  leadership.quorumElapsed += 1
  if (leadership.quorumElapsed >= electionTicksMin) {
    leadership.quorumElapsed = 0
    if (!heardMajority(raft, leadership)) {
      return becomeFollower(raft, raft.term, undefined, "no majority answered for a whole election timeout")
    }
  }
  if (diskStalled(raft) && raft.peers.length > 0) {
    return becomeFollower(
      raft,
      raft.term,
      undefined,
      `the disk has not finished a write for ${raft.persistElapsed} ticks`
    )
  }
  tickTransfer(raft, leadership)
  handOverSlowDisk(raft, leadership)
  leadership.heartbeatElapsed += 1
  if (leadership.heartbeatElapsed >= heartbeatTicks) {
    leadership.heartbeatElapsed = 0
    heartbeatAll(raft, leadership)
  }
}

/** Whether a majority of the voters, this node included, was heard from within an election timeout. (thesis §6.2) */
const heardMajority = (raft: Raft, leadership: Leadership): boolean => {
  let heard = 1
  for (const progress of leadership.progress.values()) {
    if (progress.heardWithin(raft.config.electionTicksMin)) heard += 1
  }
  return heard >= majority(raft.config.voters.length)
}

/**
 * A leader whose own disk is far slower than the followers' hands leadership over, because nothing is applied before
 * it is durable here. "Far slower" is a majority of the others that has held an entry for a heartbeat interval before
 * this disk has it, and that for an election timeout in total. Disks that are as slow as each other finish in any
 * order, and a write in which this one is not far behind takes a heartbeat interval back.
 */
const handOverSlowDisk = (raft: Raft, leadership: Leadership): void => {
  const { config, outstanding, persistElapsed, stable } = raft
  const behind = outstanding.length > 0 && raft.peers.length > 0 &&
    committedIndex(heldByVoters(leadership, toIndex(0))) > stable
  leadership.diskBehindTicks = behind ? leadership.diskBehindTicks + 1 : 0
  if (leadership.diskBehindTicks < config.heartbeatTicks) return
  leadership.diskLagTicks += 1
  if (leadership.diskLagTicks < config.electionTicksMin || leadership.transfer !== undefined) return
  leadership.diskLagTicks = 0
  const target = bestFollower(raft, leadership)
  if (target === undefined) return
  trace(raft, "warning", `its disk has not finished in ${persistElapsed} ticks what a majority of the others holds`)
  transferLeadership(raft, leadership, target)
}

/** The leader's own disk finished a write: with the others' disks, or long after them. */
export const ownWriteFinished = (raft: Raft, leadership: Leadership): void => {
  const { heartbeatTicks } = raft.config
  if (leadership.diskBehindTicks < heartbeatTicks) {
    leadership.diskLagTicks = Math.max(0, leadership.diskLagTicks - heartbeatTicks)
  }
  leadership.diskBehindTicks = 0
}
