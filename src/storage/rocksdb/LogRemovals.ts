/**
 * Compaction and reset of the log on disk. Each takes several writes; when a crash comes between them, the next start
 * does the rest.
 */
import { Effect } from "effect"
import type { LogPoint } from "../../raft/Types.ts"
import { LogIndex, origin } from "../../raft/Types.ts"
import { behindLogKey, encodeRecord, logEnd, logKey, stateKeys } from "../Codec.ts"
import { writeFloor } from "../DurableFloor.ts"
import type { StorageError } from "../StorageError.ts"
import type { Operation } from "./Operation.ts"
import type { RocksDb } from "./RocksDb.ts"

const putPoint = (point: LogPoint): Operation => ({
  _tag: "Put",
  key: stateKeys.compacted,
  value: encodeRecord({ index: point.index, term: point.term })
})

/** Writes down that the log begins after `point`, durably. The entries up to there are still to be removed. */
export const writeCompacted = (database: RocksDb["Service"], point: LogPoint): Effect.Effect<void, StorageError> =>
  database.write("raft_state", [putPoint(point)], "durable")

/** Removes the entries up to `index`, and has their room given back. */
export const removeThrough = (database: RocksDb["Service"], index: LogIndex): Effect.Effect<void, StorageError> => {
  const range = [logKey(LogIndex(1)), behindLogKey(index)] as const
  return Effect.map(
    database.removeRange("raft_log", ...range),
    () => database.reclaimUnsafe("raft_log", ...range)
  )
}

/**
 * A crash between the two steps of a compaction leaves entries below the point. They are removed only if they are
 * there: a removal at each start would have a compaction write the whole log again.
 */
export const finishCompaction = Effect.fnUntraced(function*(database: RocksDb["Service"], { index }: LogPoint) {
  if (index === 0) return
  let leftBehind = false
  const range = { gte: logKey(LogIndex(1)), lt: behindLogKey(index), limit: 1, keysOnly: true }
  yield* database.scan("raft_log", range, () => (leftBehind = true))
  if (leftBehind) yield* removeThrough(database, index)
})

/** Replaces the log by "everything up to `point` is in the state". The next start finishes what a crash interrupts. */
export const restartAfter = Effect.fnUntraced(function*(database: RocksDb["Service"], path: string, point: LogPoint) {
  yield* writeFloor(path, origin)
  yield* database.write(
    "raft_state",
    [putPoint(point), { _tag: "Put", key: stateKeys.resetting, value: Uint8Array.of(1) }],
    "durable"
  )
  yield* finishReset(database)
})

/** Empties the log when a reset was written down, also one that a crash interrupted: the old entries contradict it. */
export const finishReset = Effect.fnUntraced(function*(database: RocksDb["Service"]) {
  if ((yield* database.get("raft_state", stateKeys.resetting)) === undefined) return
  yield* database.write("raft_log", [{ _tag: "DeleteRange", start: logKey(LogIndex(1)), end: logEnd }], "durable")
  yield* database.write("raft_state", [{ _tag: "Delete", key: Buffer.from(stateKeys.resetting) }], "durable")
})
