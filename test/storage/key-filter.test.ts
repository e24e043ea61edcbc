/** A filter of keys never leaves out one that is in the set, and forgets what is removed. */
import { assert, describe, it } from "@effect/vitest"
import { KeyFilter } from "../../src/storage/rocksdb/KeyFilter.ts"
import { Random } from "../simulation/Random.ts"

const many = Array.from({ length: 50_000 }, (_, i) => `\x10queue/${i % 7}/${i}`)

const others = Array.from({ length: 50_000 }, (_, i) => `\x10queue/${i % 7}/${50_000 + i}`)

const taken = (filter: KeyFilter, keys: ReadonlyArray<string>): number =>
  keys.filter((key) => filter.mayHave(key)).length

/** Few fingerprints, in few segments, many of them at the ends of their tables. */
const poor = (text: string): number => {
  const number = Number(text)
  return (number % 2) * 2 ** 23 + (number % 5 === 0 ? 2 ** 23 - 1 - number % 3 : (number % 40) * 2 ** 17)
}

describe("a filter of keys", () => {
  it("takes keys in, hardly any others, and forgets those that are removed", () => {
    const filter = new KeyFilter()
    for (const key of many) filter.add(key)
    assert.strictEqual(taken(filter, many), many.length)
    assert.isBelow(taken(filter, others), 50)
    assert.isFalse(filter.isOverfull)
    for (const key of many) filter.remove(key)
    assert.isBelow(taken(filter, many), 50)
    assert.isBelow(filter.size, 50)
  })

  it("has as few false answers after keys came and went a hundred times", () => {
    const filter = new KeyFilter()
    for (let i = 0; i < 1_000_000; i++) {
      filter.add(`\x10queue/${i}`)
      if (i >= 10_000) filter.remove(`\x10queue/${i - 10_000}`)
    }
    assert.approximately(filter.size, 10_000, 100)
    assert.isBelow(taken(filter, others), 50)
  })

  for (let seed = 1; seed <= 100; seed++) {
    it(`never leaves out a key that is there, however many collide, seed ${seed}`, () => {
      const random = new Random(seed)
      const filter = new KeyFilter(poor)
      const model = new Set<string>()
      for (let step = 0; step < 300; step++) {
        const key = String(1 + random.below(200))
        // It does not hurt when a key is added that is there already.
        if (random.chance(0.5)) {
          filter.add(key)
          model.add(key)
        } else if (model.delete(key)) filter.remove(key)
        assert.deepStrictEqual([...model].filter((there) => !filter.mayHave(there)), [], `step ${step}`)
      }
      assert.isFalse(filter.isOverfull)
    })
  }

  it("gives up when keys lie side by side that somebody chose so", () => {
    let next = 1
    const filter = new KeyFilter(() => next++)
    for (let i = 0; i < 2_000 && !filter.isOverfull; i++) filter.add("")
    assert.isTrue(filter.isOverfull)
    assert.isTrue(filter.mayHave("anything"))
  })
})
