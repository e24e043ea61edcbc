/** Segments made byte by byte, and logs on them without a database beside. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { encodeEntries } from "../../src/protocol/EntryRecord.ts"
import type { Entry, LogPoint } from "../../src/raft/Types.ts"
import { addIndex, LogIndex, origin, Term } from "../../src/raft/Types.ts"
import type { FoundLog } from "../../src/storage/segments/FoundLog.ts"
import { findLog } from "../../src/storage/segments/FoundLog.ts"
import { encodeHeader, segmentFile } from "../../src/storage/segments/SegmentFormat.ts"
import { SegmentLog } from "../../src/storage/segments/SegmentLog.ts"
import { readEntries } from "../../src/storage/segments/SegmentReads.ts"
import { SyncCount } from "../../src/storage/SyncCount.ts"
import { SyncPace } from "../../src/storage/SyncPace.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

/** A test with a folder of its own. */
export const inFolder = (name: string, run: (folder: string) => Promise<void>) =>
  it.live(name, () => Effect.flatMap(temporaryFolder, (folder) => Effect.promise(() => run(folder))))

export const pointAt = (index: number, term: number): LogPoint => ({ index: LogIndex(index), term: Term(term) })

/** The bytes of a segment without the zeros behind its entries. */
export const segmentBytes = (sequence: number, base: LogPoint, entries: ReadonlyArray<Entry>): Buffer =>
  Buffer.concat([encodeHeader(sequence, base), encodeEntries(entries)])

export const segmentPath = (folder: string, sequence: number): string => join(folder, segmentFile(sequence))

export const writeSegment = (folder: string, sequence: number, bytes: Uint8Array): void =>
  writeFileSync(segmentPath(folder, sequence), bytes)

/** Changes the bytes of a segment. */
export const changeSegment = (folder: string, sequence: number, change: (bytes: Buffer) => Uint8Array | void): void => {
  const bytes = readFileSync(segmentPath(folder, sequence))
  writeSegment(folder, sequence, change(bytes) ?? bytes)
}

/** What a start finds, and all entries of it. */
export interface FoundEntries {
  readonly found: FoundLog
  readonly entries: ReadonlyArray<Entry>
}

export const findEntries = async (
  folder: string,
  compacted: LogPoint = origin,
  resetting = false
): Promise<FoundEntries> => {
  const found = await findLog(folder, { compacted, resetting }, 65_536)
  const first = addIndex(compacted.index, 1)
  const entries = await readEntries(folder, found.segments, first, found.check.last.index, Number.MAX_SAFE_INTEGER)
  if (entries instanceof CodecError) return assert.fail(entries.message)
  return { found, entries }
}

/** Entries as text, to be compared. */
export const textsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> =>
  entries.map(({ index, payload, term }) => `${index}@${term} ${Buffer.from(payload).toString("latin1")}`)

export interface OpenOptions {
  readonly compacted?: LogPoint
  readonly segmentBytes?: number
  readonly syncs?: SyncCount
  readonly pace?: SyncPace
  /** `false` leaves syncs out. */
  readonly enabled?: boolean
  /** Gets the error of work that no call waits for; by default there must be none. */
  readonly failed?: (cause: unknown) => void
}

/** Starts a log on what is in the folder, which must be whole. */
export const openSegments = async (
  folder: string,
  options: OpenOptions = {}
): Promise<SegmentLog> => {
  const { compacted = origin, enabled = true, pace = new SyncPace(), segmentBytes: capacity = 65_536 } = options
  const { failed = (cause) => assert.fail(String(cause)), syncs = new SyncCount(() => undefined) } = options
  const found = await findLog(folder, { compacted, resetting: false }, capacity)
  assert.isUndefined(found.check.problem)
  const logOptions = {
    folder,
    segmentBytes: capacity,
    syncs: { count: syncs, pace, enabled },
    inBackground: (work: Promise<unknown>) => void work.catch(failed)
  }
  const log = new SegmentLog(logOptions, found, found.check.last)
  await log.takeOver(found)
  return log
}

/** Entries of a log that can be read. */
export const readSegments = async (log: SegmentLog, from: number, through: number): Promise<ReadonlyArray<Entry>> => {
  const entries = await log.read(LogIndex(from), LogIndex(through), Number.MAX_SAFE_INTEGER)
  return entries instanceof CodecError ? assert.fail(entries.message) : entries
}
