import { assert, describe, it } from "@effect/vitest"
import type { Operation } from "../../src/storage/rocksdb/Operation.ts"
import type { RowLimits } from "../../src/storage/rocksdb/StateRows.ts"
import { StateRows } from "../../src/storage/rocksdb/StateRows.ts"

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString()
const put = (key: string, value: string): Operation => ({ _tag: "Put", key: bytes(key), value: bytes(value) })
const del = (key: string): Operation => ({ _tag: "Delete", key: bytes(key) })
const delRange = (start: string, end: string): Operation => ({
  _tag: "DeleteRange",
  start: bytes(start),
  end: bytes(end)
})

/** A store whose writes and reads end when the test says so. */
class FakeStore {
  readonly content = new Map<string, string>()
  readonly batches: Array<ReadonlyArray<Operation>> = []
  readonly reads: Array<ReadonlyArray<string>> = []
  readonly rows: StateRows
  /** Held writes and reads, oldest first. */
  readonly held: Array<() => void> = []
  holding = false
  failing = false

  constructor(limits: Partial<RowLimits> = {}) {
    this.rows = new StateRows(
      {
        write: async (operations) => {
          this.batches.push(operations)
          await this.turn()
          if (this.failing) throw new Error("the disk is gone")
          for (const operation of operations) this.carryOut(operation)
        },
        read: async (keys) => {
          const names = keys.map((key) => text(key) as string)
          this.reads.push(names)
          const values = names.map((name) => this.content.get(name))
          await this.turn()
          return values.map((value) => value === undefined ? undefined : bytes(value))
        }
      },
      // Nothing is written by time alone unless a test asks for it.
      { maxBytes: 1024 * 1024, delayMs: 1_000_000, batchRows: 1_000, batchBytes: 1024 * 1024, ...limits }
    )
  }

  private turn(): Promise<void> {
    return this.holding ? new Promise((go) => this.held.push(go)) : Promise.resolve()
  }

  private carryOut(operation: Operation): void {
    if (operation._tag === "DeleteRange") {
      const [start, end] = [text(operation.start) as string, text(operation.end) as string]
      for (const key of this.content.keys()) if (key >= start && key < end) this.content.delete(key)
    } else {
      const key = typeof operation.key === "string" ? operation.key : text(operation.key) as string
      if (operation._tag === "Delete") this.content.delete(key)
      else this.content.set(key, text(operation.value) as string)
    }
  }

  async values(...keys: ReadonlyArray<string>): Promise<ReadonlyArray<string | undefined>> {
    return (await this.rows.getMany(keys.map(bytes))).map(text)
  }
}

describe("rows that were committed", () => {
  it("are seen at once and written later, many commits in one batch, each key once", async () => {
    const store = new FakeStore()
    for (let i = 1; i <= 5; i++) assert.isUndefined(store.rows.commit([put("applied", String(i)), put(`k${i}`, "v")]))
    assert.isUndefined(store.rows.commit([del("k2")]))
    assert.deepStrictEqual(await store.values("applied", "k1", "k2"), ["5", "v", undefined])
    assert.lengthOf(store.batches, 0)
    assert.lengthOf(store.reads, 0)
    await store.rows.drain()
    assert.lengthOf(store.batches, 1)
    assert.deepStrictEqual([...store.content].sort(), [["applied", "5"], ["k1", "v"], ["k3", "v"], ["k4", "v"], [
      "k5",
      "v"
    ]])
  })

  it("are written by themselves after a while", async () => {
    const store = new FakeStore({ delayMs: 1 })
    void store.rows.commit([put("k", "v")])
    while (store.content.size === 0) await new Promise((later) => setTimeout(later, 1))
    assert.deepStrictEqual([...store.content], [["k", "v"]])
  })

  it("are written without delay when a batch is full, and hold the next commit back when four are", async () => {
    const store = new FakeStore({ batchRows: 2 })
    store.holding = true
    void store.rows.commit([put("a", "1"), put("b", "1")])
    assert.lengthOf(store.batches, 1)
    for (const key of ["c", "d", "e", "f", "g", "h", "i"]) assert.isUndefined(store.rows.commit([put(key, "1")]))
    const waiting = store.rows.commit([put("j", "1")])
    assert.instanceOf(waiting, Promise)
    store.holding = false
    store.held.shift()?.()
    await waiting
    await store.rows.drain()
    assert.strictEqual(store.content.size, 10)
  })

  it("of one commit are never divided between batches", async () => {
    const store = new FakeStore({ batchRows: 2 })
    store.holding = true
    for (let i = 0; i < 20; i++) void store.rows.commit([put("left", String(i)), put("right", String(i))])
    while (store.held.length > 0 || store.batches.length === 0) {
      store.held.shift()?.()
      await new Promise((later) => setImmediate(later))
    }
    store.holding = false
    await store.rows.drain()
    for (const batch of store.batches) {
      const values = batch.map((operation) => operation._tag === "Put" ? text(operation.value) : "")
      assert.strictEqual(new Set(values).size, 1)
    }
    assert.deepStrictEqual([...store.content], [["left", "19"], ["right", "19"]])
  })
})

