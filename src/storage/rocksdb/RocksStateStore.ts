/**
 * The applied state machine on RocksDB, in the active one of the two state families. The applied point lives inside
 * the family, in the batch whose effects it counts, under a key no state machine can use.
 *
 * An import fills the other family. Its applied point is written last, as the mark that it is whole, and synced with
 * everything before it; then one durable write in `raft_state` names the family as the active one. Before that write a
 * crash leaves a part of a state, or one that is ahead of the active one: the start discards it. After it the other
 * family holds a whole state that is behind the active one: it stays until the next import begins, so that an operator
 * can go back to it. Reads look which family is active at the moment they begin, and the old family is emptied only
 * when the reads that may still be in it have ended; views have a RocksDB snapshot, which a deletion does not touch.
 */
import { Effect, Layer, Semaphore } from "effect"
import { CodecError } from "../../bytes/CodecError.ts"
import type { StateRow } from "../../protocol/StateRows.ts"
import { firstStateKey, isStateKey, sizeProblem, stateEnd } from "../../protocol/StateRows.ts"
import type { LogPoint } from "../../raft/Types.ts"
import { LogIndex, origin, Term } from "../../raft/Types.ts"
import { decodeActiveFamily, decodePoint, encodeRecord, stateKeys } from "../Codec.ts"
import type { Family, Operation } from "./Operation.ts"
import type { Reader, View } from "./Reader.ts"
import { RocksDb } from "./RocksDb.ts"
import type { ScanOptions, StateChange, StateExport, StateImport, StateView } from "../StateStore.ts"
import { StateStore } from "../StateStore.ts"
import type { StorageError } from "../StorageError.ts"
import { StorageCorruption } from "../StorageError.ts"
import * as StorageMetrics from "../StorageMetrics.ts"

/** Keys that begin with this byte belong to the store itself; a state machine's keys begin with 0x01 or more. */
export const reservedPrefix = 0x00

const appliedKey = Uint8Array.of(reservedPrefix, 0x01)

/** Everything in a state family, the store's own keys included. */
const wholeFamily = { gte: Uint8Array.of(reservedPrefix), lt: stateEnd }

/** Rows of an import in one batch. */
const importRows = 1_000

/** Bytes after which a batch of an import ends. */
const importBytes = 1024 * 1024

/** Rows of the first page of a scan that is bounded in bytes, and most rows of a later one. */
const firstPageRows = 8
const maxPageRows = 256

/** Rows that an export reads at once, at most. Each may be as large as a transaction's history. */
const exportRows = 64

const pointOf = (record: { readonly index: number; readonly term: number }): LogPoint => ({
  index: LogIndex(record.index),
  term: Term(record.term)
})

/** The state family in use, the applied point inside it, and the snapshot it came from, if it came from one. */
export const recoverState = Effect.fnUntraced(function*(reader: Reader, path: string) {
  const corrupt = (detail: string) => new StorageCorruption({ path, detail, safe: "the log" })
  const activeRecord = yield* reader.get("raft_state", stateKeys.activeFamily)
  if (activeRecord === undefined) return yield* corrupt("raft_state does not say which state family is active")
  const active = decodeActiveFamily(activeRecord)
  if (active instanceof CodecError) return yield* corrupt(active.message)
  const { family } = active
  const installed = active.installed === undefined ? undefined : pointOf(active.installed)
  const applied = yield* readApplied(reader, family, path)
  if (installed !== undefined && applied.index < installed.index) {
    return yield* corrupt(
      `${family} came from a snapshot up to ${installed.index}, but it ends at ${applied.index}`
    )
  }
  return { family, applied, installed }
})

/** The family that is not active. */
export const otherFamily = (family: Family): Family => family === "state_a" ? "state_b" : "state_a"

/**
 * The applied point of a whole state in the inactive family that the active one replaced. A state there that is ahead
 * was about to be installed, and is none.
 */
export const readReplaced = (
  reader: Reader,
  path: string,
  { applied, family, installed }: Effect.Success<ReturnType<typeof recoverState>>
): Effect.Effect<LogPoint | undefined, StorageError> =>
  readApplied(reader, otherFamily(family), path).pipe(
    Effect.catchTag("StorageCorruption", () => Effect.succeed(origin)),
    Effect.map((point) =>
      installed === undefined || point.index === 0 || point.index > applied.index ? undefined : point
    )
  )

/** Rows that are counted at once. */
const countedRows = 2_000

/** How many rows a family has, up to `limit`. */
const countRows = Effect.fnUntraced(function*(reader: Reader, family: Family, limit: number) {
  let rows = 0
  let gte = firstStateKey
  while (rows < limit) {
    const page = Math.min(countedRows, limit - rows)
    let counted = 0
    let last = gte
    yield* reader.scan(family, { gte, lt: stateEnd, limit: page, keysOnly: true }, ({ key }) => {
      counted += 1
      last = key
      return true
    })
    rows += counted
    if (counted < page) break
    gte = Buffer.concat([last, Uint8Array.of(0)])
  }
  return rows
})

