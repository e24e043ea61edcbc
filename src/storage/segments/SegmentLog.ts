/**
 * The entries of a log in its segments. Each segment begins where the one before it ends; a part that a leader replaces
 * ends it early, and what comes then begins the next one. Nothing is written behind the rest of an unfinished write: a
 * start that finds one goes on in a new file.
 *
 * The file of the next segment is made while the one before it fills up. Nothing here is retried: after an error the
 * log is not to be used any more.
 */
import { closeSync, readdirSync } from "node:fs"
import { open, unlink } from "node:fs/promises"
import { join } from "node:path"
import { CodecError } from "../../bytes/CodecError.ts"
import { isMissing } from "../../ErrorCode.ts"
import { encodeEntries } from "../../protocol/EntryRecord.ts"
import { entryBytes } from "../../raft/Config.ts"
import type { Entry, LogIndex, LogPoint } from "../../raft/Types.ts"
import { addIndex } from "../../raft/Types.ts"
import { isAt } from "../FileIdentity.ts"
import { partialPath, syncFolderAsync } from "../Folder.ts"
import { StorageCorruption } from "../StorageError.ts"
import type { EmptyFile } from "./EmptyFile.ts"
import { makeEmptyFile } from "./EmptyFile.ts"
import { Segment } from "./Segment.ts"
import { headerBytes, isPartial, lengthBytes, segmentFile } from "./SegmentFormat.ts"
import { readEntries } from "./SegmentReads.ts"
import type { Syncs } from "./SegmentWriter.ts"
import { SegmentWriter } from "./SegmentWriter.ts"

/** What a start found. */
export interface FoundSegments {
  /** Those whose entries count, in order. */
  readonly segments: ReadonlyArray<Segment>
  /** The sequence number of a segment that begins now. */
  readonly nextSequence: number
  /** Sequence numbers of files that hold nothing which counts, `ahead` among them. */
  readonly leftovers: ReadonlyArray<number>
  /** That of a file at the end that was made ahead, or whose header was not finished. */
  readonly ahead: number | undefined
  /** The last one was not ended in good order. */
  readonly unended: boolean
}

export interface SegmentLogOptions {
  /** The data directory. */
  readonly folder: string
  /** Bytes of a segment. It is longer only where its one entry is. */
  readonly segmentBytes: number
  readonly syncs: Syncs
  /** Gets work that no call waits for, which may go on after a failure. */
  readonly inBackground: (work: Promise<unknown>) => void
}

/** Bytes of entries that are in memory at a time while a segment is written once more, or one entry. */
const rewriteBytes = 4 * 1024 * 1024

/** Files that are compared with what they were at a time, so that a long log costs its thread no time. */
const filesLookedAt = 64

const syncFile = async (path: string): Promise<void> => {
  const file = await open(path, "r")
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}

const storedBytes = (entry: Entry): number => lengthBytes + entryBytes(entry)

const storedBytesOf = (entries: ReadonlyArray<Entry>): number => {
  let bytes = 0
  for (const entry of entries) bytes += storedBytes(entry)
  return bytes
}

export class SegmentLog {
  private readonly options: SegmentLogOptions
  private segments: ReadonlyArray<Segment>
  /** Sequence numbers of the files that are there, void ones too. */
  private readonly files: Set<number>
  private nextSequence: number
  private last: LogPoint
  private writer: SegmentWriter | undefined
  private next: Promise<EmptyFile> | undefined
  /** The end of the log is in no header yet, and not where the last segment ends. */
  private truncated = false
  /** Segments before this one were compared with their files since the look began with the first. */
  private lookedAt = 0

  /** `last` is the last entry of the log, or what it follows where it has none. */
  constructor(
    options: SegmentLogOptions,
    { nextSequence, segments }: Pick<FoundSegments, "nextSequence" | "segments">,
    last: LogPoint
  ) {
    this.options = options
    this.segments = segments
    this.files = new Set(segments.map(({ sequence }) => sequence))
    this.nextSequence = nextSequence
    this.last = last
  }

  /**
   * Adds entries, consecutive and behind the last one, durably. `undefined` when that is done already. One call of this
   * class that writes at a time.
   */
  append(entries: ReadonlyArray<Entry>): Promise<void> | undefined {
    const { writer } = this
    if (entries.length === 0) return undefined
    if (writer === undefined || !writer.takes(storedBytesOf(entries))) return this.appendOnPool(entries)
    const waiting = writer.writeDurably(encodeEntries(entries))
    if (waiting !== undefined) return waiting.then(() => this.added(writer.segment, entries))
    this.added(writer.segment, entries)
    return undefined
  }

