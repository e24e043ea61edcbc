/**
 * What each revision changed: the source of every watch.
 *
 * ```
 * Revision   log time u64 · history bytes so far u64 · changes
 *   changes  count u32 · { tag u8 · key u16+ · previous mod revision u64 · [Put: record u32+] }
 * Batch      count u32 · { revision u64 · log time u64 · changes } , as a watch is told
 *   changes  as above, each followed by: known u8 · [1: record u32+]
 * ```
 *
 * A row holds the new record of each key. The one before it is found in the row of its revision for as long as that is
 * not compacted, so that a value is kept once and not twice.
 */
import { Reader, Writer } from "./Binary.ts"
import type { KeyRecord } from "./KeyRecord.ts"
import { decodeRecord, recordBytes, writeRecord } from "./KeyRecord.ts"
import type { Problem } from "./Limits.ts"
import { problem } from "./Limits.ts"

/** What a revision did to one key. */
export interface Change {
  readonly key: Uint8Array
  /** The key's new record; `undefined` when it was deleted. */
  readonly record: KeyRecord | undefined
  /** The revision of the record it replaced; 0 when there was none. */
  readonly previousRevision: number
  /** The record it replaced, where it is known. */
  readonly previous: KeyRecord | undefined
}

/** Everything one revision did. */
export interface Revision {
  readonly revision: number
  readonly logTimeMs: number
  readonly changes: ReadonlyArray<Change>
}

const putTag = 1
const deleteTag = 2

const writeChange = (writer: Writer, { key, previousRevision, record }: Change): void => {
  writer.u8(record === undefined ? deleteTag : putTag).short(key).u64(previousRevision)
  if (record !== undefined) writeRecord(writer.u32(recordBytes(record)), record)
}

const changeBytes = ({ key, record }: Change): number =>
  11 + key.byteLength + (record === undefined ? 0 : 4 + recordBytes(record))

const readChange = (reader: Reader): Change | undefined => {
  const tag = reader.u8()
  const key = reader.short()
  const previousRevision = reader.u64()
  if (tag === deleteTag) return { key, record: undefined, previousRevision, previous: undefined }
  if (tag !== putTag) return undefined
  const record = decodeRecord(reader.long())
  return record === undefined ? undefined : { key, record, previousRevision, previous: undefined }
}

const readChanges = (reader: Reader, read: (reader: Reader) => Change | undefined): Array<Change> | undefined => {
  const count = reader.u32()
  const changes: Array<Change> = []
  for (let i = 0; i < count; i++) {
    const change = read(reader)
    if (change === undefined || reader.failed) return undefined
    changes.push(change)
  }
  return changes
}

/** The row of a revision. `bytesBefore` is the size of the history so far; the row says the size with itself. */
export const encodeRevision = ({ changes, logTimeMs }: Revision, bytesBefore: number): Uint8Array => {
  let size = 20
  for (const change of changes) size += changeBytes(change)
  const writer = new Writer(size).u64(logTimeMs).u64(bytesBefore + size).u32(changes.length)
  for (const change of changes) writeChange(writer, change)
  return writer.bytes
}

/** What a revision's row says before its changes. */
export interface RevisionHead {
  readonly logTimeMs: number
  /** Bytes of history up to and including this revision, since the beginning. */
  readonly historyBytes: number
}

export const decodeRevisionHead = (bytes: Uint8Array): RevisionHead | undefined => {
  const reader = new Reader(bytes)
  const head = { logTimeMs: reader.u64(), historyBytes: reader.u64() }
  return reader.failed ? undefined : head
}

/** The revision of a row, whose keys and values are views of it; `undefined` when the bytes are none. */
export const decodeRevision = (revision: number, bytes: Uint8Array): Revision | undefined => {
  const reader = new Reader(bytes)
  const logTimeMs = reader.u64()
  reader.u64()
  const changes = readChanges(reader, readChange)
  return changes === undefined || !reader.complete ? undefined : { revision, logTimeMs, changes }
}

/** Revisions as a watch is told of them. `previous` tells whether the records they replaced are wanted. */
export const encodeRevisions = (revisions: ReadonlyArray<Revision>, previous: boolean): Uint8Array => {
  const writer = new Writer(1024).u32(revisions.length)
  for (const { changes, logTimeMs, revision } of revisions) {
    writer.u64(revision).u64(logTimeMs).u32(changes.length)
    for (const change of changes) {
      writeChange(writer, change)
      if (previous && change.previous !== undefined) {
        writeRecord(writer.u8(1).u32(recordBytes(change.previous)), change.previous)
      } else writer.u8(0)
    }
  }
  return writer.bytes
}

/** The inverse of {@link encodeRevisions}; keys and values are views. */
export const decodeRevisions = (bytes: Uint8Array): ReadonlyArray<Revision> | Problem => {
  const reader = new Reader(bytes)
  const count = reader.u32()
  const revisions: Array<Revision> = []
  for (let i = 0; i < count && !reader.failed; i++) {
    const revision = reader.u64()
    const logTimeMs = reader.u64()
    const changes = readChanges(reader, (from) => {
      const change = readChange(from)
      if (change === undefined || from.u8() === 0) return change
      const previous = decodeRecord(from.long())
      return previous === undefined ? undefined : { ...change, previous }
    })
    if (changes === undefined) return problem("events", "are malformed")
    revisions.push({ revision, logTimeMs, changes })
  }
  return reader.complete ? revisions : problem("events", "are malformed")
}
