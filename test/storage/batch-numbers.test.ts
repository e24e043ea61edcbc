/** A state whose batches are not all there is refused: RocksDB recovers what is left of them without a word. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import { inspect, readState } from "../../src/storage/Inspect.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import { BatchNumbers, maxBatchesOutside } from "../../src/storage/rocksdb/BatchNumbers.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { sampleEntries, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { put } from "../../src/testing/StateStoreSuite.ts"
import { copyCrashImage } from "./CrashImage.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const start = <A, E, R>(path: string, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.fresh(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] })))

const point = (index: number) => ({ index: LogIndex(index), term: Term(1) })

/** One batch of the state. */
const batch = (index: number) =>
  StateStore.use((state) => Effect.andThen(state.commit([put(`k${index}`, String(index))], point(index)), state.sync))

const logsIn = (path: string) => readdirSync(path).filter((name) => /^\d+\.log$/.test(name)).toSorted()

/** What kill -9 leaves of a state in batches 1 to 4, of which the first two are in an older write-ahead log. */
const killed = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  const copy = join(folder, "killed")
  const path = join(folder, "node-1")
  yield* start(
    path,
    Effect.gen(function*() {
      yield* LogStore.use((log) => log.append([writeOf(sampleEntries(1, 4, 1))]))
      yield* batch(1)
      yield* batch(2)
      // A table of another family begins a log, and this one's rows stay in the old one.
      yield* RocksDb.use((database) => database.flush("raft_state"))
      yield* batch(3)
      yield* batch(4)
      copyCrashImage(path, copy)
    })
  )
  return copy
})

describe("a state in two write-ahead logs", () => {
  it.live("is read", () =>
    Effect.gen(function*() {
      const path = yield* killed
      assert.lengthOf(logsIn(path), 2)
      assert.strictEqual((yield* start(path, StateStore)).recovered.index, 4)
    }))

  it.live("is refused when the older one is gone", () =>
    Effect.gen(function*() {
      const path = yield* killed
      rmSync(join(path, logsIn(path)[0] as string))
      for (const opened of [start(path, StateStore), inspect(path, () => Effect.void)]) {
        const error = yield* Effect.flip(opened)
        assert.strictEqual(error._tag, "StorageCorruption")
        assert.match(error.message, /state_a: batch 1 of 1 to 4 is missing: a write-ahead log of RocksDB was removed/)
      }
    }))

  it.live("is older when the newer one is gone, which the log makes up for", () =>
    Effect.gen(function*() {
      const path = yield* killed
      rmSync(join(path, logsIn(path)[1] as string))
      assert.strictEqual((yield* start(path, StateStore)).recovered.index, 2)
      yield* start(path, batch(3))
      assert.strictEqual((yield* start(path, StateStore)).recovered.index, 3)
    }))
})

/** What kill -9 leaves once a snapshot has replaced the state in batches 1 to 4. */
const replaced = Effect.gen(function*() {
  const path = yield* killed
  const copy = `${path}-replaced`
  yield* start(
    path,
    Effect.gen(function*() {
      const { import: begin } = yield* StateStore
      yield* Effect.scoped(Effect.gen(function*() {
        const { finish, write } = yield* begin
        yield* write([{ key: Uint8Array.of(1), value: Uint8Array.of(2) }])
        yield* finish(point(9))
      }))
      copyCrashImage(path, copy)
    })
  )
  return copy
})

const saveReplaced = (path: string) => readState(path, true, (state) => Effect.succeed(state.point.index))

describe("a state that a snapshot replaced", () => {
  it.live("can be gone back to", () =>
    Effect.gen(function*() {
      const path = yield* replaced
      assert.strictEqual(yield* saveReplaced(path), 4)
      const found = yield* inspect(path, ({ replaced }) => Effect.succeed(replaced))
      assert.deepStrictEqual(found, { point: point(4), damage: undefined })
    }))

  it.live("is no state to go back to when a batch of it is missing, and the node starts all the same", () =>
    Effect.gen(function*() {
      const path = yield* replaced
      // The row of the batch in the place of the batch: a start has written what was left of the logs into tables.
      const row = Uint8Array.of(0, 2, 0, 0, 0, 0, 0, 0, 0, 2)
      yield* RocksDb.use((database) => database.write("state_a", [{ _tag: "Delete", key: row }], "durable")).pipe(
        Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false })))
      )
      const gap = /state_a: batch 2 of 1 to 4 is missing: a write-ahead log of RocksDB was removed or cut/
      const refused = yield* Effect.flip(saveReplaced(path))
      assert.strictEqual(refused._tag, "StorageCorruption")
      assert.match(refused.message, gap)
      const found = yield* inspect(path, ({ applied, replaced }) => Effect.succeed({ applied, replaced }))
      assert.deepStrictEqual([found.applied, found.replaced?.point], [point(9), point(4)])
      assert.match(found.replaced?.damage?.message ?? "", gap)
      const said: Array<string> = []
      const log = Logger.make(({ message }) => said.push(String(message)))
      yield* Effect.provide(
        start(path, StateStore.use((state) => Effect.succeed(assert.strictEqual(state.recovered.index, 9)))),
        Logger.layer([log])
      )
      assert.match(said.join("\n"), /the replaced state through 4 is not whole, and no backup of it can be taken: /)
      // It is kept: nothing else may have as much of it.
      assert.strictEqual((yield* inspect(path, ({ replaced }) => Effect.succeed(replaced)))?.point.index, 4)
    }))
})

it("numbers have a row until their batches are in tables, and too few are kept outside", () => {
  const numbers = new BatchNumbers(1, 0)
  const writes = (): string =>
    numbers.next().map((operation) => {
      if (operation._tag === "DeleteRange") throw new Error("no range")
      return `${operation._tag} ${(operation.key as Uint8Array).at(-1)}`
    }).join()
  assert.deepStrictEqual([writes(), writes(), writes()], ["Put 1", "Put 2", "Put 3"])
  const { written } = numbers
  assert.strictEqual(written, 2, "the third may not have been written yet")
  assert.strictEqual(writes(), "Put 4")
  numbers.wereFlushed(written)
  assert.strictEqual(writes(), "Delete 1,Delete 2,Put 5")
  assert.strictEqual(writes(), "Put 6")
  assert.isFalse(numbers.isDue)
  for (let i = 0; i < maxBatchesOutside; i++) numbers.next()
  assert.isTrue(numbers.isDue)
  numbers.wereFlushed(numbers.written)
  assert.isFalse(numbers.isDue)
})