  /** Has the log end with `index`. Durable with the next entries, or with `sync`. */
  async truncate(index: LogIndex): Promise<void> {
    if (index >= this.last.index) return
    const last = await this.pointAt(index)
    await this.endSegment()
    for (const segment of this.segments) segment.cutBehind(index)
    this.segments = this.segments.filter(({ base }) => base.index < index)
    this.last = last
    this.truncated = true
  }

  /** Makes durable where the log ends. */
  async sync(): Promise<void> {
    if (!this.truncated) return
    await (await this.beginSegment()).sync()
    this.prepareNext()
  }

  /** Removes the files without an entry behind `index`, which is known to be the beginning of the log. */
  async removeThrough(index: LogIndex): Promise<void> {
    const first = this.segments.findLastIndex(({ base }) => base.index <= index)
    if (first < 0) return
    this.segments = this.segments.slice(first)
    const { sequence } = this.segments[0] as Segment
    await this.unlink([...this.files].filter((file) => file < sequence))
  }

  /** Removes all entries: the log goes on behind `point`. */
  async restart(point: LogPoint): Promise<void> {
    await this.endSegment()
    this.segments = []
    this.last = point
    this.truncated = false
    await this.unlink([...this.files])
    await syncFolderAsync(this.options.folder)
  }

  /**
   * Makes durable what a start has read, because the node will count on it. After kill -9 the system has bytes that no
   * sync covered. Where a sync failed, it may hold them to be written although they are not (fsyncgate, 2018), and a
   * further sync would succeed: so a segment that was not ended is written once more, and goes on in its new file.
   */
  async takeOver({ ahead, leftovers, unended }: Pick<FoundSegments, "ahead" | "leftovers" | "unended">): Promise<void> {
    const { folder } = this.options
    // One that was killed may have had the same process id, as in a container: its file would be in the way.
    for (const name of readdirSync(folder)) if (isPartial(name)) await unlink(join(folder, name))
    // Behind it comes a segment with a header now, and no start takes a file without one for unused before such.
    if (ahead !== undefined) await this.unlink([ahead])
    for (const { sequence } of this.segments) await syncFile(join(folder, segmentFile(sequence)))
    const last = this.segments.at(-1)
    // One that ends before the log begins has nothing that counts, and what follows has no place behind it. One without
    // entries says where the log was truncated.
    if (unended && last !== undefined && last.last === this.last.index) await this.rewrite(last)
    await syncFolderAsync(folder)
    // What makes a file a leftover is durable now. Otherwise a loss of power could leave neither.
    await this.unlink(leftovers)
  }

  /** Removes files of segments of which no entry counts. */
  async unlink(sequences: ReadonlyArray<number>): Promise<void> {
    for (const sequence of sequences) {
      try {
        await unlink(join(this.options.folder, segmentFile(sequence)))
      } catch (error) {
        if (!isMissing(error)) throw error
      }
      this.files.delete(sequence)
    }
  }

  /** See `readEntries`. None where the beginning was removed meanwhile. */
  async read(from: LogIndex, through: LogIndex, maxBytes: number): Promise<ReadonlyArray<Entry> | CodecError> {
    try {
      return await readEntries(this.options.folder, this.segments, from, through, maxBytes)
    } catch (error) {
      if (isMissing(error) && from <= (this.segments[0]?.base ?? this.last).index) return []
      throw error
    }
  }

  /** What of it is needed and gone, or another file by now: all names are looked at, and some of the files in turn. */
  missing(): string | undefined {
    const { options: { folder }, segments } = this
    try {
      const names = new Set(readdirSync(folder))
      const gone = segments.find(({ sequence }) => !names.has(segmentFile(sequence))) ??
        this.nextToLookAt().find(({ identity, sequence }) => !isAt(join(folder, segmentFile(sequence)), identity))
      return gone === undefined ? undefined : segmentFile(gone.sequence)
    } catch (error) {
      if (isMissing(error)) return "the directory itself"
      throw error
    }
  }

  /** Ends in good order: the next start finds nothing but what counts. */
  async close(): Promise<void> {
    await this.endSegment()
    const next = await this.next
    if (next === undefined) return
    await this.abandon()
    await unlink(next.path)
  }

  /** Gives back the files that are still open, and writes nothing. */
  async abandon(): Promise<void> {
    const { next, writer } = this
    this.writer = undefined
    this.next = undefined
    writer?.close()
    // Without it there is nothing to give back, and its failure is known.
    const file = await next?.catch(() => undefined)
    if (file !== undefined) closeSync(file.descriptor)
  }

