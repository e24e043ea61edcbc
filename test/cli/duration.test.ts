/** Durations as they are written on a command line. */
import { assert, describe, it } from "@effect/vitest"
import { parseDuration } from "../../src/cli/input/Duration.ts"
import { formatDifference, formatDuration } from "../../src/DurationText.ts"

describe("a duration", () => {
  it("is a number and a unit", () => {
    const read = { "0": 0, "500ms": 500, "1.5s": 1_500, "2m": 120_000, "1h": 3_600_000, "7d": 604_800_000 }
    for (const [text, ms] of Object.entries(read)) assert.strictEqual(parseDuration(text), ms, text)
    assert.strictEqual(parseDuration("-5s"), -5_000)
  })

  it("is nothing else", () => {
    for (
      const text of [
        "",
        "s",
        "soon",
        "5 s",
        "1e3",
        "5sec",
        "1h30m",
        "1.0001s",
        "0x10",
        "NaN",
        "99999999999999999d"
      ]
    ) {
      assert.throws(() => parseDuration(text), /a duration with its unit, in whole milliseconds: 500ms/, text)
    }
  })

  it("that is a bare number is refused with what to write", () => {
    assert.throws(() => parseDuration("3600"), /^a duration with its unit: 3600s for seconds, 3600ms for milliseconds/)
    assert.throws(() => parseDuration("1.5"), /1\.5s for seconds/)
  })

  it("is shown in units that people read", () => {
    const shown = {
      0: "0ms",
      999: "999ms",
      1_000: "1s",
      1_590: "1.5s",
      59_999: "59.9s",
      60_000: "1m",
      3_661_000: "1h1m1s",
      604_800_000: "7d"
    }
    for (const [ms, text] of Object.entries(shown)) assert.strictEqual(formatDuration(Number(ms)), text)
  })

  it("of a measurement has two digits where it is short, and no unit of milliseconds where it is long", () => {
    const shown = {
      "0.00001": "0ms",
      "0.0041": "0.0041ms",
      "0.84": "0.84ms",
      "9.96": "10ms",
      "12.34": "12ms",
      "999.7": "1s",
      "86399999.1": "23h59m59s"
    }
    for (const [ms, text] of Object.entries(shown)) {
      assert.strictEqual(formatDuration(Number(ms)), text)
      assert.strictEqual(formatDifference(Number(ms)), `+${text}`)
      assert.strictEqual(formatDifference(-Number(ms)), text === "0ms" ? "+0ms" : `-${text}`)
    }
  })

  it("is as exact as it is asked for", () => {
    const inTwo = { 3_661_000: "1h1m", 90_061_000: "1d1h", 86_461_000: "1d", 61_000: "1m1s" }
    for (const [ms, text] of Object.entries(inTwo)) assert.strictEqual(formatDuration(Number(ms), 2), text)
  })

  it("reads as it is shown, when it is whole seconds of one unit", () => {
    for (const unit of ["ms", "s", "m", "h", "d"]) {
      for (let count = 1; count < 24; count++) {
        const ms = parseDuration(`${count}${unit}`)
        assert.strictEqual(parseDuration(formatDuration(ms)), ms)
      }
    }
  })
})
