/**
 * What RocksDB says of itself, and what its directory takes: read every few seconds, never where something waits for
 * it. A property takes 2 µs to read, so a sample takes a tenth of a millisecond.
 *
 * The binding has no way to RocksDB's tickers: how often the block cache was hit is not known, only how full it is.
 */
import { Effect, Metric } from "effect"
import type { Scope } from "effect"
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { lookEvery } from "../../CoalescedSleep.ts"
import { seriesOf } from "../../MetricSeries.ts"
import { roomAt } from "../DirectoryRoom.ts"
import type { Sessions } from "./Database.ts"
import type { Family } from "./Operation.ts"
import { families } from "./Operation.ts"

/** How often it is read, in milliseconds. */
const sampleMs = 5_000

/** How long the end of the database waits for a sample; one on a disk that hangs stays behind. */
const endMs = 1_000

const gauge = (name: string, description: string) => Metric.gauge(name, { description })

const familyGauge = (name: string, description: string) =>
  seriesOf((family: Family) => Metric.gauge(name, { description, attributes: { family } }))

/** Of each column family: RocksDB's property, and the gauge that shows it. */
const familyGauges = [
  [
    "cur-size-all-mem-tables",
    familyGauge("flaredb_rocksdb_memtable_bytes", "bytes of writes that are in no table yet")
  ],
  [
    "num-immutable-mem-table",
    familyGauge("flaredb_rocksdb_immutable_memtables", "full memtables that wait for a flush")
  ],
  ["live-sst-files-size", familyGauge("flaredb_rocksdb_table_bytes", "bytes of the tables of a column family")],
  [
    "live-blob-file-size",
    familyGauge("flaredb_rocksdb_blob_bytes", "bytes of the blob files, which have the large rows")
  ],
  [
    "live-blob-file-garbage-size",
    familyGauge("flaredb_rocksdb_blob_garbage_bytes", "bytes of blob files that no table counts on any more")
  ],
  [
    "estimate-live-data-size",
    familyGauge("flaredb_rocksdb_live_data_bytes", "about how many bytes of tables are in use")
  ],
  ["num-files-at-level0", familyGauge("flaredb_rocksdb_level0_tables", "tables that no compaction has taken yet")],
  [
    "estimate-pending-compaction-bytes",
    familyGauge("flaredb_rocksdb_pending_compaction_bytes", "about how many bytes compactions have to rewrite")
  ],
  [
    "block-cache-usage",
    familyGauge("flaredb_rocksdb_block_cache_bytes", "bytes in the block cache of a column family")
  ],
  [
    "block-cache-capacity",
    familyGauge("flaredb_rocksdb_block_cache_capacity_bytes", "bytes that the block cache may have")
  ],
  ["estimate-table-readers-mem", familyGauge("flaredb_rocksdb_table_reader_bytes", "bytes of memory for open tables")]
] as const

/** Of the whole database. */
const databaseGauges = [
  ["num-running-flushes", gauge("flaredb_rocksdb_running_flushes", "flushes that are running")],
  ["num-running-compactions", gauge("flaredb_rocksdb_running_compactions", "compactions that are running")],
  ["num-snapshots", gauge("flaredb_rocksdb_snapshots", "snapshots that are held, by backups for example")],
  ["is-write-stopped", gauge("flaredb_rocksdb_write_stopped", "1 while RocksDB takes no writes")],
  [
    "actual-delayed-write-rate",
    gauge("flaredb_rocksdb_delayed_write_bytes_per_second", "rate to which writes are slowed down, 0 when they are not")
  ]
] as const

/** Writes that had to wait: too many memtables, too many tables, or too much to compact. */
const stalls = seriesOf((family, cause, effect) =>
  Metric.counter("flaredb_rocksdb_write_stalls_total", {
    description: "times that RocksDB slowed writes down or stopped them, by family, cause and effect",
    incremental: true,
    attributes: { family, cause, effect }
  })
)

/** The log that a start after a crash has to read again. */
const walBytes = gauge("flaredb_storage_wal_bytes", "bytes of write-ahead logs in the data directory")

/** A node whose disk is full ends. The room is that of the file system, which others may fill too. */
const available = gauge("flaredb_disk_available_bytes", "bytes that the file system of the data directory has free")
const size = gauge("flaredb_disk_size_bytes", "bytes of the file system of the data directory")

/** The counts in `rocksdb.cf-write-stall-stats`, by cause and effect. */
export const stallsIn = (text: string): ReadonlyArray<readonly [cause: string, effect: string, count: number]> =>
  [...text.matchAll(/\b(l0-file-count-limit|memtable-limit|pending-compaction-bytes)-(delays|stops): (\d+)/g)]
    .map(([, cause = "", effect = "", count]) => [cause, effect, Number(count)])

/** Its own figures, and those of the file system. */
const readDirectory = async (path: string) => {
  const names = await readdir(path)
  const logs = await Promise.all(
    // One that is gone by now has been flushed.
    names.filter((name) => name.endsWith(".log")).map((name) => stat(join(path, name)).catch(() => undefined))
  )
  const { freeBytes, totalBytes } = await roomAt(path)
  return {
    walBytes: logs.reduce((sum, file) => sum + (file?.size ?? 0), 0),
    available: freeBytes,
    size: totalBytes
  }
}

/** Publishes the metrics of a database until the scope closes, which has to be before the database does. */
export const watch = Effect.fnUntraced(function*(
  path: string,
  sessions: Sessions
): Effect.fn.Return<void, never, Scope.Scope> {
  const context = yield* Effect.context<never>()
  const property = (family: Family, name: string) => sessions[family].getProperty(`rocksdb.${name}`)
  const known = new Map<string, number>()
  const stalled = (family: Family, text: string) => {
    for (const [cause, effect, count] of stallsIn(text)) {
      const name = `${family} ${cause} ${effect}`
      stalls(family, cause, effect).updateUnsafe(count - (known.get(name) ?? 0), context)
      known.set(name, count)
    }
  }
  const sample = async (): Promise<void> => {
    for (const family of families) {
      for (const [name, of] of familyGauges) {
        const value = Number(await property(family, name))
        if (Number.isFinite(value)) of(family).updateUnsafe(value, context)
      }
      stalled(family, await property(family, "cf-write-stall-stats") ?? "")
    }
    for (const [name, of] of databaseGauges) of.updateUnsafe(Number(await property("raft_log", name)), context)
    const files = await readDirectory(path)
    walBytes.updateUnsafe(files.walBytes, context)
    available.updateUnsafe(files.available, context)
    size.updateUnsafe(files.size, context)
  }
  let sampling: Promise<void> | undefined
  let ended = false
  const look = (): void => {
    if (ended || sampling !== undefined) return
    // A directory that is gone, or a database that fails, is noticed elsewhere.
    sampling = sample().catch(() => undefined).finally(() => sampling = undefined)
  }
  // A sample that is under way would ask a database that is closed.
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      ended = true
      await sampling
    }).pipe(Effect.timeoutOption(endMs))
  )
  look()
  yield* lookEvery(sampleMs, look)
})
