import { assert, describe, it } from "@effect/vitest"
import type { Keyed } from "../../src/bytes/KeyTable.ts"
import { DistinctKeys, hashOf, KeyTable } from "../../src/bytes/KeyTable.ts"
import { sameHash } from "./SameHash.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const entryOf = (text: string, hash = hashOf(bytes(text))): Keyed => ({ key: bytes(text), hash })

const find = (table: KeyTable<Keyed>, text: string, hash?: number): Keyed | undefined =>
  table.get(bytes(text), hash ?? hashOf(bytes(text)))

describe("KeyTable", () => {
  // One by one, in places, and in texts.
  for (const [count, hash] of [[5, undefined], [600, undefined], [600, 7], [8, 7], [9, 7], [64, 7]] as const) {
    it(`finds each of ${count} keys, ${hash === undefined ? "with their hashes" : "all with one hash"}`, () => {
      const table = new KeyTable<Keyed>()
      const entries = Array.from({ length: count }, (_, i) => entryOf(`orders/${i}`, hash))
      for (const entry of entries) {
        assert.isUndefined(table.get(entry.key, entry.hash))
        table.add(entry)
        assert.strictEqual(table.get(new Uint8Array(entry.key), entry.hash), entry)
      }
      for (const [i, entry] of entries.entries()) assert.strictEqual(find(table, `orders/${i}`, hash), entry)
      for (const other of ["", "orders/", "orders/-1", `orders/${count}`, "prders/1"]) {
        assert.isUndefined(find(table, other, hash))
      }
      assert.deepEqual(table.all, entries)
    })
  }
})

/** Counts how often its key is read. */
class Counted implements Keyed {
  static reads = 0
  readonly hash: number
  private readonly bytes: Uint8Array

  constructor(key: Uint8Array, hash: number) {
    this.bytes = key
    this.hash = hash
  }

  get key(): Uint8Array {
    Counted.reads++
    return this.bytes
  }
}

it("keys that were chosen to have one hash cost a table and a list of distinct keys no more than others", () => {
  const table = new KeyTable<Counted>()
  const keys = sameHash(24)
  const hash = hashOf(keys[0] as Uint8Array)
  for (const key of keys) {
    assert.strictEqual(hashOf(key), hash)
    table.add(new Counted(key, hash))
  }
  Counted.reads = 0
  for (const key of keys) assert.strictEqual(table.get(key, hash)?.hash, hash)
  assert.isAtMost(Counted.reads, 4 * keys.length)

  const distinct = new DistinctKeys(512)
  const list = [...keys, ...keys].map((key) => new Counted(key, hash))
  distinct.begin(list.length)
  Counted.reads = 0
  const added = [...keys, ...keys].map((key, i) => distinct.add(list, i, key))
  assert.deepStrictEqual(added, [...keys.map(() => true), ...keys.map(() => false)])
  assert.isAtMost(Counted.reads, 4 * keys.length)
})

describe("DistinctKeys", () => {
  it("finds a key that is there twice, and forgets the list before", () => {
    const distinct = new DistinctKeys(512)
    for (const count of [512, 2, 100]) {
      const list = Array.from({ length: count }, (_, i) => ({ key: bytes(`orders/${i}`) }))
      distinct.begin(count)
      for (const [i, { key }] of list.entries()) assert.isTrue(distinct.add(list, i, key))
      for (const [i, { key }] of list.entries()) assert.isFalse(distinct.add(list, i, new Uint8Array(key)))
    }
  })
})
