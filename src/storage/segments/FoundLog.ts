/**
 * Reads the segments of a data directory. All entries that count are checked: each is whole, none is missing, and terms
 * never go back. Nothing is changed.
 *
 * The last segment ends with its first entry that is not whole: of a write that no sync covered any part may be there.
 * What was synced and is gone all the same shows in the durable floor (`DurableFloor.ts`).
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { CodecError } from "../../bytes/CodecError.ts"
import { readU32 } from "../../bytes/U64.ts"
import type { RecordFields } from "../../protocol/EntryRecord.ts"
import { decodeFields } from "../../protocol/EntryRecord.ts"
import type { LogPoint } from "../../raft/Types.ts"
import { LogIndex, minIndex } from "../../raft/Types.ts"
import type { FileIdentity } from "../FileIdentity.ts"
import { LogCheck } from "../LogCheck.ts"
import type { LogRecords } from "../LogRecords.ts"
import { Segment } from "./Segment.ts"
import { decodeHeader, headerBytes, lengthBytes, segmentFile, sequenceOf } from "./SegmentFormat.ts"
import type { FoundSegments } from "./SegmentLog.ts"

export interface FoundLog extends FoundSegments {
  /** The log that the segments hold, or what is wrong with it. */
  readonly check: LogCheck
  /** Bytes that an unfinished write has left behind the end of the log. */
  readonly unfinishedBytes: number
}

interface Header {
  readonly sequence: number
  readonly base: LogPoint | CodecError | undefined
}

const readHeader = (path: string): Uint8Array => {
  const header = Buffer.alloc(headerBytes)
  const file = openSync(path, "r")
  try {
    return header.subarray(0, readSync(file, header, 0, headerBytes, 0))
  } finally {
    closeSync(file)
  }
}

const headersIn = (folder: string): Array<Header> =>
  readdirSync(folder)
    .flatMap((name) => sequenceOf(name) ?? [])
    .sort((a, b) => a - b)
    .map((sequence) => ({ sequence, base: decodeHeader(readHeader(join(folder, segmentFile(sequence))), sequence) }))

/** Reads files one after another into the same memory. */
class WholeFiles {
  private memory = Buffer.alloc(0)

  /** What is in a file, and which file it is. Good until the next call. */
  async read(path: string): Promise<{ readonly bytes: Uint8Array; readonly identity: FileIdentity }> {
    const file = await open(path, "r")
    try {
      const { dev, ino, size } = await file.stat()
      if (size > this.memory.byteLength) this.memory = Buffer.allocUnsafeSlow(size)
      let end = 0
      for (let bytesRead = -1; end < size && bytesRead !== 0; end += bytesRead) {
        ;({ bytesRead } = await file.read(this.memory, end, size - end, end))
      }
      return { bytes: this.memory.subarray(0, end), identity: { dev, ino } }
    } finally {
      await file.close()
    }
  }
}

const isPoint = (base: Header["base"]): base is LogPoint => base !== undefined && !(base instanceof CodecError)

/** The entry at `at`, or what is wrong with it. */
const entryIn = (bytes: Uint8Array, at: number, length: number): RecordFields | CodecError => {
  const begin = at + lengthBytes
  return begin + length > bytes.byteLength
    ? new CodecError(`a record of ${length} bytes is announced`)
    : decodeFields(bytes.subarray(begin, begin + length))
}

/** Takes the entries of a segment as far as they are whole, and not those behind `end`. */
const walk = (bytes: Uint8Array, segment: Segment, end: LogIndex, compacted: LogIndex, check: LogCheck): void => {
  for (let index = segment.base.index + 1; index <= end; index++) {
    const at = segment.size
    const length = at + lengthBytes > bytes.byteLength ? 0 : readU32(bytes, at)
    if (length === 0) return
    const entry = entryIn(bytes, at, length)
    if (entry instanceof CodecError) return
    if (index <= compacted && entry.index !== index) {
      check.takes(new CodecError(`entry ${index} is missing, ${entry.index} follows`), 0)
    }
    if (check.problem !== undefined || (index > compacted && !check.takes(entry, length))) return
    segment.add(lengthBytes + length)
  }
}

