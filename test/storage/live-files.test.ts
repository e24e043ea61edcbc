/** Which files of an open database count as missing: those that RocksDB still counts on, asked after they are gone. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate as nextTurn } from "node:timers/promises"
import RocksDB from "rocksdb-native"
import { afterEach, assert, beforeEach, it } from "vitest"
import { blobOptions } from "../../src/storage/rocksdb/BlobFiles.ts"
import { missingManifest, missingTable, missingWal, tablesIn } from "../../src/storage/rocksdb/LiveFiles.ts"
import { WalSync } from "../../src/storage/rocksdb/WalSync.ts"

let path: string

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "flaredb-live-"))
})

afterEach(() => rmSync(path, { recursive: true }))

const create = (...names: ReadonlyArray<string>): void => {
  for (const name of names) writeFileSync(join(path, name), "")
}

/** Answers one list after the other, and the last one again and again. */
const source = (lists: ReadonlyArray<ReadonlyArray<string>>, oldestWal = 0) => {
  let asked = 0
  return {
    path,
    tables: () => Promise.resolve(lists[Math.min(asked++, lists.length - 1)] ?? []),
    oldestWal: () => Promise.resolve(oldestWal)
  }
}

it("a table that is listed and gone is missing", async () => {
  create("000008.sst", "000012.blob")
  assert.isUndefined(await missingTable(source([["000008.sst", "000012.blob"]])))
  assert.equal(await missingTable(source([["000008.sst", "000009.sst", "000012.blob"]])), "000009.sst")
  assert.equal(await missingTable(source([["000008.sst", "000012.blob", "000013.blob"]])), "000013.blob")
})

it("a table that a compaction removed between the two looks is not", async () => {
  create("000012.sst")
  assert.isUndefined(await missingTable(source([["000008.sst", "000012.sst"], ["000012.sst", "000013.sst"]])))
})

it("a write-ahead log that is needed and gone is missing; one that is not needed is forgotten", async () => {
  create("000007.log", "000009.log")
  const known = new Set([4, 7, 8, 9])
  assert.isUndefined(await missingWal(source([], 9), known))
  assert.deepEqual([...known], [9])
  assert.equal(await missingWal(source([], 8), new Set([4, 7, 8, 9])), "000008.log")
})

it("the manifest that CURRENT names has to be there", () => {
  create("MANIFEST-000005")
  writeFileSync(join(path, "CURRENT"), "MANIFEST-000005\n")
  assert.isUndefined(missingManifest(path))
  rmSync(join(path, "MANIFEST-000005"))
  assert.equal(missingManifest(path), "MANIFEST-000005")
})

it("tables are read from RocksDB's list by their lines, whatever their keys are", () => {
  const key = Buffer.from("k\n 99:12[x").toString("hex").toUpperCase()
  assert.deepEqual(
    tablesIn(
      `--- level 0 --- version# 11 ---\n 20:21785[281 .. 300]['${key}' seq:281, type:1 .. '${key}' seq:300, type:1](0)\n` +
        `--- level 6 --- version# 11 ---\n 16:231274[0 .. 0]['${key}' seq:0, type:1 .. '${key}' seq:0, type:1](0)\n` +
        "--- blob files --- version# 11 ---\nblob_file_number: 11 total_blob_count: 125 total_blob_bytes: 1005125 " +
        "checksum_method:  checksum_value:  linked_ssts: { 34 } garbage_blob_count: 0 garbage_blob_bytes: 0\n"
    ),
    ["000020.sst", "000016.sst", "000011.blob"]
  )
})

it("nothing is missing of a database that flushes, compacts and begins new logs all the time", async () => {
  const database = new RocksDB(path, {
    createIfMissing: true,
    writeBufferSize: 32 * 1024,
    maxBackgroundJobs: 4,
    ...blobOptions,
    minBlobSize: 1_000
  })
  await database.ready()
  const wal = new WalSync(database, true)
  const live = {
    path,
    tables: async () => tablesIn(await database.getProperty("rocksdb.sstables") ?? ""),
    oldestWal: async () => Number(await database.getProperty("rocksdb.min-log-number-to-keep"))
  }
  const value = Buffer.alloc(1_000, 1)
  const tables = new Set<string>()
  const logs = new Set<number>()
  const run = { goesOn: true }
  const end = (): void => {
    run.goesOn = false
  }
  const looking = (async () => {
    while (run.goesOn) {
      for (const name of await live.tables()) tables.add(name)
      for (const number of wal.known) logs.add(number)
      assert.isUndefined(missingManifest(path))
      assert.isUndefined(await missingTable(live))
      assert.isUndefined(await missingWal(live, wal.known))
      await wal.check()
      // Properties are there at once, without a turn of the event loop.
      await nextTurn()
    }
  })()
  const writing = (async () => {
    for (let i = 0; run.goesOn && (tables.size < 25 || logs.size < 25); i++) {
      const batch = database.write()
      for (let row = 0; row < 10; row++) batch.tryPut(Buffer.from(`${i % 7}/${row}/${i % 50}`), value)
      await batch.flush()
      batch.destroy()
      wal.wrote()
      await wal.sync()
      if (i % 20 === 0) await database.flush()
      if (i % 100 === 0) await database.compactRange("0", "9")
    }
    end()
  })()
  await Promise.all([looking.finally(end), writing.finally(end)])
  wal.close()
  await database.close()
})
