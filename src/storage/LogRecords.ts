/** What `raft_state` says of a log, whichever way its entries are stored, and what is wrong with the two together. */
import { Effect } from "effect"
import { CodecError } from "../bytes/CodecError.ts"
import type { HardState, LogPoint } from "../raft/Types.ts"
import { LogIndex, NodeId, origin, Term } from "../raft/Types.ts"
import { decodeConfState, decodeHardState, decodePoint, stateKeys } from "./Codec.ts"
import type { DurableFloor, Vote } from "./DurableFloor.ts"
import type { LogCheck } from "./LogCheck.ts"
import type { RecoveredLog } from "./LogStore.ts"
import type { Reader } from "./rocksdb/Reader.ts"
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
  { term, votedFor }: HardState,
  known: Vote | undefined
): string | undefined => {
  if (known === undefined) return undefined
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

/** The records of a log. */
export interface LogRecords extends Pick<RecoveredLog, "compacted" | "confState" | "hardState"> {
  /** An interrupted reset left entries that no longer count. */
  readonly resetting: boolean
}

export const readRecords = Effect.fnUntraced(function*(reader: Reader, path: string) {
  const hardState = yield* record(reader, path, stateKeys.hardState, decodeHardState)
  const confState = yield* record(reader, path, stateKeys.confState, decodeConfState)
  const compacted = yield* record(reader, path, stateKeys.compacted, decodePoint)
  const records: LogRecords = {
    hardState: {
      term: Term(hardState?.term ?? 0),
      votedFor: hardState === undefined || hardState.votedFor === null ? undefined : NodeId(hardState.votedFor),
      commit: LogIndex(hardState?.commit ?? 0),
      ...(hardState?.membership === undefined ? {} : { membership: hardState.membership })
    },
    confState: { voters: (confState?.voters ?? []).map(NodeId) },
    compacted: compacted === undefined ? origin : { index: LogIndex(compacted.index), term: Term(compacted.term) },
    resetting: (yield* reader.get("raft_state", stateKeys.resetting)) !== undefined
  }
  return records
})

/** Fails with what is wrong with a log, or with its records, when `floor` was durable. */
export const requireWhole = (
  path: string,
  { compacted, hardState }: LogRecords,
  check: LogCheck,
  floor: DurableFloor | undefined
): Effect.Effect<void, StorageCorruption> => {
  const problem = check.problem ?? floorProblem(check, floor, compacted) ?? voteProblem(hardState, floor?.vote)
  return problem === undefined
    ? Effect.void
    : Effect.fail(new StorageCorruption({ path, detail: problem, safe: `log entries up to ${check.last.index}` }))
}
