/** What the write-back cache knows of keys that do not exist, and what it must not believe. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KeyFilter } from "../../src/storage/rocksdb/KeyFilter.ts"
import type { StoredRows } from "../../src/storage/rocksdb/KeyScans.ts"
import { scan } from "../../src/storage/rocksdb/KeyScans.ts"
import { bytes, del, put, ScriptedStore, textOf } from "./ScriptedStore.ts"

const firstByte = "k".charCodeAt(0)

/** A store whose filter scans as that of a node does. */
const fill = (store: ScriptedStore): Promise<void> => {
  const stored: StoredRows = {
    flushed: Effect.promise(() => store.cache.flush()),
    scan: (range, take) => Effect.promise(() => store.rows.scan(range, take))
  }
  return Effect.runPromise(scan(store.cache.filters, stored, firstByte))
}

const filled = async (keys: ReadonlyArray<string>, filterOf?: () => KeyFilter): Promise<ScriptedStore> => {
  const store = new ScriptedStore({ maxBytes: 0 }, filterOf)
  for (const key of keys) store.content.set(key, "stored")
  await fill(store)
  return store
}

describe("keys that do not exist", () => {
  it("are not asked for once the keys that do were scanned", async () => {
    const store = await filled(["k1", "k2"])
    assert.deepStrictEqual(await store.values("k1", "k3", "k4"), ["stored", undefined, undefined])
    assert.deepStrictEqual(store.reads, [["k1"]])
    assert.deepStrictEqual(await store.values("other"), [undefined])
    assert.deepStrictEqual(store.reads, [["k1"], ["other"]])
  })

  it("have them scanned when they are often asked for", async () => {
    const store = new ScriptedStore({ filters: { misses: 3, keys: 100 } })
    for (let i = 0; i < 6; i++) await store.values(`k${i}`, "a", "k0")
    assert.deepStrictEqual(store.scansWanted, [firstByte])
  })

  it("exist once they are put, until they are deleted, in memory or not", async () => {
    const store = await filled(["k1"])
    void store.cache.commit([put("k2", "new")])
    assert.deepStrictEqual(await store.values("k2"), ["new"])
    await store.cache.flush()
    // There is no room for clean rows.
    assert.deepStrictEqual(await store.values("k2"), ["new"])
    assert.deepStrictEqual(store.reads, [["k2"]])
    void store.cache.commit([put("k2", "newer")])
    void store.cache.commit([del("k2")])
    await store.cache.flush()
    assert.deepStrictEqual(await store.values("k2", "k1"), [undefined, "stored"])
    assert.deepStrictEqual(store.reads, [["k2"], ["k2", "k1"]], "what a put replaced was not known, so it is sticky")
  })

  it("are forgotten by the filter when they are deleted", async () => {
    const store = new ScriptedStore()
    await fill(store)
    const kind = store.cache.filters.begin(firstByte)
    kind.complete = true
    for (let i = 0; i < 100; i++) void store.cache.commit([put(`k${i}`, "v")])
    assert.strictEqual(kind.filter?.size, 100)
    await store.cache.flush()
    for (let i = 0; i < 100; i++) void store.cache.commit([del(`k${i}`)])
    assert.strictEqual(kind.filter?.size, 0)
  })

  it("cost the store nothing when they are put and deleted before they were written", async () => {
    const store = await filled([])
    void store.cache.commit([put("k1", "short")])
    void store.cache.commit([del("k1"), put("k2", "stays")])
    await store.cache.flush()
    assert.deepStrictEqual(store.batches.flat(), [put("k2", "stays")])
  })

  it("stay in memory when they are put, like rows that were read", async () => {
    const store = new ScriptedStore()
    await fill(store)
    void store.cache.commit([put("k1", "v")])
    await store.cache.flush()
    assert.deepStrictEqual(await store.values("k1"), ["v"])
    assert.deepStrictEqual(store.reads, [])
  })
})

describe("a key that exists is never taken for one that does not", () => {
  /** All keys have one fingerprint. */
  const same = () => new KeyFilter(() => 7)

  it("when another one with its fingerprint is deleted before the scan finds that", async () => {
    const store = new ScriptedStore({ maxBytes: 10_000 }, same)
    store.content.set("k1", "stored").set("k2", "stored")
    assert.deepStrictEqual(await store.values("k2"), ["stored"])
    const kind = store.cache.filters.begin(firstByte)
    store.cache.filters.add(kind, "k1")
    void store.cache.commit([del("k2")])
    kind.complete = true
    assert.deepStrictEqual(await store.values("k1", "k2"), ["stored", undefined])
  })

  it("when another one with its fingerprint is put and deleted", async () => {
    const store = await filled(["k1"], same)
    void store.cache.commit([put("k2", "v")])
    void store.cache.commit([del("k2")])
    assert.deepStrictEqual(await store.values("k1", "k2"), ["stored", undefined])
  })

  it("when it was put together with the removal of a range", async () => {
    const store = await filled(["k1"])
    await store.cache.commit([{ _tag: "DeleteRange", start: bytes("k1"), end: bytes("k2") }, put("k3", "v")])
    assert.deepStrictEqual(await store.values("k1", "k3"), [undefined, "v"])
  })

  it("when something else wrote it, also while the keys were scanned", async () => {
    const store = await filled(["k1"])
    store.content.set("k2", "foreign")
    store.cache.invalidate()
    assert.deepStrictEqual(await store.values("k2"), ["foreign"])
    store.holding = true
    const filling = fill(store)
    store.content.set("k3", "foreign")
    store.cache.invalidate()
    store.holding = false
    for (const go of store.held.splice(0)) go()
    await filling
    assert.deepStrictEqual(await store.values("k3"), ["foreign"])
  })

  it("when there are more keys than are filtered", async () => {
    const keys = Array.from({ length: 2_000 }, (_, i) => `k${i}`)
    const store = await filled(keys)
    assert.deepStrictEqual(await store.values("k1999"), ["stored"])
    assert.deepStrictEqual(await store.values("none"), [undefined])
    const limited = await filled(keys.slice(0, 1_000))
    void limited.cache.commit([put("k-new", "v"), put("k-newer", "v")])
    await limited.cache.flush()
    assert.deepStrictEqual(await limited.values("k-new", "k5"), ["v", "stored"])
    assert.deepStrictEqual(await limited.values("k-none"), [undefined])
    assert.deepStrictEqual(limited.reads.map((read) => read.map((key) => textOf(bytes(key)))).at(-1), ["k-none"])
  })
})
