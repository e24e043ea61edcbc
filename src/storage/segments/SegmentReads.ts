/** Reads entries of segments from their files, each checked against its checksum. */
import { open } from "node:fs/promises"
import { join } from "node:path"
import { CodecError } from "../../bytes/CodecError.ts"
import { readU32 } from "../../bytes/U64.ts"
import { decodeEntry } from "../../protocol/EntryRecord.ts"
import type { Entry } from "../../raft/Types.ts"
import { addIndex, LogIndex, minIndex } from "../../raft/Types.ts"
import type { Segment } from "./Segment.ts"
import { lengthBytes, segmentFile } from "./SegmentFormat.ts"

/** The bytes of a file from `from` up to `to`, which it must have. */
const bytesOf = async (path: string, from: number, to: number): Promise<Uint8Array> => {
  const file = await open(path, "r")
  try {
    // Entries keep what they were read into, so it is not taken from the pool of `Buffer`.
    const bytes = Buffer.allocUnsafeSlow(to - from)
    const { bytesRead } = await file.read(bytes, 0, bytes.byteLength, from)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** The segment that holds `index`, if one does: the last one that begins before it. */
const segmentWith = (segments: ReadonlyArray<Segment>, index: LogIndex): Segment | undefined => {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((segments[middle] as Segment).base.index < index) low = middle + 1
    else high = middle
  }
  const found = segments[low - 1]
  return found !== undefined && index <= found.last ? found : undefined
}

/** The last entry up to `through` that lies within `bytes` of the beginning of `from`; at least `from` itself. */
const lastWithin = (segment: Segment, from: LogIndex, through: LogIndex, bytes: number): LogIndex => {
  const limit = segment.offsetOf(from) + bytes
  let low: number = from
  let high: number = minIndex(through, segment.last)
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (segment.endOf(LogIndex(middle)) <= limit) low = middle
    else high = middle - 1
  }
  return LogIndex(low)
}

/** What is wrong with an entry that was read, or the entry. */
const entryAt = (bytes: Uint8Array, at: number, index: LogIndex): Entry | CodecError => {
  if (bytes.byteLength < at + lengthBytes) return new CodecError(`entry ${index} is missing`)
  const begin = at + lengthBytes
  const entry = decodeEntry(bytes.subarray(begin, begin + readU32(bytes, at)))
  if (entry instanceof CodecError) return new CodecError(`entry ${index}: ${entry.message}`)
  return entry.index === index ? entry : new CodecError(`entry ${index} holds the record of entry ${entry.index}`)
}

/**
 * Entries `from..through`, at least one and then as many as fit into `maxBytes`, or what is wrong with the first that
 * is wrong. Ends early where the segments end.
 */
export const readEntries = async (
  folder: string,
  segments: ReadonlyArray<Segment>,
  from: LogIndex,
  through: LogIndex,
  maxBytes: number
): Promise<ReadonlyArray<Entry> | CodecError> => {
  const entries: Array<Entry> = []
  let left = maxBytes
  for (let next = from; next <= through && (left > 0 || entries.length === 0);) {
    const segment = segmentWith(segments, next)
    if (segment === undefined) break
    const begin = segment.offsetOf(next)
    const last = lastWithin(segment, next, through, left)
    const end = segment.endOf(last)
    if (entries.length > 0 && end - begin > left) break
    const bytes = await bytesOf(join(folder, segmentFile(segment.sequence)), begin, end)
    for (let index = next; index <= last; index = addIndex(index, 1)) {
      const entry = entryAt(bytes, segment.offsetOf(index) - begin, index)
      if (entry instanceof CodecError) return entry
      entries.push(entry)
    }
    left -= end - begin
    next = addIndex(last, 1)
  }
  return entries
}
