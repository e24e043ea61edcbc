/** The write-back cache against a plain map: whatever commits, batches and views come, every reader sees its moment. */
import { assert, describe, it } from "@effect/vitest"
import type { Kind } from "../../src/storage/rocksdb/KeyFilters.ts"
import { KeyFilter } from "../../src/storage/rocksdb/KeyFilter.ts"
import type { Row } from "../../src/storage/rocksdb/Reader.ts"
import type { RowView } from "../../src/storage/rocksdb/RowView.ts"
import { Random } from "../simulation/Random.ts"
import { checkRows, drawRange, keys } from "./CacheModel.ts"
import { bytes, carryOut, del, put, ScriptedStore, textOf, texts } from "./ScriptedStore.ts"

/** Reads a view in a drawn way and compares. */
const check = async (random: Random, view: RowView, moment: ReadonlyMap<string, string>): Promise<void> => {
  const question = drawRange(random, moment)
  if (question !== undefined) {
    const found: Array<Row> = []
    await view.scan(question.range, (row) => {
      found.push(row)
      return true
    })
    checkRows(question, found)
  }
  assert.deepStrictEqual(texts(await view.getMany(keys.map(bytes))), keys.map((key) => moment.get(key)))
}

/** Few fingerprints for all keys. */
const poor = (text: string): number => (Number(text.slice(1)) || 100) % 11 * 2 ** 21

/** A scan for the filter of the keys, a page whenever the test says so. */
class PagedScan {
  private readonly store: ScriptedStore
  private readonly kind: Kind
  private gte = "k"
  private flushed = false

  constructor(store: ScriptedStore) {
    this.store = store
    this.kind = store.cache.filters.begin("k".charCodeAt(0))
    void store.cache.flush().then(() => {
      this.flushed = true
    })
  }

  /** `false` at the end, when the filter is in use or given up. */
  async page(rows: number): Promise<boolean> {
    const { filters } = this.store.cache
    if (!this.flushed) return true
    let [found, useful] = [0, true]
    await this.store.rows.scan({ gte: bytes(this.gte), lt: bytes("l"), limit: rows, keysOnly: true }, ({ key }) => {
      found += 1
      this.gte = `${textOf(key)}\0`
      return useful = filters.add(this.kind, textOf(key))
    })
    if (useful && found === rows) return true
    if (useful) this.kind.complete = true
    return false
  }
}

describe("the write-back cache", () => {
  for (let seed = 1; seed <= 60; seed++) {
    it(`is a plain map to every reader, seed ${seed}`, async () => {
      const random = new Random(seed)
      const maxBytes = random.chance(0.5) ? 0 : random.below(4_000)
      const store = new ScriptedStore({ batchRows: 1 + random.below(40), maxBytes }, () => new KeyFilter(poor))
      const model = new Map<string, string>()
      const views: Array<{ readonly view: RowView; readonly moment: ReadonlyMap<string, string> }> = []
      const later: Array<{ readonly key: string; readonly value: string | undefined }> = []
      const reads: Array<Promise<void>> = []
      let scan: PagedScan | undefined
      for (let step = 1; step <= 300; step++) {
        store.holding = random.chance(0.7)
        if (!store.holding || random.chance(0.3)) store.held.shift()?.()
        const operations = Array.from(
          { length: random.below(6) },
          () => random.chance(0.6) ? put(random.pick(keys), String(step)) : del(random.pick(keys))
        )
        for (const operation of operations) carryOut(model, operation)
        const changed = new Set(
          operations.map((operation) => "key" in operation ? textOf(operation.key as Uint8Array) : "")
        )
        for (const key of changed) later.push({ key, value: model.get(key) })
        void store.cache.commit(operations, () => [put("end", String(step))])
        model.set("end", String(step))
        if (random.chance(0.15)) views.push({ view: store.cache.openView(), moment: new Map(model) })
        const wanted = random.pick(keys)
        const reading = Promise.resolve(store.cache.getMany([bytes(wanted)]))
        const expected = [model.get(wanted)]
        const from = later.length
        const read = reading.then((values) => {
          // One that was overtaken by a batch may answer as of a later commit.
          for (const { key, value } of later.slice(from)) if (key === wanted) expected.push(value)
          assert.include(expected, texts(values)[0])
        })
        if (random.chance(0.02)) scan = new PagedScan(store)
        if (random.chance(0.005)) store.cache.invalidate()
        store.holding = false
        store.held.pop()?.()
        const paging = random.chance(0.3) ? scan?.page(1 + random.below(10)) : undefined
        for (const go of random.chance(0.5) ? store.held.splice(0) : []) go()
        await new Promise((done) => setImmediate(done))
        if (store.held.length === 0) await read
        else reads.push(read)
        if (await paging === false) scan = undefined
        const drawn = random.below(views.length + 1)
        const open = views[drawn]
        if (open === undefined) continue
        await check(random, open.view, open.moment)
        if (random.chance(0.4)) await views.splice(drawn, 1)[0]?.view.close()
      }
      for (const { moment, view } of views) {
        await check(random, view, moment)
        await view.close()
      }
      await store.letAllGo()
      await Promise.all(reads)
      assert.deepStrictEqual([...store.content].sort(), [...model].sort())
      assert.strictEqual(store.openSnapshots, 0)
    })
  }
})
