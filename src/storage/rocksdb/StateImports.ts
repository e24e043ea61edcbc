/**
 * The places of a state in RocksDB, and the import that goes into the inactive one. Its applied point is written last,
 * as the mark that it is whole, and synced with everything before it; then one durable write in `raft_state` names the
 * family as the active one. Before that write a crash leaves a part of a state, or one that is ahead of the active one:
 * the start discards it. After it the other family holds a whole state that is behind the active one: it stays until
 * the next import begins, so that an operator can go back to it.
 */
import type { Scope } from "effect"
import { Effect, Semaphore } from "effect"
import type { StateRow } from "../../protocol/StateRows.ts"
import { firstStateKey } from "../../protocol/StateRows.ts"
import type { LogPoint } from "../../raft/Types.ts"
import { encodeRecord, stateKeys } from "../Codec.ts"
import type { ReplacedState, StateImport } from "../StateStore.ts"
import type { StorageError } from "../StorageError.ts"
import { BatchNumbers } from "./BatchNumbers.ts"
import type { Family, Operation } from "./Operation.ts"
import type { RocksDb } from "./RocksDb.ts"
import type { Replaced } from "./StateFamilies.ts"
import { checkChange, otherFamily, putApplied, readApplied, wholeFamily } from "./StateFamilies.ts"
import { countRows } from "./WholeFamily.ts"

/** Rows of an import in one batch. */
const importRows = 1_000

/** Bytes after which a batch of an import ends. */
const importBytes = 1024 * 1024

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

const deleteWhole: Operation = { _tag: "DeleteRange", start: wholeFamily.gte, end: wholeFamily.lt }

export class StateImports {
  private readonly database: RocksDb["Service"]
  /** Gets the bytes of the replaced state, 0 without one, whenever they have changed. */
  private readonly onReplacedBytes: (bytes: number) => void
  private readonly importing = Semaphore.makeUnsafe(1)
  private activeFamily: Family
  /** The applied point of the state that the active one took the place of, as long as it is there. */
  private replacedPoint: LogPoint | undefined
  /** What of it a start has found to be missing. */
  private readonly foundDamage: StorageError | undefined
  /** The numbers of the batches in the family that holds the state. */
  private numbers: BatchNumbers

  constructor(
    database: RocksDb["Service"],
    active: Family,
    batches: BatchNumbers,
    replaced: Replaced | undefined,
    onReplacedBytes: (bytes: number) => void
  ) {
    this.database = database
    this.activeFamily = active
    this.numbers = batches
    this.replacedPoint = replaced?.point
    this.foundDamage = replaced?.damage
    this.onReplacedBytes = onReplacedBytes
  }

  /** The family that holds the state. */
  get active(): Family {
    return this.activeFamily
  }

  /** The numbers of the batches in that family. */
  get batches(): BatchNumbers {
    return this.numbers
  }

  /** Has batches be in tables before there are too many that are not. */
  readonly flush: Effect.Effect<void, StorageError> = Effect.suspend(() => {
    const { activeFamily, numbers } = this
    if (!numbers.isDue) return Effect.void
    const { written } = numbers
    return Effect.map(this.database.flush(activeFamily), () => numbers.wereFlushed(written))
  })

  /** Discards what an import that did not finish has left, or says that a replaced state is there. */
  readonly recover: Effect.Effect<void, StorageError> = Effect.gen({ self: this }, function*() {
    const { foundDamage, replacedPoint } = this
    if (replacedPoint !== undefined) {
      const bytes = yield* this.measure
      if (foundDamage !== undefined) {
        return yield* Effect.logWarning(
          `the replaced state through ${replacedPoint.index} is not whole, and no backup of it can be taken: ` +
            `${foundDamage.message}`
        )
      }
      yield* Effect.logInfo(`keeps the replaced state through ${replacedPoint.index} until the next snapshot comes`)
        .pipe(Effect.annotateLogs({ bytes }))
      return
    }
    let leftBehind = false
    const anyRow = { ...wholeFamily, limit: 1, keysOnly: true }
    yield* this.database.scan(() => this.inactive, anyRow, () => (leftBehind = true))
    if (!leftBehind) return
    yield* Effect.logWarning("discards a state that an earlier run did not finish to install, or to remove")
    yield* this.discardInactive
  })

