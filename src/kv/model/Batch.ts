/**
 * One batch of commands before it is committed to the store: the metadata as it becomes, the keys, leases and sessions
 * they change, and the history they make. The same commands on the same state give the same rows on every node, however
 * they are grouped into batches.
 */
import { byteText } from "../../bytes/Bytes.ts"
import type { Role } from "./access/Role.ts"
import { encodeRole } from "./access/Role.ts"
import type { User } from "./access/User.ts"
import { encodeUser } from "./access/User.ts"
import type { WriteSetEntry } from "./WriteSet.ts"
import { storedKey, WriteSet } from "./WriteSet.ts"
import type { StoreMetadata } from "./StoreMetadata.ts"
import { encodeMetadata } from "./StoreMetadata.ts"
import type { Change, Revision } from "./History.ts"
import { HistoryBlock, loadBlock, maxBlockRevisions, revisionBytes } from "./HistoryBlock.ts"
import type { KeyRecord } from "./KeyRecord.ts"
import { encodeRecord } from "./KeyRecord.ts"
import {
  historyRange,
  leaseKey,
  leaseKeyKey,
  metadataKey,
  replyBlockKey,
  replyKey,
  roleKey,
  sessionKey,
  userRowKey
} from "./Keyspace.ts"
import type { Lease } from "./Lease.ts"
import { maxWholeReplyBytes } from "./Limits.ts"
import { encodeLease } from "./Lease.ts"
import type { Loading } from "./Loading.ts"
import { digestOf } from "./ReplyCodec.ts"
import type { Session, SessionRecord } from "./Session.ts"
import { encodeSession, heardGranularityMs, isLarge, keptBytesOf, reservedReplyBytes } from "./Session.ts"
import type { State } from "./State.ts"
import { noBytes } from "../../bytes/Binary.ts"

