/** A view takes a snapshot of the store only before the store changes, and sees one moment all the same. */
import { assert, describe, it } from "@effect/vitest"
import type { RowView } from "../../src/storage/rocksdb/RowView.ts"
import { bytes, delRange, put, ScriptedStore, textOf, texts } from "./ScriptedStore.ts"

const stored = (keys: ReadonlyArray<string>): ScriptedStore => {
  const store = new ScriptedStore()
  for (const key of keys) store.content.set(key, "old")
  return store
}

const rowsOf = async (view: RowView): Promise<ReadonlyArray<string>> => {
  const rows: Array<string> = []
  await view.scan({ gte: bytes("a"), lt: bytes("z") }, ({ key, value }) => {
    rows.push(`${textOf(key)}=${textOf(value)}`)
    return true
  })
  return rows
}

const commit = (store: ScriptedStore): void => {
  void store.cache.commit([put("a", "new"), put("c", "new")])
}

describe("a view of the store", () => {
  it("takes no snapshot while nothing is written", async () => {
    const store = stored(["a", "b"])
    const view = store.cache.openView()
    commit(store)
    assert.deepStrictEqual(await rowsOf(view), ["a=old", "b=old"])
    assert.strictEqual(store.openSnapshots, 0)
    await view.close()
    await store.cache.flush()
    assert.strictEqual(store.openSnapshots, 0)
  })

  it("takes one before a batch is written, and gives it back", async () => {
    const store = stored(["a", "b"])
    const view = store.cache.openView()
    commit(store)
    await store.cache.flush()
    assert.strictEqual(store.openSnapshots, 1)
    assert.deepStrictEqual(await rowsOf(view), ["a=old", "b=old"])
    assert.deepStrictEqual(texts(await view.getMany(["a", "c"].map(bytes))), ["old", undefined])
    await view.close()
    assert.strictEqual(store.openSnapshots, 0)
  })

  it("reads again what a batch may have overtaken", async () => {
    const store = stored(["a"])
    const view = store.cache.openView()
    store.holding = true
    const read = view.getMany([bytes("a")])
    commit(store)
    const written = store.cache.flush()
    await store.letAllGo()
    await written
    assert.deepStrictEqual(texts(await read), ["old"])
    assert.deepStrictEqual(store.reads, [["a"], ["a"]])
  })

  for (const keys of [["a", "b"], []]) {
    it(`scans ${keys.length} rows again that a batch overtook before the first of them`, async () => {
      const store = stored(keys)
      const view = store.cache.openView()
      store.holding = true
      const scanned = rowsOf(view)
      commit(store)
      const written = store.cache.flush()
      // The batch goes first, and the scan behind it.
      store.held.reverse()
      await store.letAllGo()
      await written
      assert.deepStrictEqual(await scanned, keys.map((key) => `${key}=old`))
    })
  }

  it("takes one at once while a range is removed", async () => {
    const store = stored(["a", "b"])
    store.holding = true
    const removed = store.cache.commit([delRange("a", "z")])
    // The removal waits for its turn first.
    while (store.batches.length === 0) await Promise.resolve()
    const view = store.cache.openView()
    assert.strictEqual(store.openSnapshots, 1)
    await store.letAllGo()
    await removed
    const seen = await rowsOf(view)
    assert.deepStrictEqual(await rowsOf(view), seen)
    await view.close()
  })

  it("does not see what is written around the cache", async () => {
    const store = stored(["a", "b"])
    const view = store.cache.openView()
    await store.cache.writeAside(async () => store.content.clear())
    assert.deepStrictEqual(await rowsOf(view), ["a=old", "b=old"])
    await view.close()
    assert.deepStrictEqual(await store.values("a", "b"), [undefined, undefined])
  })
})