  /** Some of the segments, and those behind them the next time. */
  private nextToLookAt(): ReadonlyArray<Segment> {
    const begin = this.lookedAt < this.segments.length ? this.lookedAt : 0
    this.lookedAt = begin + filesLookedAt
    return this.segments.slice(begin, this.lookedAt)
  }

  private async appendOnPool(entries: ReadonlyArray<Entry>): Promise<void> {
    for (let done = 0; done < entries.length;) {
      const writer = this.writer ?? await this.beginSegment()
      const end = this.fitting(entries, done, writer)
      if (end === done) {
        await this.endSegment()
        continue
      }
      const part = entries.slice(done, end)
      await writer.write(encodeEntries(part))
      await writer.sync()
      this.added(writer.segment, part)
      done = end
    }
  }

  /** How many of the entries go into a segment; one at least into an empty one. */
  private fitting(entries: ReadonlyArray<Entry>, from: number, { room, segment }: SegmentWriter): number {
    let end = from
    for (let bytes = 0; end < entries.length; end++) {
      bytes += storedBytes(entries[end] as Entry)
      if (bytes > room) break
    }
    return end === from && segment.last === segment.base.index ? from + 1 : end
  }

  private added(segment: Segment, entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) segment.add(storedBytes(entry))
    const { index, term } = entries[entries.length - 1] as Entry
    this.last = { index, term }
    this.prepareNext()
  }

  /** Writes a segment into another file, which takes its place in one step, once it is whole. */
  private async rewrite(old: Segment): Promise<void> {
    const { folder, segmentBytes, syncs } = this.options
    const sequence = this.nextSequence
    this.nextSequence += 1
    const path = join(folder, segmentFile(sequence))
    const file = await makeEmptyFile(folder, partialPath(path), sequence, Math.max(segmentBytes, old.size))
    const segment = new Segment(sequence, old.base, file.identity)
    const writer = new SegmentWriter(file, segment, syncs)
    this.writer = writer
    await writer.writeHeader()
    for (let next = addIndex(old.base.index, 1); next <= old.last; next = addIndex(segment.last, 1)) {
      const part = await this.wholeEntries([old], next, old.last, rewriteBytes)
      await writer.write(encodeEntries(part))
      for (const entry of part) segment.add(storedBytes(entry))
    }
    await writer.sync()
    await writer.rename(path)
    this.segments = [...this.segments.slice(0, -1), segment]
    this.files.add(sequence)
    await this.unlink([old.sequence])
    this.prepareNext()
  }

  private async pointAt(index: LogIndex): Promise<LogPoint> {
    const base = this.segments.find((segment) => segment.base.index === index)?.base
    if (base !== undefined) return base
    const [{ term }] = await this.wholeEntries(this.segments, index, index, 0)
    return { index, term }
  }

  /** See `readEntries`: one entry at least. */
  private async wholeEntries(
    segments: ReadonlyArray<Segment>,
    from: LogIndex,
    through: LogIndex,
    maxBytes: number
  ): Promise<readonly [Entry, ...Array<Entry>]> {
    const { folder } = this.options
    const found = await readEntries(folder, segments, from, through, maxBytes)
    if (!(found instanceof CodecError) && found[0] !== undefined) return [found[0], ...found.slice(1)]
    const detail = found instanceof CodecError ? found.message : `entry ${from} is missing`
    throw new StorageCorruption({ path: folder, detail, safe: "log entries before it" })
  }

  private async beginSegment(): Promise<SegmentWriter> {
    const file = await (this.next ?? this.makeNext())
    this.next = undefined
    const segment = new Segment(file.sequence, this.last, file.identity)
    const writer = new SegmentWriter(file, segment, this.options.syncs)
    this.writer = writer
    await writer.writeHeader()
    this.files.add(file.sequence)
    this.segments = [...this.segments, segment]
    this.truncated = false
    return writer
  }

  /** Once the header of the file in use is durable: a start takes one file without a header at most for unused. */
  private prepareNext(): void {
    if (this.next !== undefined) return
    this.next = this.makeNext()
    this.options.inBackground(this.next)
  }

  private async endSegment(): Promise<void> {
    const { writer } = this
    if (writer === undefined) return
    await writer.finish()
    writer.segment.seal()
    this.writer = undefined
  }

  private makeNext(): Promise<EmptyFile> {
    const { folder, segmentBytes } = this.options
    const sequence = this.nextSequence
    this.nextSequence += 1
    return makeEmptyFile(folder, join(folder, segmentFile(sequence)), sequence, Math.max(segmentBytes, headerBytes))
  }
}
