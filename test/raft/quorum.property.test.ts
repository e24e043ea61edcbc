/** Majorities against the definition: counting heads. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { committedIndex, majority, voteResult } from "../../src/raft/Quorum.ts"
import { LogIndex } from "../../src/raft/Types.ts"

/** Wide enough that comparing as text (9 > 10) would show. */
const Index = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))
const Indices = Schema.Array(Index).check(Schema.isMinLength(1), Schema.isMaxLength(7))

/** The highest index that more than half of the voters have reached. */
const naiveCommitted = (matches: ReadonlyArray<number>): number => {
  let highest = 0
  for (const candidate of matches) {
    const holders = matches.filter((match) => match >= candidate).length
    if (holders > matches.length / 2 && candidate > highest) highest = candidate
  }
  return highest
}

describe("Quorum", () => {
  it.prop("the committed index is the highest that more than half have", [Indices], ([matches]) => {
    assert.strictEqual(committedIndex(matches.map(LogIndex)), naiveCommitted(matches))
  }, { arbitrary: { runs: 500 } })

  it.prop("the order of the voters and the caller's array are left alone", [Indices], ([matches]) => {
    const given = matches.map(LogIndex)
    const committed = committedIndex(given)
    assert.deepEqual(given, matches.map(LogIndex))
    assert.strictEqual(committedIndex(given.toReversed()), committed)
  })

  it("indices are compared as numbers", () => {
    assert.strictEqual(committedIndex([9, 10, 100].map(LogIndex)), 10)
    assert.strictEqual(committedIndex([1_000, 9, 20].map(LogIndex)), 20)
  })

  it.prop(
    "two majorities always meet",
    [Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 99 }))],
    ([voters]) => {
      assert.isAbove(2 * majority(voters), voters)
      assert.isAtMost(majority(voters), voters)
      assert.isTrue(Number.isInteger(majority(voters)))
    }
  )

  it.prop(
    "an election is won by more than half, and lost once that cannot happen any more",
    [Schema.Array(Schema.Boolean).check(Schema.isMaxLength(3)), Schema.Literals([1, 3])],
    ([votes, voters]) => {
      const cast = votes.slice(0, voters)
      const granted = cast.filter(Boolean).length
      const open = voters - cast.length
      const expected = granted > voters / 2 ? "won" : granted + open > voters / 2 ? "pending" : "lost"
      assert.strictEqual(voteResult(voters, cast), expected)
    },
    { arbitrary: { runs: 300 } }
  )
})
