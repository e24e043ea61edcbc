/** Reads what a data directory holds of log, hard state and conf state, and checks that it makes sense. */
import { Context, Effect } from "effect"
import { CodecError } from "../bytes/CodecError.ts"
import type { LogPoint } from "../raft/Types.ts"
import { addIndex, LogIndex, NodeId, origin, Term } from "../raft/Types.ts"
import type { HardStateRecord } from "./Codec.ts"
import { decodeConfState, decodeHardState, decodePoint, logEnd, logKey, stateKeys } from "./Codec.ts"
import type { DurableFloor, Vote } from "./DurableFloor.ts"
import { entryAt, entryOfRow, LogCheck } from "./LogCheck.ts"
import { termRunsOf } from "./LogTerms.ts"
import type { RecoveredLog } from "./LogStore.ts"
import type { Reader } from "./rocksdb/Reader.ts"
import type { RocksDb } from "./rocksdb/RocksDb.ts"
import type { StorageError } from "./StorageError.ts"
import { StorageCorruption } from "./StorageError.ts"

/** Reads one record of `raft_state`; `undefined` when it was never written. */
const record = <A>(
  reader: Reader,
  path: string,
  key: string,
  decode: (bytes: Uint8Array) => A | CodecError
): Effect.Effect<A | undefined, StorageError> =>
  Effect.flatMap(reader.get("raft_state", key), (bytes): Effect.Effect<A | undefined, StorageError> => {
    if (bytes === undefined) return Effect.succeed(undefined)
    const value = decode(bytes)
    return value instanceof CodecError
      ? Effect.fail(new StorageCorruption({ path, detail: value.message, safe: "the log itself was not looked at" }))
      : Effect.succeed(value)
  })

/**
 * What is wrong with a hard state when `known` was durable: terms never go back, and a vote stays the same within its
 * term.
 */
const voteProblem = (
  hardState: typeof HardStateRecord.Type | undefined,
  known: Vote | undefined
): string | undefined => {
  if (known === undefined) return undefined
  const term = hardState?.term ?? 0
  const votedFor = hardState?.votedFor ?? undefined
  if (term > known.term || (term === known.term && (known.votedFor === undefined || votedFor === known.votedFor))) {
    return undefined
  }
  const vote = (inTerm: number, node: number | undefined) =>
    `term ${inTerm} with ${node === undefined ? "no vote" : `a vote for node ${node}`}`
  return `the hard state says ${vote(term, votedFor)}, but ${vote(known.term, known.votedFor)} was durable: it was lost`
}

/** What is wrong with a log that should reach `floor`. */
const floorProblem = (check: LogCheck, floor: DurableFloor | undefined, compacted: LogPoint): string | undefined => {
  if (floor === undefined || floor.index <= compacted.index) return undefined
  if (check.last.index < floor.index) {
    return `the log ends at ${check.last.index}, but it was durable up to ${floor.index}: its tail was lost`
  }
  const term = check.termAt(floor.index)
  return term === floor.term
    ? undefined
    : `entry ${floor.index} has term ${term}, but term ${floor.term} was durable there`
}

/** Rows of the log that a start has in memory at a time. Each may have a megabyte. */
const rowsAtOnce = 64

/** Has `check` take the rest of the log. */
const readOn = (reader: Reader, check: LogCheck): Effect.Effect<LogCheck, StorageError> => {
  const range = { gte: logKey(addIndex(check.last.index, 1)), lt: logEnd, rowsAtOnce }
  return Effect.as(reader.scan("raft_log", range, (row) => check.takes(row)), check)
}

/**
 * How many of the entries that the floor covers a start reads: the newest, which followers and the state machine will
 * want. What is older is checked later. A short log is read whole.
 */
export const EntriesReadAtStart: Context.Reference<number> = Context.Reference<number>(
  "flaredb/storage/EntriesReadAtStart",
  { defaultValue: () => 10_000 }
)

/**
 * The log read from behind `trusted` on, which the floor covers. The floor says that everything up to it was written
 * and synced by an earlier run, in order, and it is lowered before a tail goes. So that part is whole, unless the disk
 * has lost or changed what it had kept. `undefined` when anything looks like it: the whole log tells what is wrong.
 */
