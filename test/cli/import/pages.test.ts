import { assert, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import type { SourceEntry } from "../../../src/cli/import/EtcdPages.ts"
import { EtcdPages, maxKeys } from "../../../src/cli/import/EtcdPages.ts"
import { Pace } from "../../../src/cli/import/Pace.ts"
import { rangeOf } from "../../../src/cli/import/StorePages.ts"
import { FakeEtcd } from "./FakeEtcd.ts"

const MiB = 1024 * 1024

const readAll = Effect.fnUntraced(function*(etcd: FakeEtcd, prefix = "") {
  const range = { ...rangeOf(new TextEncoder().encode(prefix)), revision: etcd.revision }
  const pages = new EtcdPages(etcd, range, new Pace(yield* Clock.Clock, undefined))
  const entries: Array<SourceEntry> = []
  for (;;) {
    const page = yield* pages.next
    if (page === undefined) return entries
    entries.push(...page)
  }
})

const texts = (entries: ReadonlyArray<SourceEntry>) => entries.map(({ key }) => Buffer.from(key).toString())

it.effect("pages grow with small values up to the most, and have every key of the prefix once", () =>
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    const keys = Array.from({ length: 3_000 }, (_, i) => `a/${String(i).padStart(4, "0")}`)
    etcd.putAll(
      ["A", ...keys, "b"].map((key) => ({ key: Buffer.from(key), value: new Uint8Array(10), lease: "0" }))
    )
    assert.deepStrictEqual(texts(yield* readAll(etcd, "a/")), keys)
    assert.deepStrictEqual(etcd.limits.slice(0, 4), [16, 64, 256, maxKeys])
    assert.isAtMost(etcd.limits.length, 8)
  }))

it.effect("pages of large values are small, and one that no answer has room for comes without it", () =>
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    for (let i = 0; i < 40; i++) etcd.put(`k${String(i).padStart(2, "0")}`, new Uint8Array(10))
    for (let i = 40; i < 60; i++) etcd.put(`k${i}`, new Uint8Array(MiB))
    etcd.put("l", new Uint8Array(5 * MiB))
    etcd.put("m", "small")
    const entries = yield* readAll(etcd)
    assert.deepStrictEqual(texts(entries), [
      ...Array.from({ length: 60 }, (_, i) => `k${String(i).padStart(2, "0")}`),
      "l",
      "m"
    ])
    assert.deepStrictEqual(
      entries.filter(({ value }) => value === undefined).map(({ key }) => Buffer.from(key).toString()),
      ["l"]
    )
    // An answer that was too large is asked for in an eighth; behind the first large value there is one a page.
    assert.deepStrictEqual(etcd.limits.slice(0, 4), [16, 64, 8, 32])
    assert.deepStrictEqual([...new Set(etcd.limits.slice(14))], [1])
  }))

const random = (seed: number) => () => {
  seed = Math.imul(seed ^ (seed >>> 15), 1 | seed) + 0x6d2b79f5 | 0
  return (seed >>> 0) / 2 ** 32
}

/** Names as stores have them, and how often each key may be in a range that is asked for. */
const shapes: ReadonlyArray<
  readonly [shape: string, most: number, name: (i: number, next: () => number) => Uint8Array]
> = [
  ["numbers in a row", 10, (i) => Buffer.from(`job/${String(i).padStart(8, "0")}`)],
  ["random digits of 16", 10, (_, next) => Buffer.from(`sessions/${next().toString(16).slice(2).padEnd(13, "0")}`)],
  [
    "groups of different sizes",
    10,
    (i, next) => Buffer.from(`/registry/${"abcdefgh"[i % 8]}/${i < 30_000 ? "ns" : next()}/${i}`)
  ],
  ["random bytes", 20, (_, next) => Uint8Array.from({ length: 12 }, () => Math.floor(next() * 256))],
  // They have no end of their own, so that nothing is gained.
  ["bytes of ff", 34, (i) => Uint8Array.of(...Array.from({ length: i % 40 + 1 }, () => 0xff), i >> 8, i & 0xff)]
]

for (const [shape, most, name] of shapes) {
  it.effect(`every key comes once, from short ranges, of ${shape}`, () =>
    Effect.gen(function*() {
      const etcd = new FakeEtcd()
      const next = random(7)
      etcd.putAll(
        Array.from({ length: 60_000 }, (_, i) => ({ key: name(i, next), value: new Uint8Array(10), lease: "0" }))
      )
      const found = (yield* readAll(etcd)).map(({ key }) => Buffer.from(key).toString("hex"))
      // Each comes once and in order. To compare so many deeply took longer than to read them.
      assert.strictEqual(found.findIndex((key, i) => i > 0 && key <= (found[i - 1] ?? "")), -1)
      assert.strictEqual(found.length, (yield* etcd.head(rangeOf(new Uint8Array(0)))).keys)
      // Pages of one range would look at the rest of it each time: thirty times here, and more with more keys.
      assert.isBelow(etcd.counts.reduce((sum, counted) => sum + counted, 0) / found.length, most)
    }))
}
