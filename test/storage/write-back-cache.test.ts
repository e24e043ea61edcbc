import { assert, describe, it } from "@effect/vitest"
import type { Operation } from "../../src/storage/rocksdb/Operation.ts"
import type { RowView } from "../../src/storage/rocksdb/RowView.ts"
import { bytes, del, delRange, put, ScriptedStore, textOf, texts } from "./ScriptedStore.ts"

describe("rows that were committed", () => {
  it("are seen at once and written later, many commits in one batch, each key once", async () => {
    const store = new ScriptedStore()
    for (let i = 1; i <= 5; i++) assert.isUndefined(store.cache.commit([put("applied", String(i)), put(`k${i}`, "v")]))
    assert.isUndefined(store.cache.commit([del("k2")]))
    assert.deepStrictEqual(await store.values("applied", "k1", "k2"), ["5", "v", undefined])
    assert.lengthOf(store.batches, 0)
    assert.lengthOf(store.reads, 0)
    await store.cache.flush()
    assert.lengthOf(store.batches, 1)
    assert.deepStrictEqual([...store.content].sort(), [["applied", "5"], ["k1", "v"], ["k3", "v"], ["k4", "v"], [
      "k5",
      "v"
    ]])
  })

  it("are written by themselves after a while", async () => {
    const store = new ScriptedStore({ delayMs: 1 })
    void store.cache.commit([put("k", "v")])
    while (store.content.size === 0) await new Promise((later) => setTimeout(later, 1))
    assert.deepStrictEqual([...store.content], [["k", "v"]])
  })

  it("are written without delay when a batch is full, and hold the next commit back when four are", async () => {
    const store = new ScriptedStore({ batchRows: 2 })
    store.holding = true
    void store.cache.commit([put("a", "1"), put("b", "1")])
    assert.lengthOf(store.batches, 1)
    for (const key of ["c", "d", "e", "f", "g", "h", "i"]) assert.isUndefined(store.cache.commit([put(key, "1")]))
    const waiting = store.cache.commit([put("j", "1")])
    assert.instanceOf(waiting, Promise)
    store.holding = false
    store.held.shift()?.()
    await waiting
    await store.cache.flush()
    assert.strictEqual(store.content.size, 10)
  })

  it("of one commit are never divided between batches", async () => {
    const store = new ScriptedStore({ batchRows: 2 })
    store.holding = true
    for (let i = 0; i < 20; i++) void store.cache.commit([put("left", String(i)), put("right", String(i))])
    while (store.held.length > 0 || store.batches.length === 0) {
      store.held.shift()?.()
      await new Promise((later) => setImmediate(later))
    }
    store.holding = false
    await store.cache.flush()
    for (const batch of store.batches) {
      const values = batch.map((operation) => operation._tag === "Put" ? textOf(operation.value) : "")
      assert.strictEqual(new Set(values).size, 1)
    }
    assert.deepStrictEqual([...store.content], [["left", "19"], ["right", "19"]])
  })
})