  /** See `StateStore.import`. */
  readonly begin: Effect.Effect<StateImport, StorageError, Scope.Scope> = this.importing.takeScoped(1).pipe(
    Effect.andThen(
      Effect.acquireRelease(
        Effect.sync(() => this.inactive),
        // A finalizer has no error: the node learns of this one by `failed`.
        () => Effect.catch(this.tidyUp, (error) => Effect.sync(() => this.database.failure.record(error)))
      )
    ),
    Effect.tap(() => this.makeRoom),
    Effect.map((target): StateImport => ({
      write: (rows) =>
        Effect.forEach(importBatches(rows), (batch) => this.database.write(target, batch, "lazy"), { discard: true }),
      // Not to be interrupted between the disk's decision and this one.
      finish: (point) => Effect.uninterruptible(this.finish(target, point))
    }))
  )

  /** See `StateStore.replaced`. */
  readonly replaced: Effect.Effect<ReplacedState | undefined, StorageError> = Effect.gen({ self: this }, function*() {
    const { database, replacedPoint: point } = this
    if (point === undefined) return undefined
    const estimatedBytes = yield* database.approximateBytes(this.inactive, wholeFamily.gte, wholeFamily.lt)
    return {
      path: database.path,
      point,
      estimatedBytes,
      countRows: (limit) => countRows(database, this.inactive, limit)
    }
  })

  private get inactive(): Family {
    return otherFamily(this.activeFamily)
  }

  /** Makes the state in `target` the active one. */
  private readonly finish = Effect.fnUntraced({ self: this }, function*(
    this: StateImports,
    target: Family,
    point: LogPoint
  ) {
    const { database } = this
    // Its batches have no numbers, so none may be in a write-ahead log alone.
    yield* database.flush(target)
    yield* database.write(target, [putApplied(point)], "durable")
    const before = yield* readApplied(database, this.activeFamily, database.path)
    const record = encodeRecord({ family: target, installed: { index: point.index, term: point.term } })
    yield* database.write("raft_state", [{ _tag: "Put", key: stateKeys.activeFamily, value: record }], "durable")
    this.activeFamily = target
    this.numbers = new BatchNumbers(1, 0)
    this.replacedPoint = before.index === 0 ? undefined : before
    // Its rows go to tables: in memory they would keep the log files of everything that comes.
    database.reclaimUnsafe(this.inactive, wholeFamily.gte, firstStateKey)
    yield* this.measure
  })

  /** Empties the place of the import. What it held is given back to the disk early, while there are few new rows. */
  private get makeRoom(): Effect.Effect<void, StorageError> {
    return Effect.suspend(() => {
      if (this.replacedPoint === undefined) return this.clearInactive
      this.replacedPoint = undefined
      return Effect.andThen(this.discardInactive, this.measure)
    })
  }

  /** What is left of an import that did not finish, or took the place of nothing, is of no use. */
  private get tidyUp(): Effect.Effect<void, StorageError> {
    return Effect.suspend(() => this.replacedPoint === undefined ? this.discardInactive : Effect.void)
  }

  private get clearInactive(): Effect.Effect<void, StorageError> {
    return Effect.suspend(() => this.database.write(this.inactive, [deleteWhole], "lazy"))
  }

  /** Empties the inactive family once the reads in it have ended: later reads are in the other one. */
  private get discardInactive(): Effect.Effect<void, StorageError> {
    return Effect.andThen(this.database.readsSettled, this.clearInactive).pipe(
      Effect.map(() => this.database.reclaimUnsafe(this.inactive, wholeFamily.gte, wholeFamily.lt))
    )
  }

  private get measure(): Effect.Effect<number, StorageError> {
    return Effect.suspend(() =>
      this.replacedPoint === undefined
        ? Effect.succeed(0)
        : this.database.approximateBytes(this.inactive, wholeFamily.gte, wholeFamily.lt)
    ).pipe(Effect.tap((bytes) => Effect.sync(() => this.onReplacedBytes(bytes))))
  }
}
