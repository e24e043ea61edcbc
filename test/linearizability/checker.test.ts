/** The checker against histories that are known to be right or wrong, and against the definition itself. */
import { assert, describe, it } from "vitest"
import { Random } from "../simulation/Random.ts"
import { isLinearizable } from "./BruteForce.ts"
import type { Verdict } from "./Checker.ts"
import { check, describeVerdict, partition } from "./Checker.ts"
import { operation, randomHistory } from "./Histories.ts"
import type { Operation, Outcome, Value } from "./History.ts"
import { compareAndSet, existed, get, getAll, ok, put, putAll, Recorder, remove, saw } from "./History.ts"

const unknown: Outcome = { _tag: "Unknown", reason: "no answer" }
const failed: Outcome = { _tag: "Failed", reason: "not the leader" }
const sees = (value: Value) => ok([saw("k", value)])

const cases: ReadonlyArray<readonly [name: string, verdict: Verdict["_tag"], history: ReadonlyArray<Operation>]> = [
  ["nothing happened", "Linearizable", []],
  ["a read of a key that is absent", "Linearizable", [operation("a", 0, 1, get("k"), sees(null))]],
  ["a read after a write", "Linearizable", [
    operation("a", 0, 1, put("k", "1"), ok()),
    operation("b", 2, 3, get("k"), sees("1"))
  ]],
  ["a stale read", "Violation", [
    operation("a", 0, 1, put("k", "1"), ok()),
    operation("a", 2, 3, put("k", "2"), ok()),
    operation("b", 4, 5, get("k"), sees("1"))
  ]],
  ["a read that overlaps a write sees the old value, or the new one", "Linearizable", [
    operation("a", 0, 1, put("k", "1"), ok()),
    operation("a", 2, 9, put("k", "2"), ok()),
    operation("b", 3, 4, get("k"), sees("1")),
    operation("c", 5, 6, get("k"), sees("2"))
  ]],
  ["the old value after the new one was seen", "Violation", [
    operation("a", 0, 1, put("k", "1"), ok()),
    operation("a", 2, 9, put("k", "2"), ok()),
    operation("b", 3, 4, get("k"), sees("2")),
    operation("c", 5, 6, get("k"), sees("1"))
  ]],
  ["a lost write", "Violation", [
    operation("a", 0, 1, put("k", "1"), ok()),
    operation("b", 2, 3, get("k"), sees(null))
  ]],
  ["a value that nobody wrote", "Violation", [operation("a", 0, 1, get("k"), sees("9"))]],
  ["a read from the future", "Violation", [
    operation("b", 0, 1, get("k"), sees("1")),
    operation("a", 2, 3, put("k", "1"), ok())
  ]],
  ["an unknown write that was seen", "Linearizable", [
    operation("a", 0, 1, put("k", "1"), unknown),
    operation("b", 8, 9, get("k"), sees("1"))
  ]],
  ["an unknown write that was never seen", "Linearizable", [
    operation("a", 0, 1, put("k", "1"), unknown),
    operation("b", 8, 9, get("k"), sees(null))
  ]],
  ["an unknown write that took effect late", "Linearizable", [
    operation("a", 0, 1, put("k", "1"), unknown),
    operation("b", 2, 3, get("k"), sees(null)),
    operation("b", 4, 5, put("k", "2"), ok()),
    operation("b", 6, 7, get("k"), sees("1"))
  ]],
  ["an unknown write that took effect twice", "Violation", [
    operation("a", 0, 1, put("k", "1"), unknown),
    operation("b", 2, 3, get("k"), sees("1")),
    operation("b", 4, 5, put("k", "2"), ok()),
    operation("b", 6, 7, get("k"), sees("1"))
  ]],
  ["an unknown write seen before its call", "Violation", [
    operation("b", 0, 1, get("k"), sees("1")),
    operation("a", 2, 3, put("k", "1"), unknown)
  ]],
  ["an unknown write that came and went", "Violation", [
    operation("a", 0, 1, put("k", "1"), unknown),
    operation("b", 2, 3, get("k"), sees("1")),
    operation("b", 4, 5, get("k"), sees(null))
  ]],
  ["a failed write that was seen", "Violation", [
    operation("a", 0, 1, put("k", "1"), failed),
    operation("b", 2, 3, get("k"), sees("1"))
  ]],
  ["a write that was applied twice", "Violation", [
    operation("a", 0, 1, put("k", "1"), ok()),
    operation("b", 2, 3, put("k", "2"), ok()),
    operation("c", 4, 5, get("k"), sees("1"))
  ]],
  ["a delete that says it found nothing", "Violation", [
    operation("a", 0, 1, put("k", "1"), ok()),
    operation("a", 2, 3, remove("k"), ok([existed("k", false)]))
  ]],
  ["two deletes that both found the key", "Violation", [
    operation("a", 0, 1, put("k", "1"), ok()),
    operation("a", 2, 5, remove("k"), ok([existed("k", true)])),
    operation("b", 3, 4, remove("k"), ok([existed("k", true)]))
  ]],
  ["two compare-and-sets of which one succeeds", "Linearizable", [
    operation("a", 0, 5, compareAndSet("k", null, "1"), ok()),
    operation("b", 1, 4, compareAndSet("k", null, "2"), ok([saw("k", "1")], false)),
    operation("c", 6, 7, get("k"), sees("1"))
  ]],
  ["two compare-and-sets that both succeed", "Violation", [
    operation("a", 0, 5, compareAndSet("k", null, "1"), ok()),
    operation("b", 1, 4, compareAndSet("k", null, "2"), ok())
  ]],
  ["a chain of unknown compare-and-sets", "Linearizable", [
    operation("a", 0, 1, compareAndSet("k", null, "1"), unknown),
    operation("b", 2, 3, compareAndSet("k", "1", "2"), unknown),
    operation("c", 4, 5, compareAndSet("k", "2", "3"), ok())
  ]],
  ["a transaction that was seen in halves", "Violation", [
    operation("a", 0, 1, putAll([["x", "1"], ["y", "1"]]), ok()),
    operation("a", 2, 5, putAll([["x", "2"], ["y", "2"]]), ok()),
    operation("b", 3, 4, getAll(["x", "y"]), ok([saw("x", "2"), saw("y", "1")]))
  ]],
  ["two keys in two orders", "Violation", [
    operation("a", 0, 1, put("x", "1"), ok()),
    operation("a", 0, 1, put("y", "1"), ok()),
    operation("a", 2, 9, put("x", "2"), ok()),
    operation("b", 2, 9, put("y", "2"), ok()),
    operation("c", 3, 8, getAll(["x", "y"]), ok([saw("x", "2"), saw("y", "1")])),
    operation("d", 3, 8, getAll(["x", "y"]), ok([saw("x", "1"), saw("y", "2")]))
  ]]
]

