/**
 * Holds rows that come from outside, from a backup or from another node, to what this store itself would have written:
 * every kind of row is decoded, and every number is bounded by the metadata and by the entry that the state goes up to.
 * One that is out of bounds would be believed by the next command, and stop the node there.
 *
 * Rows come in the order of their keys, so the metadata comes first. Memory is bounded by the limits on leases and
 * sessions.
 */
import { maxRoles, maxUsers } from "./access/AccessLimits.ts"
import { administrator, decodeRole } from "./access/Role.ts"
import { decodeUser } from "./access/User.ts"
import { decodeMetadata, noMetadata } from "./StoreMetadata.ts"
import type { Change } from "./History.ts"
import { HistoryBlock } from "./HistoryBlock.ts"
import { KeptReplies } from "./KeptReplies.ts"
import type { KeyRecord } from "./KeyRecord.ts"
import { decodeRecord } from "./KeyRecord.ts"
import { attachedKey, firstRevisionOf, idOf, metadataKey, nameOf, sequenceOf, userKey } from "./Keyspace.ts"
import { decodeLease } from "./Lease.ts"
import {
  keyProblem,
  maxKeptReplyBytes,
  maxLeaseKeys,
  maxLeases,
  maxSessions,
  maxStoredNumber,
  maxTransactionOperations,
  secretBytes,
  ttlProblem,
  valueProblem
} from "./Limits.ts"
import type { StoredRow } from "./Loading.ts"
import type { SessionRecord } from "./Session.ts"
import { decodeSession, Session } from "./Session.ts"

/** Bytes of the keys that hold one number behind the first byte, and of those that hold two. */
const oneNumber = 9
const twoNumbers = 17

/** A transaction checks each of its puts before it does any, so that a lease may end up with so many keys more. */
const mostLeaseKeys = maxLeaseKeys + maxTransactionOperations

interface LeaseKeys {
  /** As the keys say. */
  named: number
  /** As the lease says. */
  stated: number
  /** As the rows of attached keys say. */
  attached: number
  /**
   * The hashes of the keys that name the lease, less those of the keys attached to it: 0 when they are the same keys.
   */
  difference: number
}

/** FNV-1a, with 32 bits. It finds rows that were changed by accident; a forged pair of keys only outlives its lease. */
const hashOf = (bytes: Uint8Array): number => {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash
}

/** Kept replies are decoded into a session, whichever. */
const anySession: SessionRecord = {
  ttlMs: 0,
  heardMs: 0,
  answered: 0,
  openedMs: 0,
  secret: new Uint8Array(secretBytes),
  owner: "",
  caller: ""
}

const isMetadata = (key: Uint8Array): boolean =>
  key.byteLength === metadataKey.byteLength && key.every((byte, i) => byte === metadataKey[i])

const isWithin = (value: number, least: number, most: number): boolean => value >= least && value <= most

const range = (name: string, value: number, least: number, most: number): string | undefined =>
  isWithin(value, least, most) ? undefined : `${name} ${value} is not from ${least} to ${most}`

export class StateCheck {
  private metadata = noMetadata
  private readonly index: number
  private readonly leases = new Map<number, LeaseKeys>()
  private grantedLeases = 0
  private readonly sessions = new Set<number>()
  private readonly roles = new Set<string>()
  private users = 0
  private keptBytes = 0
  /** The block of history that came last. */
  private block: HistoryBlock | undefined
  private historyTimeMs = 0

  /** `index` is the last entry whose effects the rows hold: ids of leases and sessions are indices. */
  constructor(index: number) {
    this.index = index
  }

  get revision(): number {
    return this.metadata.revision
  }

  get logTimeMs(): number {
    return this.metadata.logTimeMs
  }

  /** What is wrong with the next row, if anything. */
  row({ key, value }: StoredRow): string | undefined {
    switch (key[0]) {
      case 0x01:
        return isMetadata(key) ? this.metadataRow(value) : "no row of this kind is known"
      case 0x10:
        return this.keyRow(userKey(key), value)
      case 0x20:
        return this.historyRow(key, value)
      case 0x30:
        return this.leaseRow(key, value)
      case 0x31:
        return this.leaseKeyRow(key, value)
      case 0x40:
        return this.sessionRow(key, value)
      case 0x41:
      case 0x42:
        return this.replyRow(key, value)
      case 0x50:
        return this.roleRow(nameOf(key), value)
      case 0x51:
        return this.userRow(nameOf(key), value)
      default:
        // Rows about sessions in later formats are left out of a restore, and are not read in a snapshot.
        return (key[0] ?? 0) >> 4 === 4 ? undefined : "no row of this kind is known"
    }
  }

