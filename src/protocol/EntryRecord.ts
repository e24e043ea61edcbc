/**
 * The bytes of one log entry, the same on the leader's disk, on the wire and on the follower's disk.
 *
 * ```
 * offset  size  field
 *      0     4  CRC-32 of everything after it, big-endian like all numbers here
 *      4     1  format version (1)
 *      5     1  kind (0 noop, 1 command)
 *      6     2  zero
 *      8     8  term
 *     16     8  index
 *     24     8  timestamp, milliseconds since the epoch
 *     32     n  payload
 * ```
 *
 * Decoding never throws: it answers with the entry or with a {@link CodecError} that says what is wrong. Several
 * records travel as one blob, each behind its length, so that a message needs one copy however many entries it has.
 */
import { CodecError } from "../bytes/CodecError.ts"
import { readSafeU64, readU32, writeU64 } from "../bytes/U64.ts"
import { crc32 } from "node:zlib"
import { otherFormat } from "../Version.ts"
import { entryBytes } from "../raft/Config.ts"
import type { Entry, LogIndex, Term } from "../raft/Types.ts"

/** The version this code writes and the only one it reads. */
export const formatVersion = 1

/** Bytes of a record before its payload. */
export const headerBytes = 32

/** The record of an entry, made once and remembered in `entry.record`. */
export const encodeEntry = (entry: Entry): Uint8Array => {
  encodeRecords([entry])
  return entry.record as Uint8Array
}

/**
 * Makes the records of those entries that have none, in one piece of memory, because they leave memory together. It is
 * not taken from the pool of `Buffer`: there it would keep all that others have from the same 64 KiB.
 */
export const encodeRecords = (entries: ReadonlyArray<Entry>): void => {
  let size = 0
  for (const entry of entries) if (entry.record === undefined) size += entryBytes(entry)
  if (size === 0) return
  const memory = Buffer.allocUnsafeSlow(size)
  let offset = 0
  for (const entry of entries) {
    if (entry.record !== undefined) continue
    const end = offset + entryBytes(entry)
    writeRecord(entry, memory.subarray(offset, end))
    offset = end
  }
}

const writeRecord = (entry: Entry, record: Buffer): void => {
  record.writeUInt8(formatVersion, 4)
  record.writeUInt8(entry.kind === "noop" ? 0 : 1, 5)
  record.writeUInt16BE(0, 6)
  writeU64(record, entry.term, 8)
  writeU64(record, entry.index, 16)
  writeU64(record, entry.timestampMs, 24)
  record.set(entry.payload, headerBytes)
  record.writeUInt32BE(crc32(record.subarray(4)), 0)
  entry.record = record
  // The command lives on inside its record, and what it arrived in can go: a whole batch of a client's, often.
  entry.payload = record.subarray(headerBytes)
}

/** What a record says of its entry, without the command. */
export interface RecordFields {
  readonly index: LogIndex
  readonly term: Term
  readonly timestampMs: number
}

/** The fields of `record`, once it was found whole. */
export const decodeFields = (record: Uint8Array): RecordFields | CodecError => {
  if (record.byteLength < headerBytes) {
    return new CodecError(`an entry record needs ${headerBytes} bytes, this one has ${record.byteLength}`)
  }
  const stored = readU32(record, 0)
  const computed = crc32(record.subarray(4))
  if (stored !== computed) return new CodecError(`checksum ${hex(stored)} does not match the bytes (${hex(computed)})`)
  const version = record[4] as number
  if (version !== formatVersion) return new CodecError(`an entry of ${otherFormat(version, formatVersion)}`)
  const kind = record[5] as number
  if (kind > 1) return new CodecError(`entry kind ${kind} is unknown`)
  const term = readSafeU64(record, 8)
  const index = readSafeU64(record, 16)
  const timestampMs = readSafeU64(record, 24)
  if (term < 0 || index < 1 || timestampMs < 0) return new CodecError("term, index or timestamp is out of range")
  return { index: index as LogIndex, term: term as Term, timestampMs }
}

/** The entry in `record`, which it keeps: the caller must not change those bytes afterwards. */
export const decodeEntry = (record: Uint8Array): Entry | CodecError => {
  const fields = decodeFields(record)
  if (fields instanceof CodecError) return fields
  return {
    index: fields.index,
    term: fields.term,
    kind: record[5] === 0 ? "noop" : "command",
    timestampMs: fields.timestampMs,
    payload: record.subarray(headerBytes),
    record,
    // Set later, mostly. A property that an object is not made with takes memory beside it.
    decoded: undefined
  }
}

/** The records of `entries` in one blob, each behind its length in four bytes. */
export const encodeEntries = (entries: ReadonlyArray<Entry>): Uint8Array => {
  encodeRecords(entries)
  let size = 0
  for (const entry of entries) size += 4 + entryBytes(entry)
  const blob = Buffer.allocUnsafe(size)
  let offset = 0
  for (const entry of entries) {
    const record = encodeEntry(entry)
    blob.writeUInt32BE(record.byteLength, offset)
    blob.set(record, offset + 4)
    offset += 4 + record.byteLength
  }
  return blob
}

/**
 * The entries of a blob. They are views of one private copy of it, outside of the pool of `Buffer`, because what
 * arrives from a socket is a view of a larger buffer that would stay alive with them.
 */
export const decodeEntries = (blob: Uint8Array): ReadonlyArray<Entry> | CodecError => {
  const bytes = Buffer.allocUnsafeSlow(blob.byteLength)
  bytes.set(blob)
  const entries: Array<Entry> = []
  let offset = 0
  while (offset < bytes.byteLength) {
    if (bytes.byteLength - offset < 4) return new CodecError("the blob ends inside a length")
    const length = bytes.readUInt32BE(offset)
    offset += 4
    if (length > bytes.byteLength - offset) {
      return new CodecError(`a record of ${length} bytes is announced, ${bytes.byteLength - offset} are left`)
    }
    const entry = decodeEntry(bytes.subarray(offset, offset + length))
    if (entry instanceof CodecError) return entry
    entries.push(entry)
    offset += length
  }
  return entries
}

const hex = (value: number): string => `0x${value.toString(16).padStart(8, "0")}`
