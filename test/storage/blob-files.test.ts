/** Large rows of the state lie in blob files: what a compaction writes again, and when their room is given back. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import RocksDB from "rocksdb-native"
import { families } from "../../src/storage/rocksdb/Operation.ts"
import type { Operation } from "../../src/storage/rocksdb/Operation.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { eventually } from "../Eventually.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

/** As much as a block of history with small values has. */
const blockBytes = 12_000

const named = (path: string, kind: "blob" | "sst") =>
  readdirSync(path).filter((name) => name.endsWith(`.${kind}`)).sort()

const bytesOf = (path: string, kind: "blob" | "sst") =>
  named(path, kind).reduce((sum, name) => sum + (statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0), 0)

const blockKey = (n: number) => Uint8Array.of(0x20, n >> 8, n & 0xff)
const recordKey = (n: number) => Uint8Array.of(0x10, n)
const put = (key: Uint8Array, bytes: number, fill: number): Operation => ({
  _tag: "Put",
  key,
  value: new Uint8Array(bytes).fill(fill)
})

const newDirectory = Effect.gen(function*() {
  const path = join(yield* temporaryFolder, "node-1")
  const made = RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] })
  yield* Effect.scoped(Layer.build(Layer.fresh(made)))
  return path
})

const open = (path: string) =>
  Effect.map(Layer.build(Layer.fresh(RocksDb.layer({ path, create: false }))), (built) => Context.get(built, RocksDb))

/** Blocks of history `from` up to, not including, `to`, between rows that change each time; all in tables. */
const write = (database: RocksDb["Service"], from: number, to: number) =>
  Effect.andThen(
    database.write("state_a", [
      put(Uint8Array.of(0x30), 100, from & 0xff),
      ...Array.from({ length: 50 }, (_, n) => put(recordKey(n), 100, from & 0xff)),
      ...Array.from({ length: to - from }, (_, n) => put(blockKey(from + n), blockBytes, from + n))
    ], "lazy"),
    database.flush("state_a")
  )

describe("large rows of the state", () => {
  it.live("are not written again by a compaction", () =>
    Effect.gen(function*() {
      const path = yield* newDirectory
      const database = yield* open(path)
      const ofOthers = named(path, "sst")
      for (let from = 0; from < 60; from += 10) yield* write(database, from, from + 10)
      const before = named(path, "blob")
      assert.isAtLeast(before.length, 6)
      const tables = new Set(named(path, "sst").filter((name) => !ofOthers.includes(name)))
      // Small rows make RocksDB merge all tables: they lie on either side of the large ones.
      const areThere = () => named(path, "sst").some((name) => tables.has(name))
      for (let round = 0; round < 100 && areThere(); round++) yield* write(database, 60, 60)
      assert.isFalse(areThere())
      assert.deepStrictEqual(named(path, "blob"), before)
      assert.isBelow(bytesOf(path, "sst"), 10 * blockBytes)
      const [first, last] = yield* database.getMany("state_a", [blockKey(0), blockKey(59)])
      assert.deepStrictEqual([first?.[0], last?.[0], last?.byteLength], [0, 59, blockBytes])
    }), 60_000)

  it.live("give their room back when the oldest of them are deleted", () =>
    Effect.gen(function*() {
      const path = yield* newDirectory
      const database = yield* open(path)
      for (let from = 0; from < 60; from += 10) yield* write(database, from, from + 10)
      const [oldest = ""] = named(path, "blob")
      yield* database.write("state_a", [{ _tag: "DeleteRange", start: blockKey(0), end: blockKey(40) }], "durable")
      database.reclaimUnsafe("state_a", blockKey(0), blockKey(40))
      yield* eventually("four of six files are gone", () => named(path, "blob").length <= 2)
      assert.notInclude(named(path, "blob"), oldest)
      assert.strictEqual((yield* database.getMany("state_a", [blockKey(40)]))[0]?.[0], 40)
    }), 60_000)

  it.live(
    "of which a few stay in use do not hold the room of those around them for ever",
    () =>
      Effect.gen(function*() {
        const path = yield* newDirectory
        const database = yield* open(path)
        // One row of each file stays, the others are written over.
        const round = (n: number) =>
          Effect.andThen(
            database.write("state_a", [
              put(blockKey(1_000 + n), blockBytes, n),
              ...Array.from({ length: 9 }, (_, i) => put(blockKey(i), blockBytes, n))
            ], "lazy"),
            database.flush("state_a")
          )
        yield* round(0)
        const [first = ""] = named(path, "blob")
        let rounds = 1
        while (rounds < 100 && named(path, "blob").includes(first)) yield* round(rounds++)
        assert.isAbove(rounds, 10)
        assert.notInclude(named(path, "blob"), first)
        assert.strictEqual((yield* database.getMany("state_a", [blockKey(1_000)]))[0]?.byteLength, blockBytes)
        yield* database.compact("state_a")
        yield* eventually(
          "only what is in use takes room",
          () => bytesOf(path, "blob") < (rounds + 9 + 1) * blockBytes * 1.1
        )
      }),
    60_000
  )

  it.live("are read by a database that is opened without blob files, as earlier versions do", () =>
    Effect.gen(function*() {
      const path = yield* newDirectory
      yield* Effect.scoped(Effect.flatMap(open(path), (database) => write(database, 0, 10)))
      assert.isNotEmpty(named(path, "blob"))
      const read = yield* Effect.promise(async () => {
        const plain = new RocksDB(path, { createIfMissing: false, columnFamilies: [...families] })
        await plain.ready()
        const value = await plain.columnFamily("state_a", { keyEncoding: null }).get(blockKey(9))
        await plain.close()
        return value
      })
      assert.deepStrictEqual([read?.byteLength, read?.[0]], [blockBytes, 9])
    }))
})
