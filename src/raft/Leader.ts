/**
 * A leader: appends, replicates, commits, proves that it still leads, hands over. (Raft §5.3, §5.4, thesis §3.10, §6.4)
 */
import { entryBytes } from "./Config.ts"
import type { LogRead, Propose, SnapshotReported } from "./Event.ts"
import { becomeFollower, refuseRead } from "./Follower.ts"
import type { AppendAccepted, AppendRejected, HeartbeatResponse, JoinRequest, ReadIndexRequest } from "./Message.ts"
import { Progress } from "./Progress.ts"
import { committedIndex, majority } from "./Quorum.ts"
import type { Reader } from "./ReadIndex.ts"
import { ReadRounds } from "./ReadIndex.ts"
import type { Backlog, Leadership, Raft } from "./State.ts"
import { appendEntries, diskStalled, emit, send, trace } from "./State.ts"
import type { Entry, LogIndex, NodeId } from "./Types.ts"
import { addIndex, LogIndex as toIndex, maxIndex, minIndex, origin } from "./Types.ts"

/**
 * Takes office: opens the term with an entry of its own, because only entries of its own term tell a leader
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
  appendEntries(raft, [{ index: start, term: raft.term, kind: "noop", stampMs: 0, payload: new Uint8Array(0) }])
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
  for (const { payload } of proposals) {
    const more = entryBytes({ payload })
    const waiting = backlog.bytes + bytes
    // However large, one command is taken when nothing waits: otherwise it could never be.
    if (waiting > 0 && waiting + more > limitBytes) break
    bytes += more
    entries.push({
      index: addIndex(firstIndex, entries.length),
      term: raft.term,
      kind: "command",
      stampMs: nowMs,
      payload
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

const replicateToAll = (raft: Raft, leadership: Leadership): void => {
  for (const [peer, progress] of leadership.progress) replicate(raft, peer, progress)
}

/** Sends `peer` what it lacks, as far as its window allows. In `probe` that is one append, even an empty one. */
const replicate = (raft: Raft, peer: NodeId, progress: Progress): void => {
  const { config, log } = raft
  while (progress.canSend(config)) {
    const { next } = progress
    if (next > log.lastIndex && progress.state === "replicate") return
    if (log.termAt(addIndex(next, -1)) === undefined) {
      progress.becomeSnapshot()
      return emit(raft, { _tag: "SendSnapshot", peer, term: raft.term, atLeast: log.compacted })
    }
    const entries = next > log.lastIndex
      ? []
      : log.slice(next, log.lastIndex, config.maxAppendBytes, config.maxAppendEntries)
    if (entries === undefined) {
      progress.reading = true
      const through = minIndex(addIndex(log.windowFirst, -1), addIndex(next, config.maxAppendEntries - 1))
      return emit(raft, {
        _tag: "ReadLog",
        peer,
        term: raft.term,
        from: next,
        through,
        maxBytes: config.maxAppendBytes
      })
    }
    sendAppend(raft, peer, progress, entries)
  }
}

/** AppendEntries, sender's side: `entries` follow `progress.next - 1`, which the log holds. */
const sendAppend = (raft: Raft, peer: NodeId, progress: Progress, entries: ReadonlyArray<Entry>): void => {
  const prevIndex = addIndex(progress.next, -1)
  const prevTerm = raft.log.termAt(prevIndex)
  if (prevTerm === undefined) return
  let bytes = 0
  for (const entry of entries) bytes += entryBytes(entry)
  send(raft, {
    _tag: "AppendRequest",
    from: raft.config.id,
    to: peer,
    term: raft.term,
    prev: { index: prevIndex, term: prevTerm },
    entries,
    commit: raft.commit
  })
  progress.sent(addIndex(prevIndex, entries.length), bytes)
}

/** Entries that had left memory arrive from the disk. */
export const logRead = (raft: Raft, leadership: Leadership, event: LogRead): void => {
  const progress = leadership.progress.get(event.peer)
  if (event.term !== raft.term || progress === undefined || !progress.reading) return
  progress.reading = false
  if (event.entries.length === 0) {
    // Compacted in the meantime; the next heartbeat's answer tries again and finds out.
    if (progress.state === "probe") progress.probing = true
    return
  }
  if (event.from === progress.next && progress.canSend(raft.config)) {
    sendAppend(raft, event.peer, progress, event.entries)
  }
  replicate(raft, event.peer, progress)
}

export const receiveAppendAccepted = (raft: Raft, leadership: Leadership, message: AppendAccepted): void => {
  const progress = leadership.progress.get(message.from)
  if (progress === undefined) return
  progress.answered(message.voter)
  if (progress.state === "snapshot" && message.match >= raft.log.compacted.index) progress.becomeProbe()
  progress.accepted(message.match)
  if (message.voter) progress.acknowledged = maxIndex(progress.acknowledged, message.match)
  advanceCommit(raft, leadership)
  completeTransfer(raft, leadership)
  replicate(raft, message.from, progress)
}