/** The applied point of a family; `origin` when nothing was ever applied. */
export const readApplied = (reader: Reader, family: Family, path: string): Effect.Effect<LogPoint, StorageError> =>
  Effect.flatMap(reader.get(family, appliedKey), (bytes): Effect.Effect<LogPoint, StorageError> => {
    if (bytes === undefined) return Effect.succeed(origin)
    const point = decodePoint(bytes)
    return point instanceof CodecError
      ? Effect.fail(new StorageCorruption({ path, detail: point.message, safe: "the log" }))
      : Effect.succeed(pointOf(point))
  })

const stateView = ({ getMany, scan }: Pick<View, "getMany" | "scan">): StateView => ({
  getMany,
  scan: (options) =>
    options.maxBytes === undefined || options.keysOnly === true
      ? scanAll(scan, options)
      : scanInPages(scan, options, options.maxBytes)
})

const scanAll = (
  scan: View["scan"],
  options: ScanOptions
): Effect.Effect<ReadonlyArray<StateRow>, StorageError> =>
  Effect.suspend(() => {
    const rows: Array<StateRow> = []
    return Effect.map(
      scan(options, (row) => {
        rows.push(row)
        return true
      }),
      () => rows
    )
  })

/**
 * The engine reads as many rows ahead as it is asked for, whatever their size. So it is asked for few to begin with,
 * and for more when those were small.
 */
const scanInPages = Effect.fnUntraced(function*(
  scan: View["scan"],
  options: ScanOptions,
  maxBytes: number
) {
  const { limit, reverse } = options
  const rows: Array<StateRow> = []
  let { gte, lt } = options
  let bytes = 0
  let page = firstPageRows
  while (rows.length < limit && bytes < maxBytes && Buffer.compare(gte, lt) < 0) {
    const wanted = Math.min(page, limit - rows.length)
    const read = yield* scanAll(scan, {
      gte,
      lt,
      limit: wanted,
      ...(reverse === undefined ? {} : { reverse })
    })
    let largest = 1
    for (const row of read) {
      const size = row.key.byteLength + row.value.byteLength
      largest = Math.max(largest, size)
      if (bytes >= maxBytes) break
      rows.push(row)
      bytes += size
    }
    const last = read[read.length - 1]
    if (read.length < wanted || last === undefined) break
    if (reverse === true) lt = last.key
    else gte = Buffer.concat([last.key, Uint8Array.of(0)])
    page = Math.max(1, Math.min(maxPageRows, page * 4, Math.ceil((maxBytes - bytes) / largest)))
  }
  return rows
})

/** @throws RangeError when a change would store a row that no snapshot could carry: a bug of the state machine. */
const checkChange = (change: StateChange): void => {
  const key = change._tag === "DeleteRange" ? change.start : change.key
  if (!isStateKey(key)) throw new RangeError(`the key ${Buffer.from(key).toString("hex")} is none of a state machine`)
  if (change._tag !== "Put") return
  const problem = sizeProblem(key.byteLength, change.value.byteLength)
  if (problem !== undefined) throw new RangeError(problem.message)
}

const putApplied = (point: LogPoint): Operation => ({
  _tag: "Put",
  key: appliedKey,
  value: encodeRecord({ index: point.index, term: point.term })
})

