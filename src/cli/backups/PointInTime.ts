/**
 * The state of a store at a revision between two of its backups: the keys of the older one, carried on by the history
 * that the later one still has. It is written as a backup, so that everything that takes one takes it.
 *
 * What has a history is exact: keys with their records, revisions, log times. Leases have none: a key keeps its lease,
 * whose whole time begins again; of leases without keys those are kept that both backups have. A lease that was
 * granted after the older backup and ended before the later one is in neither, and gets {@link lostLeaseMs}. Roles and
 * users are those of the later backup, so that a right that was taken away does not come back.
 */
import { Clock, Data, Effect, Queue, Stream } from "effect"
import type { BackupHeader } from "../../protocol/BackupFile.ts"
import { encodeBackupHeader } from "../../protocol/BackupFile.ts"
import { SnapshotEncoder } from "../../protocol/SnapshotChunk.ts"
import type { StoreMetadata } from "../../kv/model/StoreMetadata.ts"
import { decodeMetadata, encodeMetadata } from "../../kv/model/StoreMetadata.ts"
import { HistoryBlock } from "../../kv/model/HistoryBlock.ts"
import type { KeyRecord } from "../../kv/model/KeyRecord.ts"
import { decodeRecord, encodeRecord, recordBytes } from "../../kv/model/KeyRecord.ts"
import {
  firstRevisionOf,
  idOf,
  leaseKey,
  leaseKeyKey,
  metadataKey,
  recordKey,
  userKey
} from "../../kv/model/Keyspace.ts"
import type { Lease } from "../../kv/model/Lease.ts"
import { decodeLease, encodeLease } from "../../kv/model/Lease.ts"
import { checkOfBackup } from "../../machine/StateCheck.ts"
import { keyValueMachine } from "../../machine/StateFacts.ts"
import type { BackupCorrupt, BackupIoError } from "../../storage/backup/BackupReader.ts"
import { readBackup } from "../../storage/backup/BackupReader.ts"
import { clockDifference } from "./ClusterClock.ts"
import type { StateRow } from "../../storage/StateStore.ts"

/** The two files, or what is wanted of them, do not go together. */
export class NoSuchRecoveryTarget extends Data.TaggedError("NoSuchRecoveryTarget")<{ readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

/** Milliseconds that a lease gets of which no backup says how long it was. */
const lostLeaseMs = 60_000

/** Most bytes of changed keys that are kept in memory. */
const maxChangedBytes = 512 * 1024 * 1024

/** A revision, or the last one at a time of the cluster's clock. */
export type RecoveryTarget = { readonly revision: number } | { readonly timeMs: number }

interface Changed {
  readonly key: Uint8Array
  /** `undefined` when the key was deleted last. */
  readonly record: KeyRecord | undefined
}

/** What the later backup says of the time between the two. */
interface Later {
  readonly header: BackupHeader
  readonly metadata: StoreMetadata
  /** What the store says about itself: its metadata are made for that point in time, and the other rows stay. */
  readonly storeRows: ReadonlyArray<StateRow>
  readonly changed: ReadonlyArray<Changed>
  readonly leases: ReadonlyMap<number, Lease>
  readonly accessRows: ReadonlyArray<StateRow>
  /** The revision that was wanted, with its time and the size of the history up to it. */
  readonly at: { readonly revision: number; readonly logTimeMs: number; readonly historyBytes: number }
}

const copied = ({ key, value }: StateRow): StateRow => ({ key: new Uint8Array(key), value: new Uint8Array(value) })

/** Goes through the later backup. `base` is the header of the older one. */
class LaterReader {
  private readonly base: BackupHeader
  private readonly target: RecoveryTarget
  private metadata: StoreMetadata | undefined
  private readonly storeRows: Array<StateRow> = []
  private at: Later["at"] | undefined
  private readonly changed = new Map<string, Changed>()
  private changedBytes = 0
  private readonly leases = new Map<number, Lease>()
  private readonly accessRows: Array<StateRow> = []

