/**
 * A leader's heartbeats and the rounds of them that confirm reads: a read is answered once a majority has answered a
 * heartbeat that left after it came. (thesis §6.4)
 */
import { refuseRead } from "./Follower.ts"
import type { HeartbeatResponse, ReadIndexRequest } from "./Message.ts"
import type { Progress } from "./Progress.ts"
import { majority } from "./Quorum.ts"
import type { Reader } from "./ReadIndex.ts"
import { replicate, sendAppend } from "./Replication.ts"
import type { Leadership, Raft } from "./State.ts"
import { emit, send } from "./State.ts"
import type { LogIndex, NodeId } from "./Types.ts"
import { addIndex, minIndex, origin } from "./Types.ts"

export const heartbeatAll = (raft: Raft, leadership: Leadership): void => {
  for (const [peer, progress] of leadership.progress) sendHeartbeat(raft, leadership, peer, progress)
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
export const startReads = (raft: Raft, leadership: Leadership): void => {
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
