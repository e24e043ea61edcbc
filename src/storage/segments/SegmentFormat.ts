/**
 * The files of the log, the segments: their names, and the bytes in them.
 *
 * ```
 * offset  size  field
 *      0     4  CRC-32 of the rest of the header, big-endian like all numbers here
 *      4     8  "FlareLog"
 *     12     4  format version (1)
 *     16     8  sequence number, the one in the name
 *     24     8  base: index of the entry that the first one follows
 *     32     8  base: its term
 *     40     8  zero
 *     48     n  entries, each a length of four bytes and its record (`protocol/EntryRecord.ts`)
 * ```
 *
 * Indexes within a segment are consecutive, from the one behind the base on. The base also says where the log of all
 * segments before it ends: what they hold behind it is void, because a leader replaced it or a write was not finished.
 *
 * A segment is as long as it may become from the beginning on, in zeros without room on the disk: otherwise each sync
 * would write a new length down, too. A length of zero ends it. It is cut to what it holds once the next one begins. No
 * byte is written twice, so nothing that was synced can be torn.
 */
import { crc32 } from "node:zlib"
import { CodecError } from "../../bytes/CodecError.ts"
import { readSafeU64, readU32, writeU64 } from "../../bytes/U64.ts"
import type { LogPoint } from "../../raft/Types.ts"
import { LogIndex, Term } from "../../raft/Types.ts"
import { otherFormat } from "../../Version.ts"

/** Bytes of a segment before its first entry. */
export const headerBytes = 48

/** Bytes of a length before a record. */
export const lengthBytes = 4

const formatVersion = 1
const magic = Buffer.from("FlareLog", "latin1")
const namePattern = /^flaredb-log-(\d{12})$/

/** The name of a segment in the data directory. */
export const segmentFile = (sequence: number): string => `flaredb-log-${String(sequence).padStart(12, "0")}`

/** The sequence number in the name of a file; `undefined` when it is no segment's. */
export const sequenceOf = (name: string): number | undefined => {
  const match = namePattern.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** Whether this is the name of a segment that was being written once more. */
export const isPartial = (name: string): boolean => /^flaredb-log-\d{12}\.partial-/.test(name)

export const encodeHeader = (sequence: number, base: LogPoint): Uint8Array => {
  const header = Buffer.alloc(headerBytes)
  header.set(magic, 4)
  header.writeUInt32BE(formatVersion, 12)
  writeU64(header, sequence, 16)
  writeU64(header, base.index, 24)
  writeU64(header, base.term, 32)
  header.writeUInt32BE(crc32(header.subarray(4)), 0)
  return header
}

/**
 * The base in a header, or why this release cannot read the segment; `undefined` where there is no whole header: the
 * file was never begun, or the write that began it was not finished.
 */
export const decodeHeader = (header: Uint8Array, sequence: number): LogPoint | CodecError | undefined => {
  const bytes = header.subarray(0, headerBytes)
  if (bytes.byteLength < headerBytes || readU32(bytes, 0) !== crc32(bytes.subarray(4))) return undefined
  if (!magic.equals(bytes.subarray(4, 12))) return new CodecError("the header is not that of a segment")
  const version = readU32(bytes, 12)
  if (version !== formatVersion) return new CodecError(`a segment of ${otherFormat(version, formatVersion)}`)
  const found = readSafeU64(bytes, 16)
  if (found !== sequence) return new CodecError(`the header is that of segment ${found}`)
  const index = readSafeU64(bytes, 24)
  const term = readSafeU64(bytes, 32)
  if (index < 0 || term < 0) return new CodecError("index or term in the header is out of range")
  return { index: LogIndex(index), term: Term(term) }
}