  constructor(base: BackupHeader, target: RecoveryTarget) {
    this.base = base
    this.target = target
  }

  /** Takes the next row; tells what is wrong, if anything. */
  row(row: StateRow): string | undefined {
    switch (row.key[0]) {
      case 0x01:
        if (Buffer.compare(row.key, metadataKey) === 0) this.metadata = decodeMetadata(row.value)
        this.storeRows.push(copied(row))
        return undefined
      case 0x20:
        return this.history(row)
      case 0x30: {
        const lease = decodeLease(idOf(row.key), row.value)
        if (lease !== undefined) this.leases.set(lease.id, lease)
        return undefined
      }
      case 0x50:
      case 0x51:
        this.accessRows.push(copied(row))
        return undefined
      default:
        return undefined
    }
  }

  private history(row: StateRow): string | undefined {
    const block = HistoryBlock.decode(firstRevisionOf(row.key), row.value)
    if (block === undefined) return "a block of history is malformed"
    for (let revision = Math.max(block.first, this.base.revision + 1); revision <= block.last; revision++) {
      const { historyBytes, logTimeMs } = block.head(revision)
      if ("revision" in this.target ? revision > this.target.revision : logTimeMs > this.target.timeMs) return undefined
      this.at = { revision, logTimeMs, historyBytes }
      for (const { key, record } of block.revision(revision)?.changes ?? []) this.change(key, record)
      if (this.changedBytes > maxChangedBytes) {
        return `more than ${maxChangedBytes} bytes of keys changed between the two; take a later base`
      }
    }
    return undefined
  }

  private change(key: Uint8Array, record: KeyRecord | undefined): void {
    const name = Buffer.from(key).toString("latin1")
    const before = this.changed.get(name)
    const sizeOf = (of: Changed | undefined) => of?.record === undefined ? 0 : recordBytes(of.record)
    const after: Changed = {
      key: before?.key ?? new Uint8Array(key),
      record: record === undefined ? undefined : { ...record, value: new Uint8Array(record.value) }
    }
    this.changedBytes += sizeOf(after) - sizeOf(before) + (before === undefined ? key.byteLength : 0)
    this.changed.set(name, after)
  }

  end(header: BackupHeader): Later | NoSuchRecoveryTarget {
    const { at, metadata } = this
    const { revision: from } = this.base
    if (metadata === undefined) return new NoSuchRecoveryTarget({ reason: "the later backup has no metadata" })
    if (metadata.compacted > from) {
      return new NoSuchRecoveryTarget({
        reason:
          `the later backup has the history from revision ${metadata.compacted + 1} on, and revision ${from + 1} ` +
          "is needed, which follows the base; take backups more often than history is forgotten (maxHistoryAgeMs)"
      })
    }
    if (at === undefined || ("revision" in this.target && at.revision !== this.target.revision)) {
      return new NoSuchRecoveryTarget({
        reason:
          `there is no such point in time behind revision ${from} of the base and up to revision ${header.revision} ` +
          "of the later backup; use the base itself, or a backup that is later still"
      })
    }
    if ("timeMs" in this.target && this.target.timeMs > header.logTimeMs) {
      const difference = clockDifference(header)
      return new NoSuchRecoveryTarget({
        reason: `all that the later backup has was written by ${new Date(header.logTimeMs).toISOString()} of the ` +
          `cluster's clock, before that time; use that backup itself${
            difference === undefined ? "" : `. But ${difference}`
          }`
      })
    }
    const changed = [...this.changed.values()].sort((a, b) => Buffer.compare(a.key, b.key))
    const { accessRows, leases, storeRows } = this
    return { header, metadata, storeRows, changed, leases, accessRows, at }
  }
}

const together = (base: BackupHeader, later: BackupHeader): NoSuchRecoveryTarget | undefined => {
  const refuse = (reason: string) => new NoSuchRecoveryTarget({ reason })
  if (base.machine !== keyValueMachine || later.machine !== keyValueMachine) {
    return refuse("only the key-value store has a history")
  }
  if (base.identity !== later.identity) return refuse("the two backups are of different clusters")
  return base.revision <= later.revision
    ? undefined
    : refuse(`the base has revision ${base.revision}, and the later backup ${later.revision}; name them the other way`)
}

type Failure = BackupCorrupt | BackupIoError | NoSuchRecoveryTarget

/** The keys at that point in time, in their order: those of the base, with what was changed put in. */
class MergedKeys {
  private readonly changed: ReadonlyArray<Changed>
  private next = 0
  /** The keys of each lease. */
  readonly attached = new Map<number, Array<Uint8Array>>()