describe("rows that are read", () => {
  it("come from the store once and from memory from then on, also when there are none", async () => {
    const store = new ScriptedStore()
    store.content.set("a", "1")
    assert.deepStrictEqual(await store.values("a", "none"), ["1", undefined])
    assert.deepStrictEqual(await store.values("a", "none"), ["1", undefined])
    assert.deepStrictEqual(store.reads, [["a", "none"]])
  })

  it("are of one moment although commits and batches come in between", async () => {
    const store = new ScriptedStore()
    store.content.set("a", "0").set("b", "0")
    assert.deepStrictEqual(await store.values("a"), ["0"])
    store.holding = true
    const reading = store.values("a", "b")
    // Committed and even written while the read of "b" is under way: the store told of "b" before, memory of "a" after.
    void store.cache.commit([put("a", "1"), put("b", "1")])
    const flushed = store.cache.flush()
    store.held.pop()?.()
    await flushed
    store.holding = false
    store.held.shift()?.()
    assert.deepStrictEqual(await reading, ["1", "1"])
  })

  it("do not become what they were before a commit that is being written", async () => {
    const store = new ScriptedStore()
    store.content.set("a", "0")
    store.holding = true
    const reading = store.values("a")
    void store.cache.commit([put("a", "1")])
    const flushed = store.cache.flush()
    // The read ends first, with what the store held before.
    store.held.shift()?.()
    store.holding = false
    store.held.shift()?.()
    await flushed
    assert.deepStrictEqual(await reading, ["1"])
    assert.deepStrictEqual(await store.values("a"), ["1"])
  })

  it("do not become what they were before a commit that was written and let go meanwhile", async () => {
    const store = new ScriptedStore({ maxBytes: 1 })
    store.content.set("a", "0")
    store.holding = true
    const reading = store.values("a")
    void store.cache.commit([put("a", "1")])
    const flushed = store.cache.flush()
    store.held.pop()?.()
    await flushed
    store.holding = false
    store.held.shift()?.()
    assert.deepStrictEqual(await reading, ["1"])
    assert.deepStrictEqual(await store.values("a"), ["1"])
  })

  it("are answered at the second attempt although every read is overtaken by a batch", async () => {
    const store = new ScriptedStore({ batchRows: 1 })
    store.content.set("cold", "v")
    store.holding = true
    const answers: Array<ReadonlyArray<string | undefined>> = []
    void store.values("cold").then((values) => answers.push(values))
    for (let commit = 1; answers.length === 0 && commit < 100; commit++) {
      void store.cache.commit([put("hot", String(commit))])
      // The youngest first: what was committed is written before the read ends.
      store.held.pop()?.()
      await new Promise((later) => setImmediate(later))
      store.held.shift()?.()
      await new Promise((later) => setImmediate(later))
    }
    assert.deepStrictEqual(answers, [["v"]])
    assert.lengthOf(store.reads, 2)
    await store.letAllGo()
    assert.strictEqual(store.openSnapshots, 0)
  })

  it("are let go when there are too many, those of unwritten commits never", async () => {
    const store = new ScriptedStore({ maxBytes: 2_000 })
    for (let i = 0; i < 100; i++) store.content.set(`k${i}`, "v")
    void store.cache.commit([put("unwritten", "v")])
    for (let i = 0; i < 100; i++) await store.values(`k${i}`)
    assert.lengthOf(store.reads, 100)
    assert.deepStrictEqual(await store.values("unwritten"), ["v"])
    assert.deepStrictEqual(await store.values("k99"), ["v"])
    assert.lengthOf(store.reads, 100)
    assert.deepStrictEqual(await store.values("k0"), ["v"])
    assert.lengthOf(store.reads, 101)
  })

  it("are forgotten when something else has written there", async () => {
    const store = new ScriptedStore()
    store.content.set("a", "1")
    await store.values("a")
    store.content.set("a", "2")
    store.cache.invalidate()
    assert.deepStrictEqual(await store.values("a"), ["2"])
  })
})

describe("a commit that removes a range", () => {
  it("comes after everything before it, and nobody sees what it removed", async () => {
    const store = new ScriptedStore()
    store.content.set("h1", "v").set("h2", "v")
    await store.values("h1")
    void store.cache.commit([put("h3", "v"), put("k", "1")])
    await store.cache.commit([delRange("h", "i"), put("k", "2")])
    assert.deepStrictEqual(await store.values("h1", "h2", "h3", "k"), [undefined, undefined, undefined, "2"])
    assert.deepStrictEqual([...store.content], [["k", "2"]])
    assert.lengthOf(store.batches, 2)
  })

  it("is not seen in part by a read that is under way", async () => {
    const store = new ScriptedStore()
    store.content.set("k", "1").set("h", "1")
    await store.values("k")
    store.holding = true
    const reading = store.values("k", "h")
    const committing = store.cache.commit([delRange("h", "i"), put("k", "2")])
    store.holding = false
    while (store.held.length > 0) {
      store.held.pop()?.()
      await new Promise((later) => setImmediate(later))
    }
    await committing
    assert.deepStrictEqual(await reading, ["1", "1"])
    assert.deepStrictEqual(await store.values("k", "h"), ["2", undefined])
  })
})

