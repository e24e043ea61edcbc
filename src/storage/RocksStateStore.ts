/**
 * The applied state machine on RocksDB, in the active one of the two state families. The applied point lives inside
 * the family, in the batch whose effects it counts, under a key no state machine can use.
 */
import { Effect, Layer } from "effect"
import { CodecError } from "../codec/EntryRecord.ts"
import type { LogPoint } from "../raft/Types.ts"
import { LogIndex, origin, Term } from "../raft/Types.ts"
import { decodeActiveFamily, decodePoint, encodeRecord, stateKeys } from "./Codec.ts"
import type { Family, Operation, Reader } from "./RocksDb.ts"
import { RocksDb } from "./RocksDb.ts"
import type { StateView } from "./StateStore.ts"
import { StateStore } from "./StateStore.ts"
import { StorageCorruption } from "./StorageError.ts"

/** Keys that begin with this byte belong to the store itself; a state machine's keys begin with 0x01 or more. */
export const reservedPrefix = 0x00

const appliedKey = Uint8Array.of(reservedPrefix, 0x01)

/** The state family in use, and the applied point inside it. */
export const recoverState = Effect.fnUntraced(function*(reader: Reader, path: string) {
  const corrupt = (detail: string) => new StorageCorruption({ path, detail, safe: "the log" })
  const activeRecord = yield* reader.get("raft_state", stateKeys.activeFamily)
  if (activeRecord === undefined) return yield* corrupt("raft_state does not say which state family is active")
  const active = decodeActiveFamily(activeRecord)
  if (active instanceof CodecError) return yield* corrupt(active.message)
  const appliedRecord = yield* reader.get(active.family, appliedKey)
  if (appliedRecord === undefined) return { family: active.family, applied: origin }
  const applied = decodePoint(appliedRecord)
  if (applied instanceof CodecError) return yield* corrupt(applied.message)
  return { family: active.family, applied: { index: LogIndex(applied.index), term: Term(applied.term) } as LogPoint }
})

const view = (reader: Reader, family: Family): StateView => ({
  getMany: (keys) => reader.getMany(family, keys),
  scan: (options) => {
    const rows: Array<{ readonly key: Uint8Array; readonly value: Uint8Array }> = []
    return Effect.map(
      reader.scan(family, options, (row) => {
        rows.push(row)
        return true
      }),
      () => rows
    )
  }
})

const make = Effect.gen(function*() {
  const database = yield* RocksDb
  const { family, applied: recovered } = yield* recoverState(database, database.path)
  return StateStore.of({
    ...view(database, family),
    recovered,
    commit: (changes, applied) => {
      const operations: Array<Operation> = [...changes]
      operations.push({
        _tag: "Put",
        key: appliedKey,
        value: encodeRecord({ index: applied.index, term: applied.term })
      })
      return database.write(family, operations, "lazy")
    },
    withView: (use) => database.withSnapshot((reader) => use(view(reader, family))),
    sync: database.sync
  })
})

/** The state in the data directory of this node. */
export const layer = Layer.effect(StateStore, make)