/** One change of the store, in the shape that `StateStore.commit` takes. */
export type RowChange =
  | { readonly _tag: "Put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly key: Uint8Array }
  | { readonly _tag: "DeleteRange"; readonly start: Uint8Array; readonly end: Uint8Array }

/**
 * The changes of a revision that has none yet. Most revisions have one and are kept for watches, and an array that one
 * is pushed to has room for seventeen.
 */
const nothingYet: Array<Change> = []

export class Batch {
  readonly state: State
  readonly writeSet = new WriteSet()
  /** What each revision of this batch did, in order, for those who watch. */
  readonly revisions: Array<Revision> = []
  /** The blocks of history that `revisions` went into, in order. */
  private readonly history: Array<HistoryBlock> = []
  /** The first block that compaction keeps; `undefined` when nothing was compacted. */
  private firstKept: HistoryBlock | undefined
  /** Rows that are neither users' keys nor history; `undefined` deletes one. */
  private readonly rows = new Map<string, { readonly key: Uint8Array; readonly value: Uint8Array | undefined }>()
  private readonly changedSessions = new Set<Session>()
  /** Blocks of replies that changed. */
  private readonly blocks = new Map<Session, Set<number>>()
  private changing: Array<Change> | undefined
  /**
   * How to take back what was done in the revision that is open, the latest last; `undefined` when it is not revocable.
   */
  private undo: Array<() => void> | undefined
  /** Bytes that the transactions of this batch have looked at. */
  readBytes = 0
  private readonly before: StoreMetadata

  constructor(state: State) {
    this.state = state
    this.before = state.metadata
  }

  get metadata(): StoreMetadata {
    return this.state.metadata
  }

  get revision(): number {
    return this.state.metadata.revision
  }

  /** The log's clock goes on to an entry's timestamp, and never back. */
  advanceTime(timestampMs: number): void {
    if (timestampMs > this.state.metadata.logTimeMs) {
      this.state.metadata = { ...this.state.metadata, logTimeMs: timestampMs }
    }
  }

  /**
   * Begins a revision: the changes up to `endRevision` belong together. `abandonRevision` may end a revocable one
   * instead.
   */
  beginRevision(revocable = false): void {
    this.changing = nothingYet
    this.undo = revocable ? [] : undefined
  }

  /** Takes back everything that was done in a revocable revision. */
  abandonRevision(): void {
    const undo = this.undo ?? []
    this.undo = undefined
    this.changing = undefined
    for (let i = undo.length - 1; i >= 0; i--) undo[i]?.()
  }

  /** Ends the revision, which is taken only when something changed. */
  endRevision(): void {
    const changes = this.changing ?? nothingYet
    this.changing = undefined
    this.undo = undefined
    if (changes.length > 0) this.record(changes)
  }

  private record(changes: ReadonlyArray<Change>): void {
    const { metadata } = this.state
    const revision: Revision = { revision: metadata.revision + 1, logTimeMs: metadata.logTimeMs, changes }
    const bytes = revisionBytes(revision)
    let block = this.state.lastBlock
    if (block?.hasRoom(bytes) !== true) block = HistoryBlock.begin(revision.revision, metadata.historyBytes, bytes)
    block.append(revision, bytes)
    this.state.lastBlock = block
    if (this.history[this.history.length - 1] !== block) this.history.push(block)
    this.revisions.push(revision)
    this.state.metadata = {
      revision: revision.revision,
      compacted: metadata.compacted,
      logTimeMs: metadata.logTimeMs,
      historyBytes: metadata.historyBytes + bytes,
      compactedBytes: metadata.compactedBytes
    }
  }

  /** Sets a key. Only within a revision. */
  putKey(entry: WriteSetEntry, value: Uint8Array, lease: number): KeyRecord {
    const { record: previous } = entry
    const modRevision = this.revision + 1
    const record: KeyRecord = {
      createRevision: previous?.createRevision ?? modRevision,
      modRevision,
      version: (previous?.version ?? 0) + 1,
      lease,
      value
    }
    this.attach(entry.key, previous?.lease ?? 0, lease)
    this.replace(entry, record)
    return record
  }

  /** Removes a key that exists. Only within a revision. */
  deleteKey(entry: WriteSetEntry): void {
    this.attach(entry.key, entry.record?.lease ?? 0, 0)
    this.replace(entry, undefined)
  }

  private replace(entry: WriteSetEntry, record: KeyRecord | undefined): void {
    if (this.changing === undefined) throw new Error("a key was changed outside of a revision")
    const { key, record: previous, withoutValue } = entry
    const previousRevision = previous?.modRevision ?? 0
    const change = { key, record, previousRevision, previous: withoutValue ? undefined : previous }
    if (this.changing === nothingYet) this.changing = [change]
    else this.changing.push(change)
    if (this.undo !== undefined) {
      const { changed } = entry
      this.undo.push(() => Object.assign(entry, { record: previous, changed, withoutValue }))
    }
    entry.record = record
    entry.changed = true
    entry.withoutValue = false
  }

  /** Moves a key from one lease to another; 0 is none. */
  private attach(key: Uint8Array, from: number, to: number): void {
    if (from === to) return
    const left = this.state.leases.get(from)
    if (left !== undefined) {
      this.setLease({ ...left, keys: left.keys - 1 })
      this.delete(leaseKeyKey(from, key))
    }
    const joined = this.state.leases.get(to)
    if (joined !== undefined) {
      this.setLease({ ...joined, keys: joined.keys + 1 })
      this.put(leaseKeyKey(to, key), noBytes)
    }
  }

  setLease(lease: Lease): void {
    const before = this.state.leases.get(lease.id)
    if (this.undo !== undefined && before !== undefined) this.undo.push(() => this.state.leases.set(before))
    this.state.leases.set(lease)
    this.put(leaseKey(lease.id), encodeLease(lease))
  }

  deleteLease(id: number): void {
    this.state.leases.delete(id)
    this.delete(leaseKey(id))
  }

  setRole(role: Role): void {
    this.state.access.setRole(role)
    this.put(roleKey(role.name), encodeRole(role))
  }

  deleteRole(name: string): void {
    this.state.access.deleteRole(name)
    this.delete(roleKey(name))
  }

  setUser(user: User): void {
    this.state.access.setUser(user)
    this.put(userRowKey(user.name), encodeUser(user))
  }

  deleteUser(name: string): void {
    this.state.access.deleteUser(name)
    this.delete(userRowKey(name))
  }

  openSession(id: number, record: SessionRecord): void {
    this.changedSessions.add(this.state.sessions.open(id, record))
  }

  closeSession(session: Session): void {
    for (const sequence of session.largeReplies) this.delete(replyKey(session.id, sequence))
    for (const block of [...session.blockNumbers, ...this.blocks.get(session) ?? []]) {
      this.delete(replyBlockKey(session.id, block))
    }
    this.state.sessions.delete(session)
    this.changedSessions.delete(session)
    this.blocks.delete(session)
    this.delete(sessionKey(session.id))
  }

  /**
   * A command came from a session's client, which has the replies up to `answered`. Either `keepReply` or
   * `recordAnswered` must follow.
   */
  clientSeen(session: Session, answered: number): void {
    const { logTimeMs } = this.metadata
    if (answered > session.answered) {
      const { blocks, large } = session.forget(answered)
      for (const block of blocks) this.touch(session, block)
      for (const sequence of large) this.delete(replyKey(session.id, sequence))
    }
    if (logTimeMs - session.heardMs >= heardGranularityMs) {
      session.heardMs = logTimeMs
      this.recordSession(session)
    }
  }

  /** For a command that leaves no reply behind, which would say how far its client has answers. */
  recordAnswered(session: Session): void {
    if (session.unrecorded) this.recordSession(session)
  }

  /** Makes room for one more reply of a session, or for its digest. `false` when others take all of it. */
  makeReplyRoom(session: Session, bytes = reservedReplyBytes): boolean {
    const { kept } = this.state.sessions
    while (!kept.fits(session.keptBytes, bytes)) {
      const { oldest } = kept
      if (oldest === undefined) return false
      this.touch(oldest.session, oldest.session.digest(oldest))
      this.delete(replyKey(oldest.session.id, oldest.sequence))
    }
    return true
  }

  /** Keeps the reply to the command at `index` of the log; a large one whole only if there is room for it. */
  keepReply(session: Session, sequence: number, reply: Uint8Array, index: number): void {
    const whole = !isLarge(reply) ||
      reply.byteLength <= maxWholeReplyBytes && this.makeReplyRoom(session, keptBytesOf(reply))
    const block = session.keep(sequence, whole ? reply : digestOf(reply), index)
    if (block !== undefined) return this.touch(session, block)
    this.put(replyKey(session.id, sequence), session.encodeLarge(sequence) as Uint8Array)
    this.recordAnswered(session)
  }

  private recordSession(session: Session): void {
    session.record()
    this.changedSessions.add(session)
  }

  private touch(session: Session, block: number): void {
    const touched = this.blocks.get(session)
    if (touched === undefined) this.blocks.set(session, new Set([block]))
    else touched.add(block)
  }

  /** Forgets the history up to and including `revision`, which is neither compacted nor ahead of the store. */
  *compact(revision: number): Loading<void> {
    const { lastBlock } = this.state
    const own = lastBlock?.has(revision) === true ? lastBlock : this.history.find((block) => block.has(revision))
    const block = own ?? (yield* loadBlock(revision))
    const { historyBytes } = block.head(revision)
    this.firstKept = block
    this.state.metadata = { ...this.metadata, compacted: revision, compactedBytes: historyBytes }
  }

  /** Everything the store has to change. */
  changes(): ReadonlyArray<RowChange> {
    const changes: Array<RowChange> = []
    const { firstKept } = this
    const { compacted } = this.before
    if (firstKept !== undefined && !firstKept.has(compacted)) {
      // The first block that the compaction before this one kept may begin so long before its revision.
      const { gte, lt } = historyRange(Math.max(0, compacted - maxBlockRevisions + 1), firstKept.first - 1)
      changes.push({ _tag: "DeleteRange", start: gte, end: lt })
    }
    for (const block of this.history) {
      if (firstKept === undefined || block.first >= firstKept.first) changes.push({ _tag: "Put", ...block.row })
    }
    const { all } = this.writeSet
    for (let i = 0; i < all.length; i++) {
      const entry = all[i] as WriteSetEntry
      if (!entry.changed) continue
      const { record } = entry
      changes.push(
        record === undefined
          ? { _tag: "Delete", key: storedKey(entry) }
          : { _tag: "Put", key: storedKey(entry), value: encodeRecord(record) }
      )
    }
    for (const session of this.changedSessions) {
      changes.push({ _tag: "Put", key: sessionKey(session.id), value: encodeSession(session.row) })
    }
    for (const [session, blocks] of this.blocks) {
      for (const block of blocks) {
        const key = replyBlockKey(session.id, block)
        const value = session.encodeBlock(block)
        changes.push(value === undefined ? { _tag: "Delete", key } : { _tag: "Put", key, value })
      }
    }
    for (const { key, value } of this.rows.values()) {
      changes.push(value === undefined ? { _tag: "Delete", key } : { _tag: "Put", key, value })
    }
    if (this.metadata !== this.before) {
      changes.push({ _tag: "Put", key: metadataKey, value: encodeMetadata(this.metadata) })
    }
    return changes
  }

  private put(key: Uint8Array, value: Uint8Array): void {
    this.setRow(key, value)
  }

  private delete(key: Uint8Array): void {
    this.setRow(key, undefined)
  }

  private setRow(key: Uint8Array, value: Uint8Array | undefined): void {
    const text = byteText(key)
    if (this.undo !== undefined) {
      const before = this.rows.get(text)
      this.undo.push(() => {
        if (before === undefined) this.rows.delete(text)
        else this.rows.set(text, before)
      })
    }
    this.rows.set(text, { key, value })
  }
}
