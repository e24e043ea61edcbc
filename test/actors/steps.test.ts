/** Steps that share transactions: what becomes of each, when all goes well and when it does not. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import type { StepList } from "../../src/actors/StepWriter.ts"
import { Sharing, stepOf, StepWriter } from "../../src/actors/StepWriter.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Compare, Op } from "../../src/client/Txn.ts"
import type { Txn } from "../../src/client/Txn.ts"
import { Indeterminate, InvalidArgument, ResultsNotKept } from "../../src/FlareDbError.ts"
import { memory } from "./Stores.ts"

/** A writer on a store in memory, and the number of steps of each of its transactions. */
const make = Effect.fnUntraced(function*(
  instead: (txn: Txn, attempt: number) => Effect.Effect<never, unknown> | undefined = () => undefined
) {
  const kv = yield* Effect.provide(KeyValue, yield* memory)
  const sizes: Array<number> = []
  const writer = yield* StepWriter.make({
    ...kv,
    transact: ((txn: Txn) =>
      Effect.suspend(() => {
        sizes.push(txn.do?.length ?? 0)
        return instead(txn, sizes.length) ?? kv.transact(txn)
      })) as KeyValue["Service"]["transact"]
  })
  const sharing = new Sharing()
  /** Puts a key that is missing. */
  const put = (key: string, value = "", how = sharing) =>
    writer.take(stepOf([Compare.missing(key)], [Op.put(key, value)], how))
  const all = (keys: ReadonlyArray<string>, value?: string) =>
    Effect.all(keys.map((key) => Effect.exit(put(key, value))), { concurrency: "unbounded" })
  return { kv, writer, sizes, sharing, put, all }
})

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `key ${n}`)
const outcomes = (exits: ReadonlyArray<Exit.Exit<{ readonly succeeded: boolean }, unknown>>) =>
  exits.map((exit) => Exit.isSuccess(exit) ? exit.value.succeeded : "failed")