  /** What is wrong with the rows as a whole, if anything. */
  end(): string | undefined {
    const { compacted, historyBytes, revision } = this.metadata
    const last = this.block?.last ?? 0
    if (last !== revision) return `the history ends at revision ${last}, and the store at ${revision}`
    const bytes = this.block?.bytesThrough ?? 0
    if (bytes !== historyBytes) {
      return `the history after revision ${compacted} ends at ${bytes} bytes, and not at ${historyBytes}`
    }
    for (const [id, { attached, difference, named, stated }] of this.leases) {
      if (named !== stated || attached !== stated) {
        return `lease ${id} has ${stated} keys, ${named} keys name it, and ${attached} rows attach keys to it`
      }
      if (difference !== 0) return `the keys that name lease ${id} are not those that are attached to it`
    }
    return undefined
  }

  private metadataRow(value: Uint8Array): string | undefined {
    const metadata = decodeMetadata(value)
    if (metadata === undefined) return "the metadata of the store is malformed"
    this.metadata = metadata
    return range("the store's revision", metadata.revision, 0, maxStoredNumber) ??
      range("the compacted revision", metadata.compacted, 0, metadata.revision) ??
      range("the log time", metadata.logTimeMs, 0, maxStoredNumber) ??
      range("the size of the history", metadata.historyBytes, 0, maxStoredNumber) ??
      range("the size of the compacted history", metadata.compactedBytes, 0, metadata.historyBytes)
  }

  private record(record: KeyRecord): string | undefined {
    return range("the mod revision", record.modRevision, 1, this.metadata.revision) ??
      range("the create revision", record.createRevision, 1, record.modRevision) ??
      range("the version", record.version, 1, maxStoredNumber) ??
      range("the lease", record.lease, 0, this.index) ??
      problemText("the value", valueProblem(record.value.byteLength))
  }

  private keyRow(key: Uint8Array, value: Uint8Array): string | undefined {
    const problem = problemText("the key", keyProblem(key.byteLength))
    if (problem !== undefined) return problem
    const record = decodeRecord(value)
    if (record === undefined) return "the record of the key is malformed"
    const wrong = this.record(record)
    if (wrong !== undefined || record.lease === 0) return wrong
    const lease = this.leases.get(record.lease)
    if (lease !== undefined) {
      lease.named += 1
      lease.difference = lease.difference + hashOf(key) | 0
    } else if (this.leases.size === maxLeases) return `keys name more than ${maxLeases} leases`
    else this.leases.set(record.lease, { named: 1, stated: 0, attached: 0, difference: hashOf(key) })
    return undefined
  }

  private historyRow(key: Uint8Array, value: Uint8Array): string | undefined {
    if (key.byteLength !== oneNumber) return "the key of a block of history is malformed"
    const first = firstRevisionOf(key)
    const block = HistoryBlock.decode(first, value)
    if (block === undefined) return `the history from revision ${first} on is malformed`
    const before = this.block
    this.block = block
    const wrong = before === undefined ? this.firstBlock(block) : this.nextBlock(before, block)
    if (wrong !== undefined) return wrong
    if (block.last > this.metadata.revision) {
      return `the history has revision ${block.last}, and the store ends at ${this.metadata.revision}`
    }
    if (block.isOverfull) return `the block of history from revision ${first} on has too much in it`
    for (let revision = first; revision <= block.last; revision++) {
      const problem = this.changes(block, revision)
      if (problem !== undefined) return problem
    }
    return undefined
  }

  /** The compacted revision is in the first block, which compaction keeps. */
  private firstBlock(block: HistoryBlock): string | undefined {
    const { compacted, compactedBytes } = this.metadata
    if (compacted === 0 ? block.first !== 1 : !block.has(compacted)) {
      return `the history begins with revisions ${block.first} to ${block.last}, and is compacted up to ${compacted}`
    }
    const bytes = compacted === 0 ? block.bytesBefore : block.head(compacted).historyBytes
    return bytes === compactedBytes
      ? undefined
      : `the size of the compacted history is ${bytes}, and not ${compactedBytes}`
  }

  private nextBlock(before: HistoryBlock, block: HistoryBlock): string | undefined {
    if (block.first !== before.last + 1) {
      return `revision ${block.first} came where the history has ${
        before.last + 1
      }, of ${this.metadata.revision} in all`
    }
    const bytes = before.bytesThrough
    if (block.bytesBefore !== bytes) return `the size of the history is ${block.bytesBefore}, and not ${bytes}`
    return before.hasRoom(block.bytesOf(block.first))
      ? `revision ${block.first} begins a block of history where the one before it has room`
      : undefined
  }

  private changes(block: HistoryBlock, revision: number): string | undefined {
    const decoded = block.revision(revision)
    if (decoded === undefined) return `the history of revision ${revision} is malformed`
    const late = range("the log time", decoded.logTimeMs, this.historyTimeMs, this.metadata.logTimeMs)
    if (late !== undefined) return late
    this.historyTimeMs = decoded.logTimeMs
    if (decoded.changes.length === 0) return `revision ${revision} changes nothing`
    for (const change of decoded.changes) {
      const problem = this.change(revision, change)
      if (problem !== undefined) return problem
    }
    return undefined
  }