const readBehind = Effect.fnUntraced(function*(reader: Reader, compacted: LogPoint, trusted: LogIndex) {
  const entry = yield* entryAt(reader, trusted)
  if (entry instanceof CodecError) return undefined
  const termRuns = yield* termRunsOf(reader, compacted, entry)
  if (termRuns === undefined) return undefined
  const check = yield* readOn(reader, new LogCheck(entry, termRuns))
  return check.problem === undefined ? check : undefined
})

/** Entries that are read at first when a timestamp is looked for, and at a time later: the first may be large. */
const timestampPage = 2
const maxTimestampPage = 512

/** The timestamp of the last entry after `compacted` and up to `last` that has one; 0 when none has. */
const lastTimestamp = Effect.fnUntraced(function*(reader: Reader, compacted: LogIndex, last: LogIndex) {
  const first = addIndex(compacted, 1)
  let end = last
  for (let limit = timestampPage; end > compacted; limit = Math.min(limit * 2, maxTimestampPage)) {
    const timestamps: Array<number> = []
    const range = { gte: logKey(first), lt: logKey(addIndex(end, 1)), limit, reverse: true }
    yield* reader.scan("raft_log", range, (row) => {
      const entry = entryOfRow(row)
      timestamps.push(entry instanceof CodecError ? 0 : entry.timestampMs)
      return entry instanceof CodecError || entry.timestampMs === 0
    })
    const timestampMs = timestamps[timestamps.length - 1]
    if (timestampMs === undefined || timestampMs !== 0) return timestampMs ?? 0
    end = addIndex(end, -timestamps.length)
  }
  return 0
})

/** A log as a start found it. */
export interface FoundLog {
  readonly log: RecoveredLog
  /** Up to where it was not read, but is what an earlier run wrote; `log.compacted.index` where all of it was read. */
  readonly trustedThrough: LogIndex
}

/**
 * Everything start-up needs to know. The log must reach `floor`. Of what that covers the newest `readEntries` are read;
 * what is older has to be checked later (`LogScrub.ts`), and `bytes` is about right then.
 */
export const recoverLog = Effect.fnUntraced(function*(
  database: Pick<RocksDb["Service"], "approximateBytes" | "get" | "getMany" | "scan">,
  path: string,
  floor: DurableFloor | undefined,
  readEntries: number
) {
  const hardState = yield* record(database, path, stateKeys.hardState, decodeHardState)
  const confState = yield* record(database, path, stateKeys.confState, decodeConfState)
  const compactedRecord = yield* record(database, path, stateKeys.compacted, decodePoint)
  const compacted: LogPoint = compactedRecord === undefined
    ? origin
    : { index: LogIndex(compactedRecord.index), term: Term(compactedRecord.term) }
  // An interrupted reset left entries that no longer count.
  const resetting = (yield* database.get("raft_state", stateKeys.resetting)) !== undefined

  let trustedThrough = compacted.index
  let check = new LogCheck(compacted)
  if (!resetting) {
    const trusted = LogIndex(Math.max(compacted.index, (floor?.index ?? 0) - readEntries))
    const behind = trusted > compacted.index ? yield* readBehind(database, compacted, trusted) : undefined
    if (behind !== undefined) trustedThrough = trusted
    check = behind ?? (yield* readOn(database, check))
  }
  const problem = check.problem ?? floorProblem(check, floor, compacted) ?? voteProblem(hardState, floor?.vote)
  if (problem !== undefined) {
    return yield* new StorageCorruption({ path, detail: problem, safe: `log entries up to ${check.last.index}` })
  }
  const firstKey = logKey(addIndex(compacted.index, 1))
  const log: RecoveredLog = {
    hardState: {
      term: Term(hardState?.term ?? 0),
      votedFor: hardState === undefined || hardState.votedFor === null ? undefined : NodeId(hardState.votedFor),
      commit: LogIndex(hardState?.commit ?? 0),
      ...(hardState?.membership === undefined ? {} : { membership: hardState.membership })
    },
    confState: { voters: (confState?.voters ?? []).map(NodeId) },
    compacted,
    lastIndex: check.last.index,
    bytes: trustedThrough > compacted.index
      ? yield* database.approximateBytes("raft_log", firstKey, logEnd)
      : check.bytes,
    lastTimestampMs: check.lastTimestampMs || (yield* lastTimestamp(database, compacted.index, trustedThrough)),
    termRuns: check.termRuns
  }
  const found: FoundLog = { log, trustedThrough }
  return found
})
