/** Times as they are written on a command line. */
import { assert, describe, it } from "@effect/vitest"
import { parseTime } from "../../src/cli/input/Time.ts"

describe("a time", () => {
  it("is a date, a time of day and a zone", () => {
    const ms = Date.UTC(2026, 10, 29, 10)
    for (
      const text of ["2026-11-29T10:00:00Z", "2026-11-29T10:00Z", "2026-11-29T12:00:00.000+02:00"]
    ) assert.strictEqual(parseTime(text), ms, text)
    assert.strictEqual(parseTime("2028-02-29T00:00:00Z"), Date.UTC(2028, 1, 29))
  })

  it("is nothing else, and no day that its month does not have", () => {
    for (
      const text of [
        "",
        "yesterday",
        "2026-11-29",
        "2026-11-29T10:00:00",
        "2026-11-29 10:00Z",
        "2026-02-30T00:00:00Z",
        "2027-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-11-29T24:00:00Z",
        "2026-11-29T10:60:00Z",
        "2026-11-29T10:00:00+99:00",
        "11/05/2026 10:00:00Z",
        "1Z"
      ]
    ) assert.isUndefined(parseTime(text), text)
  })
})
