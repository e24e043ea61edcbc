/** What transactions, `modify` and `count` promise, on memory and on RocksDB. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Compare, Op } from "../../src/client/Txn.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { Conflict, InvalidArgument, LeaseNotFound, Unavailable } from "../../src/FlareDbError.ts"
import { maxTransactionOperations, maxValueBytes } from "../../src/kv/model/Limits.ts"
import { stores } from "./Stores.ts"

const textOf = (entry: Option.Option<{ readonly text: string }>) => Option.getOrUndefined(entry)?.text

for (const store of stores) {
  layer(store.layer, { excludeTestServices: true })(`a store on ${store.name}`, (it) => {
    it.effect("carries out one list or the other, with a typed result for each operation", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const create = {
          if: [Compare.missing("txn/a"), Compare.version("txn/b").equals(0)],
          do: [Op.put("txn/a", "1"), Op.put("txn/b", "2"), Op.get("txn/a"), Op.delete("txn/none")],
          else: [Op.get("txn/a"), Op.scan("txn/"), Op.deletePrefix("txn/b")]
        } as const
        const created = yield* kv.transact(create)
        if (!created.succeeded) return assert.fail("it is the first")
        const [a, b, seen, none] = created.results
        assert.deepStrictEqual(a, { revision: created.revision, created: true, version: 1 })
        assert.strictEqual(b.revision, created.revision, "all of it is one revision")
        assert.strictEqual(textOf(seen), "1", "a later operation sees an earlier one")
        assert.isFalse(none.deleted)

        const again = yield* kv.transact(create)
        if (again.succeeded) return assert.fail("the keys exist")
        const [existing, page, deleted] = again.results
        assert.strictEqual(textOf(existing), "1")
        assert.deepStrictEqual(page.entries.map(({ keyText, text }) => [keyText, text]), [
          ["txn/a", "1"],
          ["txn/b", "2"]
        ])
        assert.isFalse(page.more)
        assert.strictEqual(deleted, 1)
        assert.strictEqual(again.revision, created.revision + 1)
      }))

    it.effect("sends nothing with a time limit that is none", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const { revision } = yield* kv.put("limit/before", "1")
        for (const timeoutMs of [-5, 0, Number.NaN, 1.5, Number.POSITIVE_INFINITY, 2 ** 31]) {
          const options = { timeoutMs }
          const refusals = yield* Effect.forEach([
            kv.put("limit/a", "1", options),
            kv.delete("limit/before", options),
            kv.transact({ do: [Op.put("limit/a", "1")] }, options),
            kv.modify("limit/a", () => "1", options),
            kv.get("limit/before", options),
            kv.scan("limit/", options),
            kv.count("limit/", options)
          ], (call: Effect.Effect<unknown, unknown>) => Effect.flip(call))
          for (const refusal of refusals) {
            assert.instanceOf(refusal, InvalidArgument)
            assert.include(refusal.message, `invalid timeoutMs: ${timeoutMs} is not an integer from 1 to 2147483647`)
          }
        }
        assert.strictEqual((yield* kv.put("limit/after", "1")).revision, revision + 1)
      }))

    it.effect("compares every figure of a key", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const { revision } = yield* kv.put("cmp", "m")
        const holds = (...conditions: ReadonlyArray<Compare>) =>
          Effect.map(kv.transact({ if: conditions }), ({ succeeded }) => succeeded)
        for (
          const condition of [
            Compare.exists("cmp"),
            Compare.value("cmp").equals("m"),
            Compare.value("cmp").differs("n"),
            Compare.value("cmp").above("a"),
            Compare.value("cmp").below("z"),
            Compare.createRevision("cmp").equals(revision),
            Compare.modRevision("cmp").atLeast(revision),
            Compare.modRevision("cmp").atMost(revision),
            Compare.version("cmp").equals(1),
            Compare.lease("cmp").equals(0)
          ]
        ) assert.isTrue(yield* holds(condition), JSON.stringify(condition.compare))
        assert.isFalse(yield* holds(Compare.exists("cmp"), Compare.missing("cmp")), "all must hold")
        assert.isFalse(yield* holds(Compare.value("cmp/none").differs("x")), "a missing key has no value")
      }))

    it.effect("takes no revision for a transaction that only reads, and sees what was written before", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const { revision } = yield* kv.put("read/a", "1")
        const read = yield* kv.transact({ do: [Op.get("read/a"), Op.scan("read/", { keysOnly: true })] })
        assert.strictEqual(read.revision, revision)
        if (!read.succeeded) return assert.fail("nothing was compared")
        assert.strictEqual(textOf(read.results[0]), "1")
        assert.strictEqual(read.results[1].entries[0]?.value.byteLength, 0)
      }))

    it.effect("names the field and the limit of what cannot be done, before and after it was sent", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const refused = (txn: Parameters<typeof kv.transact>[0]) => Effect.flip(kv.transact(txn))
        const problems: ReadonlyArray<readonly [txn: Parameters<typeof kv.transact>[0], field: string, says: string]> =
          [
            [{ if: [Compare.exists("")] }, "if[0].key", "at least one byte"],
            [{ do: [Op.get("a"), Op.put("b", new Uint8Array(maxValueBytes + 1))] }, "do[1].value", "1048576"],
            [{ else: [Op.put("a", "1"), Op.delete("a")] }, "else[1].key", "already written"],
            [
              { do: Array.from({ length: maxTransactionOperations + 1 }, () => Op.get("a")) },
              "do",
              "at most 512"
            ],
            [
              { do: Array.from({ length: 5 }, (_, i) => Op.put(`big/${i}`, new Uint8Array(maxValueBytes))) },
              "transaction",
              "at most 4194304"
            ]
          ]
        for (const [txn, field, says] of problems) {
          const error = yield* refused(txn)
          assert.instanceOf(error, InvalidArgument)
          assert.strictEqual((error as InvalidArgument).field, field)
          assert.include(error.message, says)
        }
        const noLease = yield* refused({ do: [Op.put("leased", "1", { lease: 987_654 })] })
        assert.instanceOf(noLease, LeaseNotFound)
        assert.strictEqual((noLease as LeaseNotFound).lease, 987_654)
        assert.instanceOf(yield* Effect.flip(kv.put("leased", "1", { lease: 987_654 })), LeaseNotFound)
        assert.isTrue(Option.isNone(yield* kv.get("leased")))
      }))

    it.effect("counts keys", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        yield* Effect.forEach(Array.from({ length: 20 }, (_, i) => `count/${i}`), (key) => kv.put(key, "x"), {
          concurrency: "unbounded"
        })
        assert.strictEqual(yield* kv.count("count/"), 20)
        assert.strictEqual(yield* kv.count("count/1"), 11)
        assert.strictEqual(yield* kv.count("count/", { consistency: "stale" }), 20)
        assert.strictEqual(yield* kv.count("nothing/"), 0)
        assert.strictEqual((yield* Effect.flip(kv.count("p".repeat(5_000))))._tag, "InvalidArgument")
      }))

    it.effect("modifies a key by many at once without losing one", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const count = (current: Option.Option<{ readonly text: string }>) => String(Number(textOf(current) ?? 0) + 1)
        yield* Effect.forEach(Array.from({ length: 32 }), () => kv.modify("counter", count), {
          concurrency: "unbounded"
        })
        const { previous, value } = yield* kv.modify("counter", (current) => Effect.succeed(count(current)))
        assert.strictEqual(textOf(previous), "32")
        assert.deepStrictEqual(value, new TextEncoder().encode("33"))
        const gone = yield* kv.modify("counter", () => undefined)
        assert.isUndefined(gone.value)
        assert.isTrue(Option.isNone(yield* kv.get("counter")))
        assert.strictEqual((yield* kv.modify("counter", () => undefined)).revision, gone.revision, "nothing to delete")
        assert.strictEqual(yield* Effect.flip(kv.modify("counter", () => Effect.fail("no"))), "no")
        assert.isTrue(Option.isNone(yield* kv.get("counter")))
      }))

    it.effect("gives up a modification that others outrun each time", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const error = yield* Effect.flip(
          kv.modify("contended", () => Effect.as(kv.put("contended", "theirs"), "mine"), { attempts: 3 })
        )
        assert.instanceOf(error, Conflict)
        assert.deepInclude(error, { key: "contended", attempts: 3 })
        assert.strictEqual(textOf(yield* kv.get("contended")), "theirs")
      }))
  })
}

describe("modify", () => {
  it.effect("that has no turn in its time says that it was not begun", () =>
    Effect.gen(function*() {
      const kv = yield* KeyValue
      const first = yield* Effect.forkChild(kv.modify("a", () => Effect.never, { timeoutMs: 60_000 }))
      yield* TestClock.adjust(10)
      const second = yield* Effect.forkChild(Effect.flip(kv.modify("a", () => "2", { timeoutMs: 100 })))
      yield* TestClock.adjust(100)
      const error = yield* Fiber.join(second)
      assert.instanceOf(error, Unavailable)
      assert.match(error.message, /other changes of the key "a" by this process took 100 ms, and this one was not/)
      yield* Fiber.interrupt(first)
    }).pipe(Effect.provide(FlareDb.layerMemory)))

  it.effect("needs no time to pass when only one process writes", () =>
    Effect.gen(function*() {
      const kv = yield* KeyValue
      yield* Effect.forEach(Array.from({ length: 8 }), () => kv.modify("n", (n) => `${textOf(n) ?? ""}x`), {
        concurrency: "unbounded"
      })
      assert.strictEqual(textOf(yield* kv.get("n")), "xxxxxxxx")
      yield* TestClock.adjust(0)
    }).pipe(Effect.provide(FlareDb.layerMemory)))

  it.effect("writes nothing once its deadline has passed, and says that there was no attempt", () =>
    Effect.gen(function*() {
      const kv = yield* KeyValue
      const late = yield* Effect.forkChild(
        Effect.flip(kv.modify("n", () => Effect.as(Effect.sleep(700), "late"), { timeoutMs: 500 }))
      )
      const behind = yield* Effect.forkChild(Effect.flip(kv.modify("n", () => "behind", { timeoutMs: 600 })))
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(late)
      assert.deepInclude(error, { _tag: "Conflict", key: "n", attempts: 0 })
      assert.include(error.message, "\"n\" was not changed: the deadline passed before the first attempt")
      assert.strictEqual((yield* Fiber.join(behind))._tag, "Unavailable")
      assert.isTrue(Option.isNone(yield* kv.get("n")))
    }).pipe(Effect.provide(FlareDb.layerMemory)))

  it.effect("names what is wrong as its caller does", () =>
    Effect.gen(function*() {
      const kv = yield* KeyValue
      const error = yield* Effect.flip(kv.modify("n", () => new Uint8Array(maxValueBytes + 1)))
      assert.deepInclude(error, { _tag: "InvalidArgument", field: "value" })
    }).pipe(Effect.provide(FlareDb.layerMemory)))
})