/** Bytes behind `at` up to the last one that is not zero. */
const usedBehind = (bytes: Uint8Array, at: number): number => {
  let end = bytes.byteLength
  while (end > at && bytes[end - 1] === 0) end -= 1
  return end - at
}

/** Why a segment does not follow what was read before it, if so. */
const gap = ({ base, sequence }: Header, { last }: LogCheck): string | undefined => {
  const file = segmentFile(sequence)
  if (base === undefined) return `${file} has no whole header`
  if (base instanceof CodecError) return `${file}: ${base.message}`
  if (base.index > last.index) return `entry ${last.index + 1} is missing, ${file} begins behind ${base.index}`
  return base.index === last.index && base.term !== last.term
    ? `${file} follows entry ${base.index} of term ${base.term}, and that entry has term ${last.term}`
    : undefined
}

/**
 * The log behind `compacted` in the segments of `folder`; none of them counts while a reset is under way. A segment of
 * `segmentBytes` is full.
 */
export const findLog = async (
  folder: string,
  { compacted, resetting }: Pick<LogRecords, "compacted" | "resetting">,
  segmentBytes: number
): Promise<FoundLog> => {
  const headers = headersIn(folder)
  const nextSequence = (headers.at(-1)?.sequence ?? 0) + 1
  const leftovers: Array<number> = []
  // The next one is made before it is needed, once the header of the one in use is durable.
  const ahead = headers.length > 0 && headers.at(-1)?.base === undefined ? headers.pop()?.sequence : undefined
  if (ahead !== undefined) leftovers.push(ahead)
  const first = resetting
    ? headers.length
    : headers.findLastIndex(({ base }) => isPoint(base) && base.index <= compacted.index)
  leftovers.push(...headers.splice(0, Math.max(0, first)).map(({ sequence }) => sequence))

  // A segment counts up to where a later one begins.
  const ends: Array<LogIndex> = []
  let lowest = LogIndex(Number.MAX_SAFE_INTEGER)
  for (const { base } of headers.toReversed()) {
    ends.unshift(lowest)
    if (isPoint(base)) lowest = minIndex(lowest, base.index)
  }

  const check = new LogCheck(compacted)
  const files = new WholeFiles()
  const segments: Array<Segment> = []
  // Where the first sync of a segment failed, a start writes it once more, and a loss of power takes the header of the
  // old file. The next segment follows what was read before it then, which no damage to a header that counts leaves.
  const headless: Array<Header> = []
  let unfinishedBytes = 0
  let unended = false
  for (const [i, header] of headers.entries()) {
    const end = ends[i] as LogIndex
    if (isPoint(header.base) && header.base.index >= end) {
      leftovers.push(header.sequence)
      continue
    }
    if (header.base === undefined && headers.slice(i + 1).some(({ base }) => isPoint(base))) {
      headless.push(header)
      continue
    }
    const problem = check.problem === undefined ? gap(header, check) : undefined
    const [cause = header] = headless
    if (problem !== undefined) check.takes(new CodecError(gap(cause, check) ?? problem), 0)
    leftovers.push(...headless.splice(0).map(({ sequence }) => sequence))
    if (check.problem !== undefined || !isPoint(header.base)) break
    const { bytes, identity } = await files.read(join(folder, segmentFile(header.sequence)))
    const segment = new Segment(header.sequence, header.base, identity)
    walk(bytes, segment, end, compacted.index, check)
    segment.seal()
    segments.push(segment)
    unfinishedBytes = usedBehind(bytes, segment.size)
    // One that is full may not have been ended, and is as long as one that was.
    unended = bytes.byteLength > segment.size || segment.size >= segmentBytes
  }
  return { segments, nextSequence, check, leftovers, ahead, unfinishedBytes, unended }
}