/** Goes back to where the logs may agree, a whole term at a time. (Raft §5.3, end) */
export const receiveAppendRejected = (raft: Raft, leadership: Leadership, message: AppendRejected): void => {
  const progress = leadership.progress.get(message.from)
  if (progress === undefined) return
  progress.answered(message.voter)
  const agreed = raft.log.lastPointAtMost(message.hint.index, message.hint.term)
  if (!progress.rejected(message.rejected, agreed.index)) return
  trace(
    raft,
    "debug",
    `node ${message.from} refused entries after ${message.rejected} (its log ends at ${message.lastIndex}); ` +
      `goes back to ${progress.next}`
  )
  replicate(raft, message.from, progress)
}

/**
 * Commits what a majority of voters holds durably, and only entries of this term by counting: an older entry on a
 * majority can still be replaced. (Raft §5.4.2, Figure 8)
 */
export const advanceCommit = (raft: Raft, leadership: Leadership): void => {
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

const sendHeartbeat = (raft: Raft, leadership: Leadership, peer: NodeId, progress: Progress): void => {
  const matchTerm = raft.log.termAt(progress.match)
  const match = matchTerm === undefined ? origin : { index: progress.match, term: matchTerm }
  send(raft, {
    _tag: "Heartbeat",
    from: raft.config.id,
    to: peer,
    term: raft.term,
    match,
    commit: minIndex(raft.commit, match.index),
    readRound: leadership.reads.newest
  })
}

const heartbeatAll = (raft: Raft, leadership: Leadership): void => {
  for (const [peer, progress] of leadership.progress) sendHeartbeat(raft, leadership, peer, progress)
}

export const receiveHeartbeatResponse = (raft: Raft, leadership: Leadership, message: HeartbeatResponse): void => {
  const progress = leadership.progress.get(message.from)
  if (progress === undefined) return
  progress.answered(message.voter)
  if (message.voter) {
    leadership.reads.answered(message.from, message.readRound)
    confirmReads(raft, leadership)
  }
  // The connection works, so a probe that was not answered by now was lost.
  progress.probing = false
  const { held } = progress
  const stuck = held < raft.log.lastIndex && held === progress.heldAtHeartbeat
  progress.heldAtHeartbeat = held
  if (stuck && progress.state === "replicate" && !progress.reading) {
    // An empty append past the window makes the follower say what it lacks, in case the window's last append was lost.
    // Where the log was compacted past the window in the meantime, there is nothing to ask about any more.
    if (raft.log.termAt(addIndex(progress.next, -1)) === undefined) progress.becomeProbe()
    else sendAppend(raft, message.from, progress, [])
  }
  replicate(raft, message.from, progress)
}

/** Adds a read of this node's clients, or one a follower passed on. */
export const read = (raft: Raft, leadership: Leadership, reader: Reader): void => {
  if (leadership.reads.waiting >= raft.config.maxPendingReads) return refuse(raft, reader)
  leadership.reads.add(reader)
  startReads(raft, leadership)
}

export const receiveReadIndexRequest = (raft: Raft, leadership: Leadership, message: ReadIndexRequest): void =>
  read(raft, leadership, { node: message.from, readId: message.readId })

const refuse = (raft: Raft, { join, node, readId }: Reader): void => {
  if (join === true) return
  if (node === raft.config.id) emit(raft, { _tag: "ReadRefused", readIds: [readId], leader: raft.leader })
  else refuseRead(raft, node, readId)
}

/**
 * Starts a round unless one is out. Before an own-term commit a leader does not know what is committed. (thesis §6.4)
 */
const startReads = (raft: Raft, leadership: Leadership): void => {
  if (raft.commit < leadership.termStart) return
  if (!leadership.reads.start(raft.commit)) return
  if (raft.peers.length === 0) confirmReads(raft, leadership)
  else heartbeatAll(raft, leadership)
}

const confirmReads = (raft: Raft, leadership: Leadership): void => {
  const confirmed = leadership.reads.takeConfirmed(majority(raft.config.voters.length) - 1)
  if (confirmed === undefined) return
  const own: Array<number> = []
  for (const { join, node, readId } of confirmed.readers) {
    if (join === true) tellToLearn(raft, node, readId)
    else if (node === raft.config.id) own.push(readId)
    else answerRead(raft, leadership, node, readId, confirmed.index)
  }
  if (own.length > 0) emit(raft, { _tag: "ReadReady", readIds: own, index: confirmed.index })
  startReads(raft, leadership)
}

/** The heartbeat in front tells the follower how far it may apply, which is what its read waits for. */
const answerRead = (raft: Raft, leadership: Leadership, to: NodeId, readId: number, index: LogIndex): void => {
  const progress = leadership.progress.get(to)
  if (progress === undefined) return
  sendHeartbeat(raft, leadership, to, progress)
  send(raft, { _tag: "ReadIndexResponse", from: raft.config.id, to, term: raft.term, readId, index })
}

/**
 * A node that is no voter wants to be one: its disk was lost or is older than what it acknowledged, so what this leader
 * believed about its log is void. The answer tells it how far to learn, and waits for a round, so that another voter
 * stands behind it.
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

const tellToLearn = (raft: Raft, to: NodeId, joinId: number): void =>
  send(raft, {
    _tag: "JoinResponse",
    from: raft.config.id,
    to,
    term: raft.term,
    joinId,
    fresh: false,
    learnThrough: raft.log.lastIndex
  })

/** One tick in office. */
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
  if (leadership.transferPause > 0) leadership.transferPause -= 1
  const { transfer } = leadership
  if (transfer !== undefined && ++transfer.elapsed >= electionTicksMin) {
    leadership.transfer = undefined
    leadership.transferPause = electionTicksMin
    trace(raft, "warning", `gives up handing leadership to node ${transfer.target}: it did not take over in time`)
  }
  handOverSlowDisk(raft, leadership)
  leadership.heartbeatElapsed += 1
  if (leadership.heartbeatElapsed >= heartbeatTicks) {
    leadership.heartbeatElapsed = 0
    heartbeatAll(raft, leadership)
  }
}

