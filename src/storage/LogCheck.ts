/** What makes rows of `raft_log`, or entries of segments, a log: none is missing or broken, and terms never go back. */
import { Effect } from "effect"
import type { RecordFields } from "../protocol/EntryRecord.ts"
import { decodeEntry } from "../protocol/EntryRecord.ts"
import { CodecError } from "../bytes/CodecError.ts"
import type { Entry, LogIndex, LogPoint, Term, TermRun } from "../raft/Types.ts"
import { indexOfLogKey, logKey } from "./Codec.ts"
import type { Reader, Row } from "./rocksdb/Reader.ts"
import type { StorageError } from "./StorageError.ts"

/** A row of `raft_log` as an entry, or what is wrong with it. */
export const entryOfRow = (row: Row): Entry | CodecError => {
  const index = indexOfLogKey(row.key)
  if (index < 0) return new CodecError(`a key of raft_log is no index: ${Buffer.from(row.key).toString("hex")}`)
  const entry = decodeEntry(row.value)
  if (entry instanceof CodecError) return new CodecError(`entry ${index}: ${entry.message}`)
  return entry.index === index ? entry : new CodecError(`entry ${index} holds the record of entry ${entry.index}`)
}

/** One entry, or what is wrong with it. */
export const entryAt = (reader: Reader, index: LogIndex): Effect.Effect<Entry | CodecError, StorageError> => {
  const key = logKey(index)
  return Effect.map(
    reader.get("raft_log", key),
    (value) => value === undefined ? new CodecError(`entry ${index} is missing`) : entryOfRow({ key, value })
  )
}

/** Takes entries in order, and says what is wrong with the first that is wrong. */
export class LogCheck {
  /** The last entry that was right. */
  last: LogPoint
  /** What is wrong with the one behind it. */
  problem: string | undefined
  readonly termRuns: Array<TermRun>
  /** Bytes of the entries that were taken. */
  bytes = 0
  /** The timestamp of the last entry that was taken and has one; 0 when none has. */
  lastTimestampMs = 0

  /** Takes what follows `last`; `termRuns` is where the terms up to there begin. */
  constructor(last: LogPoint, termRuns: ReadonlyArray<TermRun> = []) {
    this.last = last
    this.termRuns = [...termRuns]
  }

  /** Takes a row, and answers whether it is right. */
  takesRow(row: Row): boolean {
    return this.takes(entryOfRow(row), row.value.byteLength)
  }

  /** Takes an entry that has so many bytes, or what is wrong with it, and answers whether it is right. */
  takes(entry: RecordFields | CodecError, bytes: number): boolean {
    this.problem = entry instanceof CodecError ? entry.message : this.problemOf(entry)
    if (entry instanceof CodecError || this.problem !== undefined) return false
    if (entry.term !== this.termRuns[this.termRuns.length - 1]?.term) {
      this.termRuns.push({ firstIndex: entry.index, term: entry.term })
    }
    this.last = { index: entry.index, term: entry.term }
    this.bytes += bytes
    if (entry.timestampMs !== 0) this.lastTimestampMs = entry.timestampMs
    return true
  }

  /** The term of an entry; `undefined` where no term begins at or before it. */
  termAt(index: LogIndex): Term | undefined {
    let term: Term | undefined
    for (const run of this.termRuns) if (run.firstIndex <= index) ({ term } = run)
    return term
  }

  private problemOf({ index, term }: RecordFields): string | undefined {
    const { last } = this
    if (index !== last.index + 1) return `entry ${last.index + 1} is missing, ${index} follows`
    return term < last.term ? `entry ${index} has term ${term} after term ${last.term}` : undefined
  }
}
