/** The write-back cache against a plain map: whatever commits, batches and views come, every reader sees its moment. */
import { assert, describe, it } from "@effect/vitest"
import type { RowView } from "../../src/storage/rocksdb/RowView.ts"
import { Random } from "../simulation/Random.ts"
import { bytes, carryOut, del, put, ScriptedStore, textOf, texts } from "./ScriptedStore.ts"

const keys = Array.from({ length: 24 }, (_, i) => `k${String(i).padStart(2, "0")}`)

/** Reads a view in a drawn way and compares. */
const check = async (random: Random, view: RowView, moment: ReadonlyMap<string, string>): Promise<void> => {
  const [gte, lt] = [random.pick(keys), random.chance(0.3) ? "z" : random.pick(keys)].sort() as [string, string]
  const [limit, reverse] = [1 + random.below(30), random.chance(0.5)]
  const expected = [...moment].filter(([key]) => key >= gte && key < lt).sort(([a], [b]) => a < b ? -1 : 1)
  if (reverse) expected.reverse()
  const found: Array<[string, string]> = []
  if (gte < lt) {
    await view.scan({ gte: bytes(gte), lt: bytes(lt), limit, reverse }, ({ key, value }) => {
      found.push([textOf(key), textOf(value)])
      return true
    })
  }
  assert.deepStrictEqual(found, expected.slice(0, limit))
  assert.deepStrictEqual(texts(await view.getMany(keys.map(bytes))), keys.map((key) => moment.get(key)))
}

describe("the write-back cache", () => {
  for (let seed = 1; seed <= 30; seed++) {
    it(`is a plain map to every reader, seed ${seed}`, async () => {
      const random = new Random(seed)
      const store = new ScriptedStore({ batchRows: 1 + random.below(40), maxBytes: random.below(4_000) })
      const model = new Map<string, string>()
      const views: Array<{ readonly view: RowView; readonly moment: ReadonlyMap<string, string> }> = []
      for (let step = 1; step <= 300; step++) {
        store.holding = random.chance(0.7)
        if (!store.holding || random.chance(0.3)) store.held.shift()?.()
        const operations = Array.from(
          { length: random.below(6) },
          () => random.chance(0.6) ? put(random.pick(keys), String(step)) : del(random.pick(keys))
        )
        for (const operation of operations) carryOut(model, operation)
        void store.cache.commit(operations, () => put("end", String(step)))
        model.set("end", String(step))
        if (random.chance(0.15)) views.push({ view: store.cache.openView(), moment: new Map(model) })
        const wanted = random.pick(keys)
        const reading = Promise.resolve(store.cache.getMany([bytes(wanted)]))
        const expected = model.get(wanted)
        const read = reading.then((values) => assert.deepStrictEqual(texts(values), [expected]))
        store.holding = false
        store.held.pop()?.()
        for (const go of random.chance(0.5) ? store.held.splice(0) : []) go()
        await new Promise((later) => setImmediate(later))
        if (store.held.length === 0) await read
        else void read
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
      assert.deepStrictEqual([...store.content].sort(), [...model].sort())
      assert.strictEqual(store.openSnapshots, 0)
    })
  }
})
