/** Ranges of keys. */
import { assert, it } from "@effect/vitest"
import { allKeys, contains, prefixRange, singleKey } from "../../src/bytes/KeyRange.ts"

it("a range is made of a prefix or a key without touching it, also when it is a Buffer", () => {
  for (const make of [prefixRange, singleKey]) {
    const prefix = Buffer.from("users/")
    const range = make(prefix)
    assert.strictEqual(prefix.toString(), "users/")
    assert.isTrue(contains(range, Buffer.from("users/")))
    assert.isBelow(Buffer.compare(range.gte, range.lt), 0)
  }
})

it("a prefix holds the keys that begin with it and no other, up to bytes of ff", () => {
  const cases: ReadonlyArray<readonly [prefix: string, inside: ReadonlyArray<string>, outside: ReadonlyArray<string>]> =
    [
      ["61", ["61", "6100", "61ffff"], ["60ff", "62"]],
      ["61ff", ["61ff", "61ffff"], ["61", "61fe", "62"]],
      ["ff", ["ff", "ffff"], ["fe"]],
      ["", ["00", "ffff"], []]
    ]
  for (const [prefix, inside, outside] of cases) {
    const range = prefixRange(Buffer.from(prefix, "hex"))
    for (const key of inside) assert.isTrue(contains(range, Buffer.from(key, "hex")), `${key} in ${prefix}`)
    for (const key of outside) assert.isFalse(contains(range, Buffer.from(key, "hex")), `${key} not in ${prefix}`)
  }
  assert.deepStrictEqual(prefixRange(new Uint8Array(0)), allKeys)
})
