/**
 * Preloaded into a process by a test: RocksDB's open then blocks a thread of the pool for good, as a disk that hangs
 * does. `FLAREDB_TEST_PIPE` names a pipe that nobody writes to.
 */
import { open } from "node:fs/promises"
import RocksDB from "rocksdb-native"

Object.assign(RocksDB.prototype, {
  ready: () => {
    process.stderr.write("OPENING\n")
    return open(process.env["FLAREDB_TEST_PIPE"] as string, "r")
  }
})