describe("known histories", () => {
  it.each(cases)("%s", (_, expected, history) => {
    const verdict = check(history)
    assert.equal(verdict._tag, expected, describeVerdict(verdict))
    assert.equal(isLinearizable(history), expected === "Linearizable")
  })

  it("says what did not fit, and after what", () => {
    const verdict = check([
      operation("a", 0, 1, put("k", "1"), ok()),
      operation("a", 2, 3, put("k", "2"), ok()),
      operation("b", 4, 5, get("k"), sees("1"))
    ])
    assert.strictEqual(
      describeVerdict(verdict),
      "NOT linearizable: k\nafter 2 of 3 operations the values are 2, and none of these fits:\n  b [4, 5] get k: ok k=1"
    )
  })

  it("gives up rather than going on for ever", () => {
    // Twelve writes at once, of which none explains the read: every subset of them has to be tried.
    const writes = Array.from({ length: 12 }, (_, i) => operation(`c${i}`, i, 100 + i, put("k", `${i}`), ok()))
    const history = [...writes, operation("r", 50, 60, get("k"), sees("never"))]
    assert.equal(check(history, { maxSteps: 1_000 })._tag, "GaveUp")
    assert.equal(check(history)._tag, "Violation")
  })
})

describe("partition", () => {
  it("keeps keys together that an operation connects, and no others", () => {
    const parts = partition([
      operation("a", 0, 1, put("a", "1"), ok()),
      operation("a", 2, 3, putAll([["b", "1"], ["c", "1"]]), ok()),
      operation("a", 4, 5, getAll(["c", "d"]), ok([saw("c", "1"), saw("d", null)])),
      operation("a", 6, 7, put("e", "1"), failed)
    ])
    assert.deepEqual(parts.map(({ keys, operations }) => [[...keys].sort(), operations.length]), [
      [["a"], 1],
      [["b", "c", "d"], 2]
    ])
  })
})

