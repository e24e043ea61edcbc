/** Log and state of one node in one data directory: one RocksDB, one WAL, so one sync makes both durable. */
import { Layer } from "effect"
import type { DataDirOptions } from "../DataDir.ts"
import { DataDir } from "../DataDir.ts"
import type { LogStore } from "../LogStore.ts"
import type { RocksDb } from "./RocksDb.ts"
import * as RocksLogStore from "./RocksLogStore.ts"
import * as RocksStateStore from "./RocksStateStore.ts"
import type { StateStore } from "../StateStore.ts"
import type { OpenError } from "../StorageError.ts"

/** Opens (or creates) the directory of `options`. The database itself is given too, for its sync counters. */
export const layer = (options: DataDirOptions): Layer.Layer<LogStore | StateStore | RocksDb, OpenError> =>
  Layer.mergeAll(RocksLogStore.layer, RocksStateStore.layer).pipe(Layer.provideMerge(DataDir.layer(options)))
