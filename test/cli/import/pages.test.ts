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
    assert.deepStrictEqual(etcd.limits, [16, 64, 256, maxKeys, maxKeys, maxKeys])
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
    assert.deepStrictEqual(etcd.limits.slice(0, 10), [16, 64, 8, 32, 4, 16, 2, 8, 32, 4])
    assert.deepStrictEqual([...new Set(etcd.limits.slice(10))], [1])
  }))
