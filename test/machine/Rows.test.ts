/** The rows of a batch against a plain map, over a store that holds some of them already. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Rows } from "../../src/machine/Rows.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import { MemoryDisk } from "../../src/storage/memory/MemoryStore.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import { StateStore } from "../../src/storage/StateStore.ts"

const keyOf = (n: number) => Uint8Array.of(0x10, n)
const range = { gte: Uint8Array.of(0x10), lt: Uint8Array.of(0x11) }

for (let seed = 1; seed <= 20; seed++) {
  it.effect(`seed ${seed}: get and scan see the batch, and its changes make the store the same`, () =>
    Effect.gen(function*() {
      let state = seed
      const below = (limit: number): number => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
        return Math.floor((state / 2 ** 32) * limit)
      }
      const store = yield* StateStore
      const model = new Map<number, number>()
      for (let batch = 1; batch <= 5; batch++) {
        const rows = new Rows(store)
        if (below(2) === 0) yield* rows.prefetch([keyOf(below(24)), keyOf(below(24))])
        for (let i = 0; i < 60; i++) {
          const n = below(24)
          switch (below(4)) {
            case 0:
              rows.put(keyOf(n), Uint8Array.of(i))
              model.set(n, i)
              break
            case 1:
              rows.delete(keyOf(n))
              model.delete(n)
              break
            case 2: {
              const expected = model.get(n)
              assert.deepStrictEqual(
                (yield* rows.get(keyOf(n)))?.slice(),
                expected === undefined ? undefined : Uint8Array.of(expected)
              )
              break
            }
            default: {
              const limit = 1 + below(6)
              const from = below(3) === 0 ? n : 0
              const found = yield* rows.scan({ ...range, gte: from === 0 ? range.gte : keyOf(from) }, limit)
              const expected = [...model].filter(([m]) => m >= from).sort(([a], [b]) => a - b).slice(0, limit)
              assert.deepStrictEqual(found.map(({ key, value }) => [key[1], value[0]]), expected)
            }
          }
        }
        yield* store.commit(rows.changes(), { index: LogIndex(batch), term: Term(1) })
        const all = yield* store.scan({ ...range, limit: 100 })
        assert.deepStrictEqual(
          all.map(({ key, value }) => [key[1], value[0]]),
          [...model].sort(([a], [b]) => a - b)
        )
      }
    }).pipe(Effect.provide(Layer.fresh(MemoryStore.layer(new MemoryDisk([1]))))))
}

it.effect("a queue that is emptied from its front is not read from its beginning again and again", () =>
  Effect.gen(function*() {
    const store = yield* StateStore
    const put = (n: number) => ({
      _tag: "Put" as const,
      key: Uint8Array.of(0x10, n >> 8, n),
      value: new Uint8Array(0)
    })
    yield* store.commit(Array.from({ length: 1_000 }, (_, n) => put(n)), { index: LogIndex(1), term: Term(1) })
    let read = 0
    const rows = new Rows({
      getMany: store.getMany,
      scan: (options) => Effect.tap(store.scan(options), (found) => Effect.sync(() => void (read += found.length)))
    })
    for (let n = 0; n < 1_000; n++) {
      const [first] = yield* rows.scan(range, 1)
      assert.deepStrictEqual(first?.key, put(n).key)
      rows.delete(put(n).key)
    }
    assert.deepStrictEqual(yield* rows.scan(range, 1), [])
    assert.isAtMost(read, 3_000)
  }).pipe(Effect.provide(Layer.fresh(MemoryStore.layer(new MemoryDisk([1]))))))

it.effect("reserved and empty keys are refused", () =>
  Effect.gen(function*() {
    const rows = new Rows(yield* StateStore)
    for (const key of [new Uint8Array(0), Uint8Array.of(0x00, 0x05), Uint8Array.of(0x01)]) {
      assert.throws(() => rows.put(key, key), /reserved/)
      assert.throws(() => rows.delete(key), /reserved/)
    }
  }).pipe(Effect.provide(Layer.fresh(MemoryStore.layer(new MemoryDisk([1]))))))
