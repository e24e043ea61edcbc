/**
 * What a leader sends to bring a follower's log up to date: entries, or a request to send a snapshot. (Raft §5.3) What
 * an answer means for the commit index is in `Leader.ts`.
 */
import { entryBytes } from "./Config.ts"
import type { LogRead, SnapshotReported } from "./Event.ts"
import type { AppendRejected } from "./Message.ts"
import type { Progress } from "./Progress.ts"
import type { Leadership, Raft } from "./State.ts"
import { emit, send, trace } from "./State.ts"
import type { Entry, NodeId } from "./Types.ts"
import { addIndex, minIndex } from "./Types.ts"

export const replicateToAll = (raft: Raft, leadership: Leadership): void => {
  for (const [peer, progress] of leadership.progress) replicate(raft, peer, progress)
}

/** Sends `peer` what it lacks, as far as its window allows. In `probe` that is one append, even an empty one. */
export const replicate = (raft: Raft, peer: NodeId, progress: Progress): void => {
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
export const sendAppend = (raft: Raft, peer: NodeId, progress: Progress, entries: ReadonlyArray<Entry>): void => {
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
