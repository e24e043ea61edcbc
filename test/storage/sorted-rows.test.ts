/** Sorted rows against a plain list: whatever changes come, both hold the same, and an older value stays as it was. */
import { assert, describe, it } from "@effect/vitest"
import { SortedRows } from "../../src/storage/memory/SortedRows.ts"
import type { StateChange, StateRow } from "../../src/storage/StateStore.ts"
import { Random } from "../simulation/Random.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const keyOf = (number: number): Uint8Array => bytes(String(number).padStart(5, "0"))
const shown = (rows: Iterable<StateRow>): ReadonlyArray<string> =>
  [...rows].map(({ key, value }) => `${Buffer.from(key)}=${Buffer.from(value)}`)

/** What the changes do to a plain map. */
const applied = (rows: Map<string, string>, changes: ReadonlyArray<StateChange>): void => {
  for (const change of changes) {
    if (change._tag === "Put") rows.set(`${Buffer.from(change.key)}`, `${Buffer.from(change.value)}`)
    else if (change._tag === "Delete") rows.delete(`${Buffer.from(change.key)}`)
    else {
      const [start, end] = [`${Buffer.from(change.start)}`, `${Buffer.from(change.end)}`]
      for (const key of rows.keys()) if (key >= start && key < end) rows.delete(key)
    }
  }
}

const listOf = (rows: ReadonlyMap<string, string>, from = "", to = "~"): ReadonlyArray<string> =>
  [...rows].filter(([key]) => key >= from && key < to).sort(([a], [b]) => a < b ? -1 : 1).map(([key, value]) =>
    `${key}=${value}`
  )

/** One change: puts more often than the rest, so that many blocks come to be, and now and then a wide deletion. */
const drawn = (random: Random, keys: number): StateChange => {
  const key = keyOf(random.below(keys))
  if (random.chance(0.8)) return { _tag: "Put", key, value: bytes(String(random.below(1_000))) }
  if (random.chance(0.9)) return { _tag: "Delete", key }
  const start = random.below(keys)
  return { _tag: "DeleteRange", start: keyOf(start), end: keyOf(start + 1 + random.below(keys / 8)) }
}

describe("sorted rows", () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`are those of a plain list after any changes, seed ${seed}`, () => {
      const random = new Random(seed)
      const keys = seed === 1 ? 40 : 4_000
      const plain = new Map<string, string>()
      let rows = SortedRows.empty
      let view = { rows, list: listOf(plain) }
      for (let round = 0; round < 60; round++) {
        const changes = Array.from({ length: 1 + random.below(200) }, () => drawn(random, keys))
        applied(plain, changes)
        rows = rows.change(changes)
        assert.deepStrictEqual(shown(rows), listOf(plain))
        assert.strictEqual(rows.length, plain.size)

        const [from, to] = [random.below(keys), random.below(keys)].sort((a, b) => a - b) as [number, number]
        const range = listOf(plain, `${Buffer.from(keyOf(from))}`, `${Buffer.from(keyOf(to))}`)
        assert.deepStrictEqual(shown(rows.range(keyOf(from), keyOf(to))), range)
        assert.deepStrictEqual(shown(rows.rangeReversed(keyOf(from), keyOf(to))), range.toReversed())
        const key = keyOf(random.below(keys + 10))
        const value = rows.get(key)
        assert.strictEqual(value === undefined ? undefined : `${Buffer.from(value)}`, plain.get(`${Buffer.from(key)}`))

        assert.deepStrictEqual(shown(view.rows), view.list)
        if (random.chance(0.2)) view = { rows, list: listOf(plain) }
      }
      assert.deepStrictEqual(shown(SortedRows.from([...rows].toReversed())), listOf(plain))
    })
  }
})
