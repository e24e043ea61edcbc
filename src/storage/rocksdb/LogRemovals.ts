/**
 * Compaction and reset of the log, as the database notes them down. Each takes several writes; when a crash comes
 * between them, the next start does the rest.
 */
import { Effect } from "effect"
import type { LogPoint } from "../../raft/Types.ts"
import { origin } from "../../raft/Types.ts"
import { encodeRecord, stateKeys } from "../Codec.ts"
import type { DurableFloor, Vote } from "../DurableFloor.ts"
import { writeFloor } from "../DurableFloor.ts"
import type { EntryStore } from "../EntryStore.ts"
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

/** Empties the log after a reset was written down, also one that a crash interrupted: the old entries contradict it. */
export const finishReset = (
  database: RocksDb["Service"],
  entries: EntryStore,
  point: LogPoint
): Effect.Effect<void, StorageError> => {
  const finished: Operation = { _tag: "Delete", key: Buffer.from(stateKeys.resetting) }
  return Effect.andThen(entries.restart(point), database.write("raft_state", [finished], "durable"))
}

/** The floor of a log that restarts: of its entries none has to be there, but a vote is not forgotten. */
export const restartFloor = (vote: Vote | undefined): DurableFloor => vote === undefined ? origin : { ...origin, vote }

/**
 * Replaces the log by "everything up to `point` is in the state". The next start finishes what a crash interrupts.
 * `floor` is a {@link restartFloor}.
 */
export const restartAfter = Effect.fnUntraced(function*(
  database: RocksDb["Service"],
  path: string,
  entries: EntryStore,
  point: LogPoint,
  floor: DurableFloor
) {
  yield* writeFloor(path, floor)
  const begun: Operation = { _tag: "Put", key: stateKeys.resetting, value: Uint8Array.of(1) }
  yield* database.write("raft_state", [putPoint(point), begun], "durable")
  yield* finishReset(database, entries, point)
})
