/**
 * The applied state machine on RocksDB, in the active one of the two state families. The applied point lives inside
 * the family, in the batch whose effects it counts, under a key no state machine can use.
 *
 * An import fills the other family, see `StateImports.ts`. Reads look which family is active when they begin,
 * and the old family is emptied only when the reads that may still be in it have ended; views take
 * a RocksDB snapshot before that, which a deletion does not touch.
 */
import { Effect, Layer } from "effect"
import { coalescedSleep } from "../../CoalescedSleep.ts"
import { firstStateKey, stateEnd } from "../../protocol/StateRows.ts"
import { StateStore } from "../StateStore.ts"
import * as StorageMetrics from "../StorageMetrics.ts"
import { requireLevel } from "../DirectoryMarker.ts"
import { RocksDb } from "./RocksDb.ts"
import { checkChange, putApplied, readApplied, readReplaced, recoverState } from "./StateFamilies.ts"
import { StateImports } from "./StateImports.ts"
import { stateView } from "./StateScans.ts"
import { exportOf } from "./WholeFamily.ts"

/** How often it is looked whether too many batches are in no table. */
const flushLookMs = 1_000

const make = Effect.gen(function*() {
  const database = yield* RocksDb
  const { path } = database
  const found = yield* recoverState(database, path)
  const metrics = yield* StorageMetrics.make
  const replaced = yield* readReplaced(database, path, found)
  const imports = new StateImports(database, found.family, found.batches, replaced, metrics.replacedState)
  yield* imports.recover
  yield* database.failure.inBackground(
    "flush the state",
    Effect.forever(Effect.andThen(coalescedSleep(flushLookMs), imports.flush))
  )
  const openSnapshot = database.snapshot(() => imports.active)

  return StateStore.of({
    path,
    ...stateView({
      getMany: (keys) => database.getMany(() => imports.active, keys),
      scan: (range, take) => database.scan(() => imports.active, range, take)
    }),
    recovered: found.applied,
    commit: (changes, applied) => {
      for (const change of changes) checkChange(change)
      const end = () => [putApplied(applied), ...imports.batches.next()]
      return Effect.suspend(() => database.commit(imports.active, changes, end))
    },
    withView: (use) =>
      Effect.acquireUseRelease(
        database.view(() => imports.active),
        (view) => use(stateView(view)),
        ({ close }) => close
      ),
    requireLevel: (level) => requireLevel(database, level),
    sync: database.sync,
    export: Effect.gen(function*() {
      const { also: family, reader } = yield* Effect.acquireRelease(openSnapshot, ({ close }) => close)
      return {
        point: yield* readApplied(reader, family, path),
        estimatedBytes: yield* database.approximateBytes(family, firstStateKey, stateEnd),
        next: exportOf(reader, family)
      }
    }),
    import: imports.begin,
    replaced: imports.replaced,
    failed: database.failure.failed
  })
})

/** The state in the data directory of this node. */
export const layer = Layer.effect(StateStore, make)