/** Rows in the batches of an import. */
const importBatches = (rows: ReadonlyArray<StateRow>): ReadonlyArray<ReadonlyArray<Operation>> => {
  const batches: Array<ReadonlyArray<Operation>> = []
  let batch: Array<Operation> = []
  let bytes = 0
  for (const { key, value } of rows) {
    const put: Operation = { _tag: "Put", key, value }
    checkChange({ _tag: "Put", key, value })
    batch.push(put)
    bytes += key.byteLength + value.byteLength
    if (batch.length < importRows && bytes < importBytes) continue
    batches.push(batch)
    batch = []
    bytes = 0
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}

/** The rows of a family at one moment, from the first to the last. */
export const exportOf = (reader: Reader, family: Family): StateExport["next"] => {
  let from: Uint8Array = firstStateKey
  let ended = false
  /** Read already, and not asked for yet. */
  let ahead: ReadonlyArray<StateRow> = []
  /** Rows to read at once: few to begin with, because it is not known how large they are. */
  let page = 4
  return Effect.fnUntraced(function*(maxBytes: number) {
    const rows: Array<StateRow> = []
    let bytes = 0
    while (rows.length === 0 || bytes < maxBytes) {
      if (ahead.length === 0) {
        if (ended) break
        const read: Array<StateRow> = []
        yield* reader.scan(family, { gte: from, lt: stateEnd, limit: page }, (row) => {
          read.push(row)
          return true
        })
        ended = read.length < page
        let largest = 1
        for (const row of read) largest = Math.max(largest, row.key.byteLength + row.value.byteLength)
        page = Math.max(1, Math.min(exportRows, page * 2, Math.floor(maxBytes / largest)))
        const last = read[read.length - 1]
        if (last !== undefined) from = Buffer.concat([last.key, Uint8Array.of(0)])
        ahead = read
        continue
      }
      let taken = 0
      while (taken < ahead.length && (rows.length === 0 || bytes < maxBytes)) {
        const row = ahead[taken] as StateRow
        rows.push(row)
        bytes += row.key.byteLength + row.value.byteLength
        taken += 1
      }
      ahead = ahead.slice(taken)
    }
    return rows
  })
}

const make = Effect.gen(function*() {
  const database = yield* RocksDb
  const { path } = database
  const found = yield* recoverState(database, path)
  let active: Family = found.family
  const inactive = (): Family => otherFamily(active)
  const metrics = yield* StorageMetrics.make

  const clearInactive = Effect.suspend(() => database.write(inactive(), [deleteWhole], "lazy"))

  /** Nobody needs what the inactive family holds once the reads in it have ended. */
  const discardInactive = Effect.andThen(database.readsSettled, clearInactive).pipe(
    Effect.map(() => database.reclaimUnsafe(inactive(), wholeFamily.gte, wholeFamily.lt))
  )

  let replaced = yield* readReplaced(database, path, found)
  const measure = Effect.suspend(() =>
    replaced === undefined
      ? Effect.succeed(0)
      : database.approximateBytes(inactive(), wholeFamily.gte, wholeFamily.lt)
  ).pipe(Effect.tap((bytes) => Effect.sync(() => metrics.replacedState(bytes))))
  if (replaced === undefined) {
    let leftBehind = false
    yield* database.scan(inactive, { ...wholeFamily, limit: 1, keysOnly: true }, () => (leftBehind = true))
    if (leftBehind) {
      yield* Effect.logWarning("discards a state that an earlier run did not finish to install, or to remove")
      yield* discardInactive
    }
  } else {
    const bytes = yield* measure
    yield* Effect.logInfo(`keeps the replaced state through ${replaced.index} until the next snapshot comes`).pipe(
      Effect.annotateLogs({ bytes })
    )
  }

  const importing = yield* Semaphore.make(1)

  /**
   * Empties the place of the import. What it held is given back to the disk early, while there is little of the new.
   */
  const makeRoom = Effect.suspend(() => {
    if (replaced === undefined) return clearInactive
    replaced = undefined
    return Effect.andThen(discardInactive, measure)
  })

  /** What is left of an import that did not finish, or took the place of nothing, is of no use. */
  const tidyUp = Effect.suspend(() => replaced === undefined ? discardInactive : Effect.void)

  const beginImport = importing.takeScoped(1).pipe(
    Effect.andThen(
      Effect.acquireRelease(
        Effect.sync(inactive),
        // A finalizer has no error: the node hears of this one by `failed`.
        () => Effect.catch(tidyUp, (error) => Effect.sync(() => database.failure.record(error)))
      )
    ),
    Effect.tap(() => makeRoom),
    Effect.map((target): StateImport => ({
      write: (rows) =>
        Effect.forEach(importBatches(rows), (batch) => database.write(target, batch, "lazy"), { discard: true }),
      finish: (point) =>
        // Not to be interrupted between the disk's decision and this one.
        Effect.uninterruptible(
          Effect.gen(function*() {
            yield* database.write(target, [putApplied(point)], "durable")
            const before = yield* readApplied(database, active, path)
            const record = encodeRecord({ family: target, installed: { index: point.index, term: point.term } })
            yield* database.write(
              "raft_state",
              [{ _tag: "Put", key: stateKeys.activeFamily, value: record }],
              "durable"
            )
            active = target
            replaced = before.index === 0 ? undefined : before
            // Its rows go to tables: in memory they would keep the log files of everything that comes.
            database.reclaimUnsafe(inactive(), wholeFamily.gte, firstStateKey)
            yield* measure
          })
        )
    }))
  )

  const openSnapshot = database.snapshot(() => active)

  return StateStore.of({
    ...stateView({
      getMany: (keys) => database.getMany(() => active, keys),
      scan: (range, take) => database.scan(() => active, range, take)
    }),
    recovered: found.applied,
    commit: (changes, applied) => {
      for (const change of changes) checkChange(change)
      return Effect.suspend(() => database.commit(active, changes, () => putApplied(applied)))
    },
    withView: (use) =>
      Effect.acquireUseRelease(database.view(() => active), (view) => use(stateView(view)), ({ close }) => close),
    sync: database.sync,
    export: Effect.gen(function*() {
      const { also: family, reader } = yield* Effect.acquireRelease(openSnapshot, ({ close }) => close)
      return {
        point: yield* readApplied(reader, family, path),
        estimatedBytes: yield* database.approximateBytes(family, firstStateKey, stateEnd),
        next: exportOf(reader, family)
      }
    }),
    import: beginImport,
    replaced: Effect.gen(function*() {
      const point = replaced
      if (point === undefined) return undefined
      const estimatedBytes = yield* database.approximateBytes(inactive(), wholeFamily.gte, wholeFamily.lt)
      return { path, point, estimatedBytes, countRows: (limit) => countRows(database, inactive(), limit) }
    }),
    failed: database.failure.failed
  })
})

const deleteWhole: Operation = { _tag: "DeleteRange", start: wholeFamily.gte, end: wholeFamily.lt }

/** The state in the data directory of this node. */
export const layer = Layer.effect(StateStore, make)
