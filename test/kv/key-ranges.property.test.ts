/** Several ranges as one hold exactly the keys that one of them holds, and go over the wire as they are. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { KeyRange } from "../../src/bytes/KeyRange.ts"
import { contains, overlaps, prefixRange, singleKey } from "../../src/bytes/KeyRange.ts"
import { decodeRanges, encodeRanges, KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { maxKeyBytes, maxWatchRangeBytes, maxWatchRanges } from "../../src/kv/model/Limits.ts"

/** Keys of few different bytes, so that they meet. */
const Key = Schema.Array(Schema.Literals([0, 1, 97, 255])).check(Schema.isMinLength(1), Schema.isMaxLength(3))

const Case = Schema.Struct({
  ranges: Schema.Array(Schema.Struct({ kind: Schema.Literals(["key", "prefix", "range"]), key: Key, to: Key })).check(
    Schema.isMinLength(1)
  ),
  keys: Schema.Array(Key)
})

const rangeOf = ({ key, kind, to }: (typeof Case.Type)["ranges"][number]): KeyRange => {
  const bytes = Uint8Array.from(key)
  if (kind === "key") return singleKey(bytes)
  const range = { gte: bytes, lt: Uint8Array.from(to) }
  return kind === "prefix" || Buffer.compare(range.gte, range.lt) >= 0 ? prefixRange(bytes) : range
}

const made = (ranges: ReadonlyArray<KeyRange>): KeyRanges => {
  const all = KeyRanges.make(ranges)
  assert(all instanceof KeyRanges)
  return all
}

it.effect.prop(
  "hold the keys that one of them holds, and overlap nowhere",
  { case: Case },
  ({ case: { keys, ranges } }) =>
    Effect.sync(() => {
      const given = ranges.map(rangeOf)
      const all = made(given)
      for (const key of keys.map((one) => Uint8Array.from(one))) {
        assert.strictEqual(all.contains(key), given.some((range) => contains(range, key)))
      }
      for (const [i, range] of all.all.entries()) {
        const next = all.all[i + 1]
        if (next !== undefined) assert.isFalse(overlaps(range, next))
      }
      assert.deepStrictEqual(decodeRanges(encodeRanges(all)), all)
    }),
  { arbitrary: { runs: 500, seed: "ranges" } }
)

it("prefixes stay prefixes: nested ones are left out, neighbours are not joined", () => {
  const prefix = (text: string) => prefixRange(Buffer.from(text))
  assert.deepStrictEqual(made([prefix("b"), prefix("a"), prefix("ab")]).all, [prefix("a"), prefix("b")])
})

const problemOf = (found: ReturnType<typeof KeyRanges.make>) => {
  assert(!(found instanceof KeyRanges))
  return `${found.field} ${found.problem}`
}

it("says which limit they are over", () => {
  const many = (count: number, bytes: number) =>
    Array.from({ length: count }, (_, i) => prefixRange(Buffer.from(String(i).padStart(bytes, "0"))))
  assert.include(problemOf(KeyRanges.make([])), "ranges are empty")
  assert.include(problemOf(KeyRanges.make(many(maxWatchRanges + 1, 4))), `at most ${maxWatchRanges}`)
  assert.include(problemOf(KeyRanges.make(many(20, maxKeyBytes))), `at most ${maxWatchRangeBytes}`)
  assert.include(problemOf(KeyRanges.make(many(1, maxKeyBytes + 2))), "range.gte has")
  const two = [...many(1, 1), { gte: Buffer.from("b"), lt: Buffer.from("a") }]
  assert.include(problemOf(KeyRanges.make(two)), "ranges[1] ends at or before it begins")
})

it("refuses bytes that are none, and looks at no more ranges than it allows", () => {
  const encoded = encodeRanges(made([prefixRange(Buffer.from("a"))]))
  assert.include(problemOf(decodeRanges(encoded.subarray(0, -1))), "malformed")
  assert.include(problemOf(decodeRanges(Buffer.concat([encoded, Buffer.of(0)]))), "malformed")
  assert.include(problemOf(decodeRanges(Buffer.from([255, 255]))), "are 65535")
})
