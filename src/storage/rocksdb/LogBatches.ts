/** The batches that a write of the log is in RocksDB. */
import { encodeEntry, encodeRecords } from "../../protocol/EntryRecord.ts"
import { hardStateRecord, logEnd, logKey, stateKeys } from "../Codec.ts"
import type { LogWrite } from "../LogStore.ts"
import type { Family, Operation } from "./Operation.ts"

/**
 * Operations in one RocksDB batch: the binding marshals them on the main thread, a thousand in about half a
 * millisecond.
 */
const batchOperations = 1_000

interface Batch {
  readonly family: Family
  readonly operations: Array<Operation>
}

/** The batches of some writes, in order, as few as the order allows. */
export const batches = (writes: ReadonlyArray<LogWrite>): ReadonlyArray<Batch> => {
  const result: Array<Batch> = []
  const add = (family: Family, operation: Operation): void => {
    let batch = result[result.length - 1]
    if (batch === undefined || batch.family !== family || batch.operations.length >= batchOperations) {
      batch = { family, operations: [] }
      result.push(batch)
    }
    batch.operations.push(operation)
  }
  for (const { hardState, truncateFrom, entries } of writes) {
    if (hardState !== undefined) {
      add("raft_state", { _tag: "Put", key: stateKeys.hardState, value: hardStateRecord(hardState) })
    }
    if (truncateFrom !== undefined) add("raft_log", { _tag: "DeleteRange", start: logKey(truncateFrom), end: logEnd })
    encodeRecords(entries)
    for (const entry of entries) {
      add("raft_log", { _tag: "Put", key: logKey(entry.index), value: encodeEntry(entry) })
    }
  }
  return result
}