describe("Recorder", () => {
  it("orders calls and answers as they are told", () => {
    let nowMs = 0
    const recorder = new Recorder(() => nowMs++)
    const first = recorder.begin("a", put("k", "1"))
    const second = recorder.begin("b", get("k"))
    second(sees(null))
    first(ok())
    const third = recorder.begin("b", get("k"))
    third(sees("1"))
    assert.deepEqual(recorder.operations.map(({ call, client, end }) => [client, call, end]), [
      ["b", 1, 2],
      ["a", 0, 3],
      ["b", 4, 5]
    ])
    assert.equal(check(recorder.operations)._tag, "Linearizable")
  })
})

/** The same history with one answer changed to another that occurs in it, or to one the store would never give. */
const spoilt = (history: ReadonlyArray<Operation>, random: Random): ReadonlyArray<Operation> => {
  const answered = history.filter(({ outcome }) => outcome._tag === "Ok" && outcome.seen.length > 0)
  if (answered.length === 0) return history
  const chosen = random.pick(answered)
  const other = random.pick(answered)
  return history.map((one) => {
    if (one !== chosen || one.outcome._tag !== "Ok") return one
    const seen = one.outcome.seen.map((observation) => {
      if (observation._tag === "Exists") return { ...observation, exists: !observation.exists }
      const said = other.outcome._tag === "Ok" ? other.outcome.seen[0] : undefined
      return { ...observation, value: said?._tag === "Value" ? said.value : null }
    })
    return { ...one, outcome: { ...one.outcome, seen } }
  })
}

describe("against the definition", () => {
  it("does not take a write that changes nothing where it was called before it is needed", () => {
    const seed266 = [
      operation("a", 0, 1, put("k", "1"), ok()),
      operation("b", 2, 7, put("k", "1"), ok()),
      operation("a", 3, 5, remove("k"), ok()),
      operation("c", 8, 9, get("k"), sees("1"))
    ]
    assert.equal(check(seed266)._tag, "Linearizable")
  })

  it("agrees on thousands of tiny histories, right and wrong", () => {
    const found = { right: 0, wrong: 0 }
    for (let seed = 1; seed <= 4_000; seed++) {
      const random = new Random(seed)
      const history = randomHistory({
        random,
        clients: 1 + random.below(4),
        operations: 1 + random.below(7),
        keys: 1 + random.below(2),
        lost: random.pick([0, 0.1, 0.4]),
        double: random.pick([0, 0.3]),
        ...random.chance(0.5) ? { values: 2 } : {}
      })
      assert.equal(check(history)._tag, "Linearizable", `seed ${seed}: the store is right by construction`)
      const wrong = spoilt(history, random)
      const expected = isLinearizable(wrong)
      found[expected ? "right" : "wrong"] += 1
      assert.equal(check(wrong)._tag, expected ? "Linearizable" : "Violation", `seed ${seed}`)
    }
    assert.isAbove(found.right, 500)
    assert.isAbove(found.wrong, 500)
  })
})

describe("large histories", () => {
  const large = (operations: number) =>
    randomHistory({ random: new Random(7), clients: 32, operations, keys: 20, lost: 0.01, double: 0 })

  it("judges 100,000 operations of 32 clients, a thousand of them without an answer", () => {
    const verdict = check(large(100_000))
    assert.equal(verdict._tag, "Linearizable", describeVerdict(verdict))
  })

  it("finds one wrong answer among 20,000", () => {
    const history = [...large(20_000)]
    const late = history.findLastIndex(({ action, outcome }) =>
      outcome._tag === "Ok" && action.name.startsWith("get ") && outcome.seen.length > 0
    )
    const liar = history[late] as Operation
    history[late] = { ...liar, outcome: ok([saw(liar.action.name.slice(4), "v1")]) }
    const verdict = check(history)
    assert.equal(verdict._tag, "Violation", describeVerdict(verdict))
  })

  it("judges transactions over a few keys", () => {
    const random = new Random(8)
    const history = randomHistory({ random, clients: 8, operations: 2_000, keys: 3, lost: 0.01, double: 0.5 })
    assert.equal(check(history)._tag, "Linearizable")
  })
})
