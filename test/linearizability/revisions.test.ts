import { assert, describe, it } from "vitest"
import { revisionProblems } from "./Revisions.ts"

describe("revisionProblems", () => {
  it("takes any order of writes that overlap", () => {
    assert.deepEqual(
      revisionProblems([
        { name: "a", call: 0, end: 3, revision: 2 },
        { name: "b", call: 1, end: 2, revision: 1 },
        { name: "c", call: 4, end: 5, revision: 7 }
      ]),
      []
    )
  })

  it("finds a revision that was given twice, and one that goes back in time", () => {
    assert.deepEqual(
      revisionProblems([
        { name: "a", call: 0, end: 1, revision: 5 },
        { name: "b", call: 0, end: 2, revision: 5 },
        { name: "c", call: 3, end: 4, revision: 4 }
      ]),
      ["a and b both have revision 5", "a had revision 5 before c was called, which has 4"]
    )
  })
})