describe("what a batch writes", () => {
  const written = (store: ScriptedStore): ReadonlyArray<string> => store.batches.flat().map(shown)
  const shown = (operation: Operation): string =>
    operation._tag === "Put"
      ? `${keyOf(operation.key)}=${textOf(operation.value)}`
      : operation._tag === "Delete"
      ? `-${keyOf(operation.key)}`
      : "range"
  const keyOf = (key: Uint8Array | string): string => typeof key === "string" ? key : textOf(key)

  it("is each row once, and where it ends once, behind the rows", async () => {
    const store = new ScriptedStore()
    for (let i = 1; i <= 9; i++) void store.cache.commit([put("hot", String(i))], () => [put("end", String(i))])
    void store.cache.commit([], () => [put("end", "10")])
    await store.cache.flush()
    assert.deepStrictEqual(written(store), ["hot=9", "end=10"])
  })

  it("is no row that the store was read not to have and that is deleted again", async () => {
    const store = new ScriptedStore()
    store.content.set("old", "v")
    assert.deepStrictEqual(await store.values("short", "old"), [undefined, "v"])
    void store.cache.commit([put("short", "1"), put("old", "2"), put("unread", "3")])
    void store.cache.commit([del("short"), del("old"), del("unread")])
    assert.deepStrictEqual(await store.values("short", "old", "unread"), [undefined, undefined, undefined])
    await store.cache.flush()
    // Of the row that was not read, nobody knows whether the store has it.
    assert.deepStrictEqual(written(store), ["-old", "-unread"])
  })

  it("is no second deletion, while the first one is being written and afterwards", async () => {
    const store = new ScriptedStore()
    store.content.set("k", "v")
    await store.values("k")
    store.holding = true
    void store.cache.commit([del("k")])
    const flushed = store.cache.flush()
    void store.cache.commit([put("k", "again"), del("k"), del("k")])
    store.held.shift()?.()
    await flushed
    const second = store.cache.flush()
    store.held.shift()?.()
    await second
    void store.cache.commit([put("k", "later")])
    void store.cache.commit([del("k")])
    await store.letAllGo()
    assert.deepStrictEqual(written(store), ["-k"])
    assert.deepStrictEqual([...store.content], [])
  })

  it("is the deletion of a row that the batch before it puts", async () => {
    const store = new ScriptedStore({ maxBytes: 1 })
    await store.values("k")
    store.holding = true
    void store.cache.commit([put("k", "v")])
    const flushed = store.cache.flush()
    void store.cache.commit([del("k")])
    store.held.shift()?.()
    await flushed
    await store.letAllGo()
    assert.deepStrictEqual(written(store), ["k=v", "-k"])
    assert.deepStrictEqual([...store.content], [])
  })

  it("is bounded in memory also by rows that are not written in the end", async () => {
    const store = new ScriptedStore({ batchBytes: 10_000 })
    const keys = Array.from({ length: 100 }, (_, i) => `short ${i}`)
    await store.values(...keys)
    for (const key of keys) void store.cache.commit([put(key, "v"), del(key)], () => [put("end", key)])
    assert.isAtLeast(store.batches.length, 1)
  })
})

