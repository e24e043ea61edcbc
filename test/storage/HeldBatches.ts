/** RocksDB on a full disk, where it holds a write back until the flush before it succeeds. */
import { Effect } from "effect"
import RocksDB from "rocksdb-native"

/** From here on RocksDB says that a flush failed, and takes no batch until there is room: never, here. */
export const holdBatchesBack = Effect.acquireRelease(
  Effect.sync(() => {
    const { getProperty, write } = RocksDB.prototype
    let holding = false
    RocksDB.prototype.getProperty = function(name) {
      return holding && name === "rocksdb.background-errors" ? Promise.resolve("1") : getProperty.call(this, name)
    }
    RocksDB.prototype.write = function(options) {
      const batch = write.call(this, options)
      const flush = batch.flush.bind(batch)
      const tryPut = batch.tryPut.bind(batch)
      batch.tryPut = (key, value) => {
        holding ||= typeof key !== "string" && key[0] !== 0
        tryPut(key, value)
      }
      batch.flush = () => holding ? new Promise(() => undefined) : flush()
      return batch
    }
    return { getProperty, write }
  }),
  (before) => Effect.sync(() => Object.assign(RocksDB.prototype, before))
)