/** Whether a voter was heard from within the shortest election timeout. */
const isHeard = (raft: Raft, { silentTicks }: Progress): boolean => silentTicks <= raft.config.electionTicksMin

/** Whether a majority of the voters, this node included, was heard from within an election timeout. (thesis §6.2) */
const heardMajority = (raft: Raft, leadership: Leadership): boolean => {
  let heard = 1
  for (const progress of leadership.progress.values()) {
    if (isHeard(raft, progress)) heard += 1
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

/**
 * Begins to hand leadership over: no new commands, and the target is asked once it has the whole log. (thesis §3.10)
 * To ask again while a transfer is under way does not lengthen it, also for another target, and a transfer that failed
 * is followed by a pause of the same length: writes are refused for a bounded share of the time, however often
 * somebody asks.
 */
export const transferLeadership = (raft: Raft, leadership: Leadership, wanted: NodeId | undefined): void => {
  const target = wanted ?? leadership.transfer?.target ?? bestFollower(raft, leadership)
  if (target === raft.config.id || target !== undefined && target === leadership.transfer?.target) return
  const refusal = target === undefined ? "no voter answers" : refuseTransfer(raft, leadership, target)
  if (target === undefined || refusal !== undefined) {
    return trace(raft, "warning", `does not hand leadership to node ${target ?? "(none)"}: ${refusal}`)
  }
  leadership.transfer = { target, elapsed: leadership.transfer?.elapsed ?? 0, asked: false }
  trace(raft, "info", `hands leadership to node ${target}`)
  completeTransfer(raft, leadership)
}

/** Why leadership cannot go to a node, if so. */
const refuseTransfer = (raft: Raft, leadership: Leadership, target: NodeId): string | undefined => {
  const progress = leadership.progress.get(target)
  if (progress === undefined) return "it is no member of this cluster"
  if (!progress.voter) return "it is no voter until it has caught up"
  if (!isHeard(raft, progress)) return `it has not answered for ${progress.silentTicks} ticks`
  if (leadership.transferPause > 0) return "a transfer has just failed"
  return undefined
}

/** The voter that is furthest of those that answer. */
const bestFollower = (raft: Raft, leadership: Leadership): NodeId | undefined => {
  let best: NodeId | undefined
  let match = toIndex(0)
  for (const [peer, progress] of leadership.progress) {
    if (!progress.voter || !isHeard(raft, progress) || (best !== undefined && progress.match <= match)) continue
    best = peer
    match = progress.match
  }
  return best
}

const completeTransfer = (raft: Raft, leadership: Leadership): void => {
  const { transfer } = leadership
  if (transfer === undefined || transfer.asked) return
  if (leadership.progress.get(transfer.target)?.match !== raft.log.lastIndex) return
  transfer.asked = true
  send(raft, { _tag: "TimeoutNow", from: raft.config.id, to: transfer.target, term: raft.term })
}

/** A snapshot reached its follower, or did not. */
export const snapshotReported = (raft: Raft, leadership: Leadership, event: SnapshotReported): void => {
  const progress = leadership.progress.get(event.peer)
  if (progress === undefined || progress.state !== "snapshot") return
  progress.becomeProbe()
  if (event.installed === undefined) {
    // The next heartbeat's answer tries again; at once would be a loop.
    progress.probing = true
    return
  }
  progress.accepted(event.installed.index)
  replicate(raft, event.peer, progress)
}

/** The link broke, and what was in flight with it: back to finding out where the follower stands. */
export const peerUnreachable = (leadership: Leadership, peer: NodeId): void => {
  const progress = leadership.progress.get(peer)
  if (progress?.state === "replicate") progress.becomeProbe()
}
