/** Who is woken by a change: exactly those whose range has the key, as a plain search among all would find them. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Revision } from "../../src/kv/model/History.ts"
import type { KeyRange } from "../../src/bytes/KeyRange.ts"
import { allKeys, prefixRange, singleKey } from "../../src/bytes/KeyRange.ts"
import { KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { FeedWaiters } from "../../src/kv/FeedWaiters.ts"
import { sameHash } from "../bytes/SameHash.ts"

/** Keys of few different bytes, so that they meet. */
const Key = Schema.Array(Schema.Literals([0, 1, 97, 255])).check(Schema.isMinLength(1), Schema.isMaxLength(3))

const Case = Schema.Struct({
  watched: Schema.Array(Schema.Struct({ kind: Schema.Literals(["key", "prefix", "range", "all"]), key: Key, to: Key })),
  changed: Schema.Array(Key)
})

const rangeOf = ({ key, kind, to }: (typeof Case.Type)["watched"][number]): KeyRange => {
  const bytes = Uint8Array.from(key)
  switch (kind) {
    case "key":
      return singleKey(bytes)
    case "prefix":
      return prefixRange(bytes)
    case "range":
      return { gte: bytes, lt: Uint8Array.from(to) }
    case "all":
      return allKeys
  }
}

const revision = (number: number, key: Uint8Array): Revision => ({
  revision: number,
  logTimeMs: 0,
  changes: [{ key, record: undefined, previousRevision: 0, previous: undefined }]
})

it.effect.prop(
  "a change wakes those whose range has its key, and nobody else",
  { case: Case },
  ({ case: { changed, watched } }) =>
    Effect.sync(() => {
      const waiters = new FeedWaiters()
      const ranges = watched.map((one) => KeyRanges.of(rangeOf(one)))
      // Who waits again does so where it waited before.
      for (let round = 0; round < 3; round++) {
        const all = ranges.map((one) => waiters.add(one, 1))
        const sleeping = new Set(all)
        for (const [i, key] of changed.entries()) {
          const bytes = Uint8Array.from(key)
          waiters.wake([revision(i + 1, bytes)])
          for (const waiter of sleeping) {
            if (!waiter.ranges.contains(bytes)) continue
            assert.isTrue(waiter.isWoken)
            assert.strictEqual(waiter.from, i + 1)
            sleeping.delete(waiter)
          }
          for (const waiter of sleeping) assert.isFalse(waiter.isWoken)
          assert.strictEqual(waiters.size, sleeping.size)
        }
        for (const waiter of all) waiters.remove(waiter)
        assert.strictEqual(waiters.size, 0)
      }
    }),
  { arbitrary: { runs: 500, seed: "waiters" } }
)

it("one that waits for several ranges is woken once, by the first change in any of them", () => {
  const waiters = new FeedWaiters()
  const ranges = ["a", "b", "c"].map((text) => prefixRange(Buffer.from(text)))
  const several = KeyRanges.make([...ranges, singleKey(Buffer.from("k")), {
    gte: Buffer.from("x"),
    lt: Buffer.from("z0")
  }])
  assert(several instanceof KeyRanges)
  for (const key of ["b/1", "k", "y", "z"]) {
    const waiter = waiters.add(several, 1)
    waiters.wake([revision(3, Buffer.from("d")), revision(4, Buffer.from("ka"))])
    assert.isFalse(waiter.isWoken)
    waiters.wake([revision(5, Buffer.from(key)), revision(6, Buffer.from("a"))])
    assert.deepStrictEqual([waiter.isWoken, waiter.from, waiters.size], [true, 5, 0], key)
  }
  const hurried = waiters.add(several, 1)
  waiters.hurry(hurried, 9)
  waiters.hurry(hurried, 10)
  waiters.wake([revision(11, Buffer.from("a"))])
  assert.deepStrictEqual([hurried.isWoken, hurried.from, waiters.size], [true, 9, 0])
})

it("one that waits for a later revision sleeps on, until everybody is woken", () => {
  const waiters = new FeedWaiters()
  const waiter = waiters.add(KeyRanges.of(allKeys), 5)
  const other = waiters.add(KeyRanges.of(allKeys), 2)
  waiters.wake([revision(4, Uint8Array.of(1))])
  assert.isFalse(waiter.isWoken)
  assert.deepStrictEqual([other.isWoken, other.from], [true, 4])
  const third = waiters.add(KeyRanges.of(singleKey(Uint8Array.of(1))), 2)
  waiters.wakeAll(4)
  assert.deepStrictEqual([waiter.isWoken, waiter.from], [true, 5])
  assert.deepStrictEqual([third.isWoken, third.from], [true, 4])
  assert.strictEqual(waiters.size, 0)
})

it("those who left keep few places, and no more than those who wait", () => {
  const waiters = new FeedWaiters()
  const several = (i: number) => {
    const made = KeyRanges.make(["a", "b", "c", "d"].map((text) => singleKey(Buffer.from(`${text}${i}`))))
    assert(made instanceof KeyRanges)
    return made
  }
  const all = Array.from({ length: 2_000 }, (_, i) => waiters.add(several(i), 1))
  assert.strictEqual(waiters.places, 8_000)
  for (const waiter of all.slice(0, 1_000)) waiters.remove(waiter)
  assert.strictEqual(waiters.places, 8_000)
  waiters.wake([revision(1, Buffer.from("a1500"))])
  assert.isTrue(all[1_500]?.isWoken)
  for (const waiter of all) waiters.remove(waiter)
  assert.strictEqual(waiters.size, 0)
  assert.isAtMost(waiters.places, 1_024)
  // Places that were cleared away are taken again.
  const again = waiters.add((all[3] as (typeof all)[number]).ranges, 1)
  waiters.wake([revision(2, Buffer.from("d3"))])
  assert.isTrue(again.isWoken)
})

it("keys that were chosen to have one hash each wake their own watch, whichever of them are left", () => {
  const keys = sameHash(6)
  for (const rangeOfKey of [singleKey, prefixRange]) {
    const waiters = new FeedWaiters()
    // More ranges than are kept without a waiter, so that each place is left and taken again.
    for (let round = 0; round < 400; round++) {
      const all = keys.map((key) => waiters.add(KeyRanges.of(rangeOfKey(key)), 1))
      for (const [i, waiter] of all.entries()) if (i % 2 === round % 2) waiters.remove(waiter)
      for (const [i, key] of keys.entries()) {
        waiters.wake([revision(1, key)])
        for (const [j, waiter] of all.entries()) assert.strictEqual(waiter.isWoken, j % 2 !== round % 2 && j <= i)
      }
      assert.strictEqual(waiters.size, 0)
    }
    assert.isAtMost(waiters.places, 1_024)
  }
})
