/** Reads what a data directory holds of log, hard state and conf state, and checks that it makes sense. */
import { Effect } from "effect"
import { CodecError, decodeEntry } from "../codec/EntryRecord.ts"
import type { Entry, LogPoint, TermRun } from "../raft/Types.ts"
import { addIndex, LogIndex, NodeId, origin, Term } from "../raft/Types.ts"
import type { HardStateRecord } from "./Codec.ts"
import { decodeConfState, decodeHardState, decodePoint, indexOfLogKey, logEnd, logKey, stateKeys } from "./Codec.ts"
import type { DurableFloor, Vote } from "./DurableFloor.ts"
import type { RecoveredLog } from "./LogStore.ts"
import type { Reader, Row } from "./rocksdb/Reader.ts"
import type { StorageError } from "./StorageError.ts"
import { StorageCorruption } from "./StorageError.ts"

/** A row of `raft_log` as an entry, or what is wrong with it. */
export const entryOfRow = (row: Row): Entry | CodecError => {
  const index = indexOfLogKey(row.key)
  if (index < 0) return new CodecError(`a key of raft_log is no index: ${Buffer.from(row.key).toString("hex")}`)
  const entry = decodeEntry(row.value)
  if (entry instanceof CodecError) return new CodecError(`entry ${index}: ${entry.message}`)
  return entry.index === index ? entry : new CodecError(`entry ${index} holds the record of entry ${entry.index}`)
}

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
 * What is wrong with a hard state when `known` was durable: terms never go back, and in one term nobody takes a vote
 * back.
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

/**
 * Everything start-up needs to know. The whole log is read once: each record's checksum, no gap between indices, no
 * term that goes back. `floor` is how far the log must reach.
 */
export const recoverLog = Effect.fnUntraced(function*(reader: Reader, path: string, floor: DurableFloor | undefined) {
  const hardState = yield* record(reader, path, stateKeys.hardState, decodeHardState)
  const confState = yield* record(reader, path, stateKeys.confState, decodeConfState)
  const compactedRecord = yield* record(reader, path, stateKeys.compacted, decodePoint)
  const compacted: LogPoint = compactedRecord === undefined
    ? origin
    : { index: LogIndex(compactedRecord.index), term: Term(compactedRecord.term) }

  const termRuns: Array<TermRun> = []
  let last: LogPoint = compacted
  let floorTerm: Term | undefined
  let lastStampMs = 0
  let bytes = 0
  let problem: string | undefined
  const resetting = (yield* reader.get("raft_state", stateKeys.resetting)) !== undefined
  // An interrupted reset left entries that no longer count.
  if (!resetting) {
    yield* reader.scan("raft_log", { gte: logKey(addIndex(compacted.index, 1)), lt: logEnd }, (row) => {
      const entry = entryOfRow(row)
      if (entry instanceof CodecError) problem = entry.message
      else if (entry.index !== last.index + 1) problem = `entry ${last.index + 1} is missing, ${entry.index} follows`
      else if (entry.term < last.term) problem = `entry ${entry.index} has term ${entry.term} after term ${last.term}`
      else {
        if (entry.term !== termRuns[termRuns.length - 1]?.term) {
          termRuns.push({ firstIndex: entry.index, term: entry.term })
        }
        if (floor !== undefined && entry.index === floor.index) floorTerm = entry.term
        last = { index: entry.index, term: entry.term }
        bytes += row.value.byteLength
        if (entry.stampMs !== 0) lastStampMs = entry.stampMs
      }
      return problem === undefined
    })
  }
  if (problem === undefined && floor !== undefined && floor.index > compacted.index) {
    if (last.index < floor.index) {
      problem = `the log ends at ${last.index}, but it was durable up to ${floor.index}: its tail was lost`
    } else if (floorTerm !== floor.term) {
      problem = `entry ${floor.index} has term ${floorTerm}, but term ${floor.term} was durable there`
    }
  }
  problem ??= voteProblem(hardState, floor?.vote)
  if (problem !== undefined) {
    return yield* new StorageCorruption({ path, detail: problem, safe: `log entries up to ${last.index}` })
  }
  const recovered: RecoveredLog = {
    hardState: {
      term: Term(hardState?.term ?? 0),
      votedFor: hardState === undefined || hardState.votedFor === null ? undefined : NodeId(hardState.votedFor),
      commit: LogIndex(hardState?.commit ?? 0),
      ...(hardState?.standing === undefined ? {} : { standing: hardState.standing })
    },
    confState: { voters: (confState?.voters ?? []).map(NodeId) },
    compacted,
    lastIndex: last.index,
    bytes,
    lastStampMs,
    termRuns
  }
  return recovered
})