  constructor(changed: ReadonlyArray<Changed>) {
    this.changed = changed
  }

  private attach(key: Uint8Array, lease: number): void {
    if (lease === 0) return
    const keys = this.attached.get(lease)
    if (keys === undefined) this.attached.set(lease, [new Uint8Array(key)])
    else keys.push(new Uint8Array(key))
  }

  private row({ key, record }: Changed): ReadonlyArray<StateRow> {
    if (record === undefined) return []
    this.attach(key, record.lease)
    return [{ key: recordKey(key), value: encodeRecord(record) }]
  }

  /** The rows up to and with the next one of the base. */
  take(row: StateRow): ReadonlyArray<StateRow> {
    const key = userKey(row.key)
    const rows: Array<StateRow> = []
    for (let change = this.changed[this.next]; change !== undefined; change = this.changed[this.next]) {
      const order = Buffer.compare(change.key, key)
      if (order > 0) break
      this.next += 1
      rows.push(...this.row(change))
      if (order === 0) return rows
    }
    this.attach(key, decodeRecord(row.value)?.lease ?? 0)
    return [...rows, row]
  }

  /** The rows behind the last one of the base. */
  rest(): ReadonlyArray<StateRow> {
    const rows = this.changed.slice(this.next).flatMap((change) => this.row(change))
    this.next = this.changed.length
    return rows
  }
}

/** The block up to a revision: its revisions lie one behind the other. */
const cutBlock = (row: StateRow, through: number): StateRow | undefined => {
  const block = HistoryBlock.decode(firstRevisionOf(row.key), row.value)
  if (block === undefined || block.first > through) return undefined
  if (block.last <= through) return row
  const bytesBehind = block.bytesThrough - block.head(through).historyBytes
  return { key: row.key, value: row.value.subarray(0, row.value.byteLength - bytesBehind) }
}

const leaseRows = (
  attached: ReadonlyMap<number, ReadonlyArray<Uint8Array>>,
  earlier: ReadonlyMap<number, Lease>,
  { at, leases }: Later
): { readonly rows: ReadonlyArray<StateRow>; readonly lost: number } => {
  const ids = new Set([...attached.keys(), ...[...earlier.keys()].filter((id) => leases.has(id))])
  let lost = 0
  const sorted = [...ids].sort((a, b) => a - b)
  const rows = sorted.map((id): StateRow => {
    const known = leases.get(id) ?? earlier.get(id)
    if (known === undefined) lost += 1
    const ttlMs = known?.ttlMs ?? lostLeaseMs
    const keys = attached.get(id)?.length ?? 0
    const lease: Lease = { id, ttlMs, deadlineMs: at.logTimeMs + ttlMs, keys, caller: known?.caller ?? "" }
    return { key: leaseKey(id), value: encodeLease(lease) }
  })
  const keyRows = sorted.flatMap((id) =>
    (attached.get(id) ?? []).map((key): StateRow => ({ key: leaseKeyKey(id, key), value: new Uint8Array(0) }))
  )
  return { rows: [...rows, ...keyRows], lost }
}

/** What a state at a point in time is made of. */
export interface PointInTime {
  readonly header: BackupHeader
  /** The bytes of the backup. */
  readonly bytes: Stream.Stream<Uint8Array, Failure>
  /** Keys that were changed between the base and that point in time. */
  readonly changed: number
  /** Leases of which neither backup says how long they were; known once the bytes were taken. */
  readonly lostLeases: () => number
  /** What an operator has to know who gives a time by the clock on the wall. */
  readonly clockDifference: string | undefined
}

/** Puts all rows of the state at that point in time, in the order of their keys. */
const putRows = Effect.fnUntraced(function*(
  files: { readonly base: string; readonly later: string },
  later: Later,
  put: (rows: ReadonlyArray<StateRow>) => Effect.Effect<void>
) {
  const { at, metadata, storeRows } = later
  const figuresAt = encodeMetadata({ ...metadata, ...at })
  const keys = new MergedKeys(later.changed)
  const earlier = new Map<number, Lease>()
  yield* put(
    storeRows.map((row) => Buffer.compare(row.key, metadataKey) === 0 ? { key: row.key, value: figuresAt } : row)
  )
  yield* readBackup(files.base, {
    onRows: (rows) => {
      const merged: Array<StateRow> = []
      for (const row of rows) {
        if (row.key[0] === 0x10) merged.push(...keys.take(row))
        const lease = row.key[0] === 0x30 ? decodeLease(idOf(row.key), row.value) : undefined
        if (lease !== undefined) earlier.set(lease.id, lease)
      }
      return put(merged)
    }
  })
  yield* put(keys.rest())
  yield* readBackup(files.later, {
    onRows: (rows) => put(rows.flatMap((row) => row.key[0] === 0x20 ? cutBlock(row, at.revision) ?? [] : []))
  })
  const { lost, rows } = leaseRows(keys.attached, earlier, later)
  yield* put(rows)
  yield* put(later.accessRows)
  return lost
})

/** Reads both files to their ends, and prepares the state at that point in time. Each file is read twice. */
export const pointInTime = Effect.fnUntraced(function*(
  files: { readonly base: string; readonly later: string },
  target: RecoveryTarget
): Effect.fn.Return<PointInTime, Failure> {
  const { header: base } = yield* readBackup(files.base, { check: checkOfBackup })
  const reader = new LaterReader(base, target)
  const { header } = yield* readBackup<Failure>(files.later, {
    check: checkOfBackup,
    onRows: (rows) => {
      for (const row of rows) {
        const reason = reader.row(row)
        if (reason !== undefined) return Effect.fail(new NoSuchRecoveryTarget({ reason }))
      }
      return Effect.void
    }
  })
  const wrong = together(base, header)
  if (wrong !== undefined) return yield* wrong
  const later = reader.end(header)
  if (later instanceof NoSuchRecoveryTarget) return yield* later
  const { at, changed } = later
  const made: BackupHeader = {
    ...header,
    revision: at.revision,
    logTimeMs: at.logTimeMs,
    createdMs: yield* Clock.currentTimeMillis,
    estimatedBytes: base.estimatedBytes
  }
  let lost = 0
  const bytes = Stream.callback<Uint8Array, Failure>((queue) =>
    Effect.gen(function*() {
      const encoder = new SnapshotEncoder()
      yield* Queue.offer(queue, encodeBackupHeader(made))
      lost = yield* putRows(files, later, (rows) =>
        Effect.asVoid(Queue.offerAll(
          queue,
          rows.flatMap((row) => encoder.add(row))
        )))
      yield* Queue.offerAll(queue, encoder.end().chunks)
      yield* Queue.end(queue)
    }).pipe(Effect.catch((error) => Queue.fail(queue, error))), { bufferSize: 16, strategy: "suspend" })
  return {
    header: made,
    bytes,
    changed: changed.length,
    lostLeases: () => lost,
    clockDifference: clockDifference(header)
  }
})
