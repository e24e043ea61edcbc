/** Log and state of one node in one data directory: one RocksDB, one WAL, so one sync makes both durable. */
import { Effect, Layer } from "effect"
import type { DataDirOptions } from "../DataDir.ts"
import { DataDir } from "../DataDir.ts"
import { hasSegments } from "../DirectoryMarker.ts"
import { LogStore } from "../LogStore.ts"
import type { RocksDb } from "./RocksDb.ts"
import * as RocksLogStore from "./RocksLogStore.ts"
import * as RocksStateStore from "./RocksStateStore.ts"
import { removeStraySegments } from "../segments/StraySegments.ts"
import type { StateStore } from "../StateStore.ts"
import type { OpenError } from "../StorageError.ts"

/** Once the rows are known to be the whole log: until then nothing is removed. */
const withoutStraySegments = Layer.effectDiscard(Effect.gen(function*() {
  yield* LogStore
  const { marker, path } = yield* DataDir
  if (!hasSegments(marker)) yield* removeStraySegments(path)
}))

/** Opens (or creates) the directory of `options`. The database itself is given too, for its sync counters. */
export const layer = (options: DataDirOptions): Layer.Layer<LogStore | StateStore | RocksDb, OpenError> =>
  Layer.mergeAll(Layer.provideMerge(withoutStraySegments, RocksLogStore.layer), RocksStateStore.layer).pipe(
    Layer.provideMerge(DataDir.layer(options))
  )