describe("steps", () => {
  it.live("share a transaction when they come together, and one while others are under way waits for them", () =>
    Effect.scoped(Effect.gen(function*() {
      const { all, kv, put, sizes } = yield* make()
      const first = yield* all(numbered(5))
      assert.deepStrictEqual([outcomes(first), sizes], [Array.from({ length: 5 }, () => true), [5]])
      const revisions = new Set(first.map((exit) => Exit.isSuccess(exit) ? exit.value.revision : 0))
      assert.deepStrictEqual([...revisions], [yield* Effect.map(kv.scan("key "), ({ revision }) => revision)])

      // Only callers of the transaction before are waited for.
      yield* put("alone")
      sizes.length = 0
      const early = yield* Effect.forkChild(put("early"), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      const late = yield* Effect.forkChild(all(["late 1", "late 2"]), { startImmediately: true })
      yield* Fiber.join(early)
      yield* Fiber.join(late)
      assert.deepStrictEqual(sizes, [1, 2])
    })))

  it.live("of callers that come in two halves share transactions once they have met", () =>
    Effect.scoped(Effect.gen(function*() {
      const { put, sizes } = yield* make()
      const rounds = 20
      const caller = (name: string) =>
        Effect.forEach(
          Array.from({ length: rounds }, (_, n) => n),
          (n) => Effect.andThen(put(`${name} ${n}`), Effect.replicateEffect(Effect.yieldNow, 3)),
          { discard: true }
        )
      const half = (name: string) =>
        Effect.forkChild(
          Effect.forEach([1, 2, 3, 4], (n) => caller(`${name} ${n}`), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
      const first = yield* half("first")
      while (sizes.length === 0) yield* Effect.yieldNow
      const second = yield* half("second")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      // In halves that wait for each other there would be two for each round.
      assert.isBelow(sizes.length, 1.5 * rounds)
    })))

  it.live("compare once what they have in common, and none takes effect when it does not hold", () =>
    Effect.scoped(Effect.gen(function*() {
      const conditions: Array<number> = []
      const { kv, sharing, writer } = yield* make((txn) => {
        conditions.push(txn.if?.length ?? 0)
        return undefined
      })
      const owner = Compare.exists("owner")
      const all = Effect.all(
        numbered(5).map((key) =>
          Effect.exit(writer.take(stepOf([Compare.missing(key), owner], [Op.put(key, "")], sharing)))
        ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(outcomes(yield* all), Array.from({ length: 5 }, () => false))
      assert.deepStrictEqual([conditions[0], yield* kv.count("key ")], [6, 0])
      yield* kv.put("owner", "")
      assert.deepStrictEqual(outcomes(yield* all), Array.from({ length: 5 }, () => true))
      assert.strictEqual(yield* kv.count("key "), 5)
    })))

  it.live("are bounded in number and bytes, and two of one subject never meet", () =>
    Effect.scoped(Effect.gen(function*() {
      const { all, sizes } = yield* make()
      assert.isTrue(outcomes(yield* all(numbered(300))).every((outcome) => outcome === true))
      assert.deepStrictEqual(sizes, [128, 128, 44])
      sizes.length = 0
      assert.deepStrictEqual(outcomes(yield* all(["a", "b", "a", "a"])), [true, true, false, false])
      assert.strictEqual(sizes[0], 2)
      sizes.length = 0
      // Each of them is large enough to go alone, and then some go together.
      const exits = [
        ...yield* all(["l1", "l2"], "x".repeat(600_000)),
        ...yield* all(["m1", "m2", "m3"], "x".repeat(300_000))
      ]
      assert.isTrue(outcomes(exits).every((outcome) => outcome === true))
      assert.deepStrictEqual(sizes, [1, 1, 2, 1])
    })))

  it.live("share no transaction when one writes what another compares: each is as if it had come alone", () =>
    Effect.scoped(Effect.gen(function*() {
      const { kv, sharing, sizes, writer } = yield* make()
      // Each writes only while the other's key is missing. Together, both would.
      const guarded = (key: string, other: string) =>
        writer.take(stepOf([Compare.missing(other)], [Op.put(key, "")], sharing))
      const results = yield* Effect.all([guarded("x", "y"), guarded("y", "x"), guarded("z", "v")], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(results.map(({ succeeded }) => succeeded), [true, false, true])
      assert.deepStrictEqual(sizes, [2, 1])
      assert.deepStrictEqual((yield* kv.scan("y")).entries, [])
    })))

  it.live("go alone when they read, or write keys that they do not name", () =>
    Effect.scoped(Effect.gen(function*() {
      const { kv, put, sharing, sizes, writer } = yield* make()
      yield* put("old 1")
      sizes.length = 0
      const all = [
        put("new"),
        ...[Op.get("old 1"), Op.deletePrefix("old ")].map((op) =>
          writer.take(stepOf([], [Op.put(`by ${op.operation._tag}`, ""), op], sharing))
        )
      ]
      const results = yield* Effect.all(all, { concurrency: "unbounded" })
      assert.deepStrictEqual([results.every(({ succeeded }) => succeeded), sizes], [true, [1, 2, 2]])
      assert.deepStrictEqual((yield* kv.scan("old ")).entries, [])
    })))

  it.live("have no more operations and conditions together than a transaction may have", () =>
    Effect.scoped(Effect.gen(function*() {
      const { sharing, sizes, writer } = yield* make()
      const large = (n: number) => {
        const keys = Array.from({ length: 200 }, (_, i) => `${n}/${i}`)
        return writer.take(stepOf([Compare.missing(`${n}/0`)], keys.map((key) => Op.put(key, "")), sharing))
      }
      yield* Effect.all([1, 2, 3].map(large), { concurrency: "unbounded" })
      assert.deepStrictEqual(sizes, [400, 200])
      // What no transaction may have is refused, and holds nobody up.
      const ops = Array.from({ length: 513 }, (_, i) => Op.put(`many ${i}`, ""))
      const exits = yield* Effect.all([
        Effect.exit(writer.take(stepOf([], ops, sharing))),
        Effect.exit(large(4))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(outcomes(exits), ["failed", true])
    })))

  it.live("go on their own when one of them does not hold, and share again after some that did", () =>
    Effect.scoped(Effect.gen(function*() {
      const { all, put, sharing, sizes } = yield* make()
      yield* put("taken")
      sizes.length = 0
      assert.deepStrictEqual(outcomes(yield* all(["a", "taken", "b"])), [true, false, true])
      assert.deepStrictEqual(sizes, [3, 1, 1, 1])
      sharing.failed()
      sizes.length = 0
      yield* all(["c", "d", "e"])
      assert.deepStrictEqual(sizes, [1, 1, 1])
      sizes.length = 0
      yield* all(["f", "g", "h"])
      assert.deepStrictEqual(sizes, [3])
    })))

  it.live("each learn of an answer that was lost, and only the one that is refused of a refusal", () =>
    Effect.scoped(Effect.gen(function*() {
      const lost = yield* make(() => Effect.fail(new Indeterminate({ reason: "a test" })))
      const exits = yield* lost.all(["a", "b"])
      assert.isTrue(exits.every((exit) => Exit.isFailure(exit) && String(exit.cause).includes("a test")))
      assert.deepStrictEqual(lost.sizes, [2])

      const refusing = yield* make((txn) =>
        txn.do?.some(({ operation }) => operation._tag === "Put" && operation.value.byteLength === 3)
          ? Effect.fail(new InvalidArgument({ field: "value", problem: "is bad" }))
          : undefined
      )
      const mixed = yield* Effect.all([
        Effect.exit(refusing.put("a")),
        Effect.exit(refusing.put("b", "bad")),
        Effect.exit(refusing.put("c"))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(outcomes(mixed), [true, "failed", true])
    })))

  it.live("take a result that was not kept for what it says", () =>
    Effect.scoped(Effect.gen(function*() {
      const { all } = yield* make((_, attempt) =>
        Effect.fail(new ResultsNotKept({ revision: 7, succeeded: attempt > 2 }))
      )
      // The shared one did not take effect, nor the first alone, and the second did.
      assert.deepStrictEqual(outcomes(yield* all(["a", "b"])), [false, true])
    })))

  it.live("end as unknown when their store closes", () =>
    Effect.gen(function*() {
      const waiting = yield* Effect.scoped(Effect.gen(function*() {
        const { all } = yield* make(() => Effect.never)
        const fiber = yield* Effect.forkDetach(all(["a", "b"]), { startImmediately: true })
        yield* Effect.yieldNow
        return fiber
      }))
      const exits = yield* Fiber.join(waiting)
      assert.isTrue(exits.every((exit) => Exit.isFailure(exit) && String(exit.cause).includes("closed")))
    }))
})

it.live("steps list what they have in common in one row, and one that goes alone in its own", () =>
  Effect.scoped(Effect.gen(function*() {
    const { kv, sharing, writer } = yield* make()
    let rows = 0
    const list: StepList = {
      put: (listed) => Op.put(`list ${++rows}`, listed.map(({ ms, text }) => `${text}@${ms}`).join(" "))
    }
    const put = (key: string, ms: number) =>
      writer.take(stepOf([Compare.missing(key)], [Op.put(key, "")], sharing, { list, entry: { text: key, ms } }))
    yield* Effect.all([put("a", 1), put("b", 2), put("c", 3)], { concurrency: "unbounded" })
    yield* kv.put("e", "")
    yield* Effect.all([put("d", 4), put("e", 5), put("f", 6)], { concurrency: "unbounded" })
    const { entries } = yield* kv.scan("list ")
    assert.deepStrictEqual(entries.map(({ text }) => text).sort(), ["a@1 b@2 c@3", "d@4", "f@6"])
  })))