describe("rows that are read", () => {
  it("come from the store once and from memory from then on, also when there are none", async () => {
    const store = new FakeStore()
    store.content.set("a", "1")
    assert.deepStrictEqual(await store.values("a", "none"), ["1", undefined])
    assert.deepStrictEqual(await store.values("a", "none"), ["1", undefined])
    assert.deepStrictEqual(store.reads, [["a", "none"]])
  })

  it("are of one moment although commits and batches come in between", async () => {
    const store = new FakeStore()
    store.content.set("a", "0").set("b", "0")
    assert.deepStrictEqual(await store.values("a"), ["0"])
    store.holding = true
    const reading = store.values("a", "b")
    // Committed and even written while the read of "b" is under way: the store told of "b" before, memory of "a" after.
    void store.rows.commit([put("a", "1"), put("b", "1")])
    const drained = store.rows.drain()
    store.held.pop()?.()
    await drained
    store.holding = false
    store.held.shift()?.()
    assert.deepStrictEqual(await reading, ["1", "1"])
  })

  it("do not become what they were before a commit that is being written", async () => {
    const store = new FakeStore()
    store.content.set("a", "0")
    store.holding = true
    const reading = store.values("a")
    void store.rows.commit([put("a", "1")])
    const drained = store.rows.drain()
    // The read ends first, with what the store held before.
    store.held.shift()?.()
    assert.deepStrictEqual(await reading, ["1"])
    store.holding = false
    store.held.shift()?.()
    await drained
    assert.deepStrictEqual(await store.values("a"), ["1"])
  })

  it("do not become what they were before a commit that was written and let go meanwhile", async () => {
    const store = new FakeStore({ maxBytes: 1 })
    store.content.set("a", "0")
    store.holding = true
    const reading = store.values("a")
    void store.rows.commit([put("a", "1")])
    const drained = store.rows.drain()
    store.held.pop()?.()
    await drained
    store.holding = false
    store.held.shift()?.()
    assert.deepStrictEqual(await reading, ["1"])
    assert.deepStrictEqual(await store.values("a"), ["1"])
  })

  it("are answered although every read is overtaken by a batch: writing waits in the end", async () => {
    const store = new FakeStore({ batchRows: 1 })
    store.content.set("cold", "v")
    store.holding = true
    const answers: Array<ReadonlyArray<string | undefined>> = []
    void store.values("cold").then((values) => answers.push(values))
    for (let commit = 1; answers.length === 0 && commit < 100; commit++) {
      void store.rows.commit([put("hot", String(commit))])
      // The youngest first: what was committed is written before the read ends, if it may be.
      store.held.pop()?.()
      await new Promise((later) => setImmediate(later))
      store.held.shift()?.()
      await new Promise((later) => setImmediate(later))
    }
    assert.deepStrictEqual(answers, [["v"]])
    assert.isAtMost(store.reads.length, 4)
    store.holding = false
    for (const go of store.held.splice(0)) go()
    await store.rows.drain()
  })

  it("are let go when there are too many, those of unwritten commits never", async () => {
    const store = new FakeStore({ maxBytes: 2_000 })
    for (let i = 0; i < 100; i++) store.content.set(`k${i}`, "v")
    void store.rows.commit([put("unwritten", "v")])
    for (let i = 0; i < 100; i++) await store.values(`k${i}`)
    assert.lengthOf(store.reads, 100)
    assert.deepStrictEqual(await store.values("unwritten"), ["v"])
    assert.deepStrictEqual(await store.values("k99"), ["v"])
    assert.lengthOf(store.reads, 100)
    assert.deepStrictEqual(await store.values("k0"), ["v"])
    assert.lengthOf(store.reads, 101)
  })

  it("are forgotten when something else has written there", async () => {
    const store = new FakeStore()
    store.content.set("a", "1")
    await store.values("a")
    store.content.set("a", "2")
    store.rows.forget()
    assert.deepStrictEqual(await store.values("a"), ["2"])
  })
})

describe("a commit that removes a range", () => {
  it("comes after everything before it, and nobody sees what it removed", async () => {
    const store = new FakeStore()
    store.content.set("h1", "v").set("h2", "v")
    await store.values("h1")
    void store.rows.commit([put("h3", "v"), put("k", "1")])
    await store.rows.commit([delRange("h", "i"), put("k", "2")])
    assert.deepStrictEqual(await store.values("h1", "h2", "h3", "k"), [undefined, undefined, undefined, "2"])
    assert.deepStrictEqual([...store.content], [["k", "2"]])
    assert.lengthOf(store.batches, 2)
  })

  it("is not seen in part by a read that is under way", async () => {
    const store = new FakeStore()
    store.content.set("k", "1").set("h", "1")
    await store.values("k")
    store.holding = true
    const reading = store.values("k", "h")
    const committing = store.rows.commit([delRange("h", "i"), put("k", "2")])
    store.holding = false
    while (store.held.length > 0) {
      store.held.pop()?.()
      await new Promise((later) => setImmediate(later))
    }
    await committing
    assert.deepStrictEqual(await reading, ["2", undefined])
  })
})

describe("a batch that cannot be written", () => {
  it("fails everything from then on", async () => {
    const store = new FakeStore()
    void store.rows.commit([put("k", "v")])
    store.failing = true
    const messages: Array<string> = []
    const attempts = [
      () => store.rows.drain(),
      () => Promise.resolve(store.rows.commit([put("k", "w")])),
      () => store.values("other"),
      () => store.rows.drain()
    ]
    for (const attempt of attempts) {
      await attempt().catch((error: unknown) => messages.push(String(error)))
    }
    assert.deepStrictEqual(messages, new Array(4).fill("Error: the disk is gone"))
  })
})
