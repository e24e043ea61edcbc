/**
 * What a revision changed: the source of every watch. `HistoryBlock.ts` has how it is stored.
 *
 * ```
 * Changes    count u32 · { tag u8 · key u16+ · previous mod revision u64 · [Put: record u32+] }
 * Revisions  count u32 · { revision u64 · log time u64 · changes }, as a watch gets them
 *   changes  as above, each followed by: known u8 · [1: record u32+]
 * ```
 *
 * A change holds the new record of its key. The one before it is found in its own revision for as long as that is not
 * compacted, so that a value is kept once and not twice.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"
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

const readEach = (reader: Reader, read: (reader: Reader) => Change | undefined): Array<Change> | undefined => {
  const count = reader.u32()
  const changes: Array<Change> = []
  for (let i = 0; i < count; i++) {
    const change = read(reader)
    if (change === undefined || reader.failed) return undefined
    changes.push(change)
  }
  return changes
}

/** Bytes that {@link writeChanges} takes. */
export const changesBytes = (changes: ReadonlyArray<Change>): number => {
  let size = 4
  for (let i = 0; i < changes.length; i++) size += changeBytes(changes[i] as Change)
  return size
}

export const writeChanges = (writer: Writer, changes: ReadonlyArray<Change>): void => {
  writer.u32(changes.length)
  for (let i = 0; i < changes.length; i++) writeChange(writer, changes[i] as Change)
}

/** The inverse of {@link writeChanges}; keys and values are views. `undefined` when the bytes are none. */
export const readChanges = (reader: Reader): ReadonlyArray<Change> | undefined => readEach(reader, readChange)

/** Revisions as a watch gets them. `previous` tells whether the records they replaced are wanted. */
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
    const changes = readEach(reader, (from) => {
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
