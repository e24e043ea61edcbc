/** What RocksDB says of itself reaches the metrics. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Metric } from "effect"
import { families } from "../../src/storage/rocksdb/Operation.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import { stallsIn } from "../../src/storage/rocksdb/RocksMetrics.ts"
import { eventually } from "../Eventually.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const valuesOf = (id: string) =>
  Effect.map(Metric.snapshot, (metrics) =>
    new Map(
      metrics.filter((metric) => metric.id === id).map(({ attributes, state }) => [
        attributes?.["family"] ?? "",
        (state as { readonly value?: number; readonly count?: number }).value ??
          (state as { readonly count?: number }).count ?? Number.NaN
      ])
    ))

it.live("an open database shows its memory, its tables and its disk, by family", () =>
  Effect.gen(function*() {
    const path = yield* temporaryFolder
    // What is written before it is opened again lies in a table.
    yield* Effect.scoped(Effect.gen(function*() {
      const db = Context.get(yield* Layer.build(Layer.fresh(RocksDb.layer({ path, create: true }))), RocksDb)
      yield* db.write("raft_log", [{ _tag: "Put", key: bytes("k"), value: new Uint8Array(100_000) }], "durable")
      yield* db.flush("raft_log")
    }))
    yield* Effect.gen(function*() {
      yield* Layer.build(Layer.fresh(RocksDb.layer({ path, create: false })))
      yield* eventually("it was read", Effect.map(valuesOf("flaredb_disk_size_bytes"), ({ size }) => size > 0))
      const tables = yield* valuesOf("flaredb_rocksdb_table_bytes")
      assert.sameMembers([...tables.keys()], [...families])
      assert.isAbove(tables.get("raft_log") ?? 0, 100_000)
      assert.strictEqual(tables.get("state_a"), 0)
      for (const [family, value] of yield* valuesOf("flaredb_rocksdb_memtable_bytes")) assert.isAbove(value, 0, family)
      const [capacity] = (yield* valuesOf("flaredb_rocksdb_block_cache_capacity_bytes")).values()
      assert.isAbove(capacity ?? 0, 0)
      const [size = 0] = (yield* valuesOf("flaredb_disk_size_bytes")).values()
      const [available = 0] = (yield* valuesOf("flaredb_disk_available_bytes")).values()
      assert.isAbove(available, 0)
      assert.isBelow(available, size)
      assert.deepStrictEqual([...(yield* valuesOf("flaredb_rocksdb_write_stalls_total")).keys()], [...families])
    }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map()))
  }).pipe(Effect.scoped))

it("stalls are read by cause and effect, without the sums that RocksDB adds", () => {
  const text = "Write Stall (count): cf-l0-file-count-limit-delays-with-ongoing-compaction: 9, " +
    "cf-l0-file-count-limit-stops-with-ongoing-compaction: 9, l0-file-count-limit-delays: 1, " +
    "l0-file-count-limit-stops: 2, memtable-limit-delays: 3, memtable-limit-stops: 4, " +
    "pending-compaction-bytes-delays: 5, pending-compaction-bytes-stops: 6, total-delays: 9, total-stops: 12\n"
  assert.deepStrictEqual(stallsIn(text), [
    ["l0-file-count-limit", "delays", 1],
    ["l0-file-count-limit", "stops", 2],
    ["memtable-limit", "delays", 3],
    ["memtable-limit", "stops", 4],
    ["pending-compaction-bytes", "delays", 5],
    ["pending-compaction-bytes", "stops", 6]
  ])
})
