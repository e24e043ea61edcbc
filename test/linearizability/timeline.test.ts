import { assert, describe, it } from "vitest"
import { check } from "./Checker.ts"
import { operation } from "./Histories.ts"
import { get, ok, put, saw } from "./History.ts"
import { renderTimeline } from "./Timeline.ts"

describe("renderTimeline", () => {
  it("shows what did not fit, escapes what clients wrote, and needs no other file", () => {
    const verdict = check([
      operation("a", 0, 1, put("<k>", "1"), ok()),
      operation("b", 2, 3, put("<k>", "2"), { _tag: "Unknown", reason: "no answer" }),
      operation("c", 4, 5, get("<k>"), ok([saw("<k>", "3")]))
    ])
    if (verdict._tag !== "Violation") throw new Error(verdict._tag)
    const html = renderTimeline(verdict, "seed 1")
    assert.match(html, /class="stuck"><title>c \[4, 5\] get &lt;k&gt;: ok &lt;k&gt;=3/)
    assert.match(html, /class="unknown"/)
    assert.match(html, /class="taken"/)
    assert.notMatch(html, /<k>|https?:|src=/)
  })
})