  private change(revision: number, { key, previousRevision, record }: Change): string | undefined {
    const problem = problemText("the changed key", keyProblem(key.byteLength)) ??
      range("the previous revision", previousRevision, 0, revision)
    if (problem !== undefined || record === undefined) return problem
    return this.record(record) ?? range("the mod revision", record.modRevision, revision, revision)
  }

  private leaseRow(key: Uint8Array, value: Uint8Array): string | undefined {
    if (key.byteLength !== oneNumber) return "the key of a lease is malformed"
    const id = idOf(key)
    const lease = decodeLease(id, value)
    if (lease === undefined) return "the lease is malformed"
    this.grantedLeases += 1
    if (this.grantedLeases > maxLeases) return `there are more than ${maxLeases} leases`
    const counted = this.leases.get(id)
    if (counted === undefined) this.leases.set(id, { named: 0, stated: lease.keys, attached: 0, difference: 0 })
    else counted.stated = lease.keys
    return range("the lease", id, 1, this.index) ??
      problemText("the time to live", ttlProblem(lease.ttlMs)) ??
      range("the deadline", lease.deadlineMs, 0, this.metadata.logTimeMs + lease.ttlMs) ??
      range("the number of keys of the lease", lease.keys, 0, mostLeaseKeys)
  }

  private leaseKeyRow(key: Uint8Array, value: Uint8Array): string | undefined {
    if (key.byteLength <= oneNumber) return "the key of an attached key is malformed"
    const lease = this.leases.get(idOf(key))
    if (lease === undefined) return `a key is attached to lease ${idOf(key)}, which is not there`
    lease.attached += 1
    lease.difference = lease.difference - hashOf(attachedKey(key)) | 0
    return problemText("the attached key", keyProblem(attachedKey(key).byteLength)) ??
      (value.byteLength === 0 ? undefined : "the row of an attached key has a value")
  }

  private sessionRow(key: Uint8Array, value: Uint8Array): string | undefined {
    if (key.byteLength !== oneNumber) return "the key of a session is malformed"
    const id = idOf(key)
    const session = decodeSession(value)
    if (session === undefined) return "the session is malformed"
    this.sessions.add(id)
    if (this.sessions.size > maxSessions) return `there are more than ${maxSessions} sessions`
    return range("the session", id, 1, this.index) ??
      problemText("the time to live", ttlProblem(session.ttlMs)) ??
      range("the time of the last command", session.heardMs, 0, this.metadata.logTimeMs) ??
      range("the time of opening", session.openedMs, 0, session.heardMs) ??
      range("the acknowledged number", session.answered, 0, Number.MAX_SAFE_INTEGER)
  }

  private roleRow(name: string, value: Uint8Array): string | undefined {
    if (decodeRole(name, value) === undefined) return "the role is malformed"
    this.roles.add(name)
    return this.roles.size > maxRoles ? `there are more than ${maxRoles} roles` : undefined
  }

  private userRow(name: string, value: Uint8Array): string | undefined {
    const user = decodeUser(name, value)
    if (user === undefined) return "the user is malformed"
    this.users += 1
    if (this.users > maxUsers) return `there are more than ${maxUsers} users`
    const unknown = user.roles.find((role) => role !== administrator && !this.roles.has(role))
    if (unknown !== undefined) return `the user ${name} has the role ${unknown}, which is not there`
    for (const { createdMs, id } of user.tokens) {
      const wrong = range("the token", id, 1, this.index) ??
        range("the time of the token", createdMs, 0, this.metadata.logTimeMs)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }

  private replyRow(key: Uint8Array, value: Uint8Array): string | undefined {
    if (key.byteLength !== twoNumbers) return "the key of a kept reply is malformed"
    const id = idOf(key)
    if (!this.sessions.has(id)) return `a reply is kept for session ${id}, which is not there`
    this.keptBytes += value.byteLength
    const tooMany = range("the size of all kept replies", this.keptBytes, 0, maxKeptReplyBytes)
    if (tooMany !== undefined) return tooMany
    const session = new Session(id, anySession, new KeptReplies(maxKeptReplyBytes, maxSessions))
    const sequence = sequenceOf(key)
    if (key[0] === 0x42) {
      return session.loadBlock(sequence, value)
        ? undefined
        : "the block of kept replies is malformed"
    }
    if (!session.loadLarge(sequence, value)) return "the large reply is malformed"
    return range("the number", sequence, 1, Number.MAX_SAFE_INTEGER) ??
      range("the place of the command in the log", session.largeIndex(sequence), 1, this.index)
  }
}

const problemText = (subject: string, problem: { readonly problem: string } | undefined): string | undefined =>
  problem === undefined ? undefined : `${subject} ${problem.problem}`
