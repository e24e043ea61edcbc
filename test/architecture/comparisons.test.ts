/** The comparisons that tests use see what makes values different: a test that cannot fail holds nothing. */
import { Data, Exit, Option } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import config from "../../vitest.config.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly expected: number; readonly cause?: unknown }> {}
class Lost extends Data.TaggedError("Lost")<{ readonly expected: number }> {}

const map = (...keys: ReadonlyArray<string>) => new Map(keys.map((key) => [key, 1]))

const different: ReadonlyArray<readonly [string, unknown, unknown]> = [
  ["fields of an error", new Refused({ expected: 1 }), new Refused({ expected: 2 })],
  ["the cause of an error", new Error("no", { cause: 1 }), new Error("no", { cause: 2 })],
  ["a field more", new Refused({ expected: 1 }), new Refused({ expected: 1, cause: "that" })],
  ["classes of errors", new Refused({ expected: 1 }), new Lost({ expected: 1 })],
  ["messages", new Error("one"), new Error("two")],
  ["a field deep inside", [{ at: [new Refused({ expected: 1 })] }], [{ at: [new Refused({ expected: 2 })] }]],
  ["an error in an option", Option.some(new Refused({ expected: 1 })), Option.some(new Refused({ expected: 2 }))],
  ["an error in an exit", Exit.fail(new Refused({ expected: 1 })), Exit.fail(new Refused({ expected: 2 }))],
  ["the order of a map", map("a", "b"), map("b", "a")],
  ["the order of a map inside", { found: map("a", "b") }, { found: map("b", "a") }],
  ["errors in maps", new Map([["a", new Refused({ expected: 1 })]]), new Map([["a", new Refused({ expected: 2 })]])],
  ["bytes", Uint8Array.of(1, 2), Uint8Array.of(2, 1)],
  ["a field that is undefined", { a: undefined }, {}]
]

const equal: ReadonlyArray<readonly [string, () => unknown]> = [
  ["errors", () => new Refused({ expected: 1, cause: new Error("that") })],
  ["maps", () => new Map([["a", map("b", "c")]])],
  ["exits", () => Exit.fail(new Refused({ expected: 1 }))],
  ["bytes", () => [Uint8Array.of(1, 2), Buffer.from("text")]],
  ["sets", () => new Set([1, 2])],
  ["nothing in particular", () => ({ a: [1, "two", null, Number.NaN], b: { c: 3n } })]
]

describe("a deep comparison", () => {
  it.each(different)("sees %s", (_, actual, expected) => {
    assert.throws(() => assert.deepStrictEqual(actual, expected), /expected/)
    assert.throws(() => assert.deepEqual(actual, expected), /expected/)
    assert.throws(() => assert.deepInclude({ value: actual }, { value: expected }), /expected/)
    assert.notDeepEqual(actual, expected)
  })

  it.each(equal)("of %s that are alike passes", (_, make) => {
    assert.deepStrictEqual(make(), make())
    assert.deepInclude({ value: make(), more: 1 }, { value: make() })
  })

  it("is this one in every project", () => {
    for (const project of config.test?.projects ?? []) {
      if (typeof project === "object" && "test" in project) {
        assert.include(project.test?.setupFiles, "test/Comparison.ts")
      }
    }
    assert.lengthOf(config.test?.projects ?? [], 7)
  })
})

it("no test compares with a package of its own, which would see less", () => {
  const tests = join(import.meta.dirname, "..")
  for (const path of readdirSync(tests, { recursive: true, encoding: "utf8" })) {
    if (!path.endsWith(".test.ts")) continue
    const text = readFileSync(join(tests, path), "utf8")
    assert.notMatch(text, /from "(?:chai|node:assert(?:\/strict)?|assert|@effect\/vitest\/utils)"/, path)
    assert.notMatch(text, /^(?!.*it\.each).*\.to(?:Strict)?Equal\(.*(?:Error|Map)\(/m, path)
  }
})