describe("a view", () => {
  const scanned = async (view: RowView, options: { limit?: number; reverse?: boolean; keysOnly?: boolean } = {}) => {
    const rows: Array<string> = []
    await view.scan({ gte: bytes("a"), lt: bytes("z"), ...options }, ({ key, value }) => {
      rows.push(`${textOf(key)}=${textOf(value)}`)
      return true
    })
    return rows
  }

  it("is the moment at which it was opened, with all that was only in memory, whatever is written meanwhile", async () => {
    const store = new ScriptedStore()
    store.content.set("b", "0").set("d", "0").set("f", "0")
    store.holding = true
    void store.cache.commit([put("a", "1"), put("b", "1"), del("d")])
    const flushed = store.cache.flush()
    void store.cache.commit([put("a", "2"), put("e", "2")])
    const view = store.cache.openView()
    void store.cache.commit([del("a"), put("b", "3"), put("d", "3"), put("e", "3"), put("g", "3")])
    const later = store.cache.openView()
    void store.cache.commit([put("a", "4"), del("e")])
    await store.letAllGo()
    await flushed
    void store.cache.commit([put("b", "5"), put("c", "5")])
    for (let round = 0; round < 2; round++) {
      assert.deepStrictEqual(await scanned(view), ["a=2", "b=1", "e=2", "f=0"])
      assert.deepStrictEqual(await scanned(view, { reverse: true, limit: 3 }), ["f=0", "e=2", "b=1"])
      assert.deepStrictEqual(await scanned(view, { limit: 3, keysOnly: true }), ["a=", "b=", "e="])
      assert.deepStrictEqual(texts(await view.getMany(["a", "d", "e", "f"].map(bytes))), ["2", undefined, "2", "0"])
      assert.deepStrictEqual(await scanned(later), ["b=3", "d=3", "e=3", "f=0", "g=3"])
      await store.cache.flush()
    }
    const now = store.cache.openView()
    assert.deepStrictEqual(await scanned(now), ["a=4", "b=5", "c=5", "d=3", "f=0", "g=3"])
    for (const open of [view, later, now]) await open.close()
    assert.strictEqual(store.openSnapshots, 0)
  })

  it("finds its rows behind any number that are deleted and not written", async () => {
    const store = new ScriptedStore({ batchRows: 10_000 })
    const names = Array.from({ length: 2_000 }, (_, i) => `k${String(i).padStart(4, "0")}`)
    for (const name of names) store.content.set(name, "v")
    void store.cache.commit(names.slice(1, 1_999).map(del))
    const view = store.cache.openView()
    assert.deepStrictEqual(await scanned(view, { limit: 2 }), ["k0000=v", "k1999=v"])
    assert.deepStrictEqual(await scanned(view, { limit: 2, reverse: true }), ["k1999=v", "k0000=v"])
    await view.close()
  })

  it("has nothing written for it", async () => {
    const store = new ScriptedStore()
    void store.cache.commit([put("a", "1")])
    const view = store.cache.openView()
    assert.deepStrictEqual(await scanned(view), ["a=1"])
    await view.close()
    assert.lengthOf(store.batches, 0)
  })
})

describe("commits beside one that removes a range", () => {
  it("are written after it, in their order", async () => {
    const store = new ScriptedStore()
    store.holding = true
    void store.cache.commit([put("h1", "1"), put("k", "1")])
    const removing = store.cache.commit([delRange("h", "i"), put("k", "2")])
    const after = store.cache.commit([put("h2", "3"), put("k", "3")])
    const again = store.cache.commit([delRange("h", "i"), put("k", "4")])
    const last = store.cache.commit([put("k", "5"), put("h3", "5")])
    store.holding = false
    while (store.held.length > 0) {
      store.held.pop()?.()
      await new Promise((later) => setImmediate(later))
    }
    await Promise.all([removing, after, again, last])
    await store.cache.flush()
    const values = store.batches.flatMap((batch) =>
      batch.flatMap((operation) =>
        operation._tag === "Put" && textOf(operation.key as Uint8Array) === "k" ? [textOf(operation.value)] : []
      )
    )
    assert.deepStrictEqual(values, ["1", "2", "3", "4", "5"])
    assert.deepStrictEqual([...store.content], [["k", "5"], ["h3", "5"]])
  })
})

describe("a batch that cannot be written", () => {
  it("fails everything from then on", async () => {
    const store = new ScriptedStore()
    void store.cache.commit([put("k", "v")])
    store.failing = true
    const messages: Array<string> = []
    const attempts = [
      () => store.cache.flush(),
      () => Promise.resolve(store.cache.commit([put("k", "w")])),
      () => store.values("other"),
      () => Promise.resolve().then(() => store.cache.openView()),
      () => store.cache.flush()
    ]
    for (const attempt of attempts) {
      await attempt().catch((error: unknown) => messages.push(String(error)))
    }
    assert.deepStrictEqual(messages, new Array(5).fill("Error: the disk is gone"))
  })
})
