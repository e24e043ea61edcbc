/** Progress as people see it, on a terminal and off one, and what `verify` says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { verdict } from "../../src/cli/commands/BackupCommands.ts"
import { formatBytes, make, progressLine } from "../../src/cli/output/Progress.ts"
import type { NodeHash } from "../../src/client/connection/NodeHashes.ts"

const output = (isTTY: boolean) => {
  const written: Array<string> = []
  return { written, isTTY, write: (text: string) => written.push(text) > 0 }
}

describe("progress", () => {
  it("is a bar with share, bytes and speed, and no bar when the end is not known", () => {
    assert.strictEqual(
      progressLine("backup", 512 * 1024, 1024 * 1024, 1_000),
      `backup: [${"#".repeat(15)}${".".repeat(15)}] 50 %, 512.0 KiB, 512.0 KiB/s`
    )
    assert.strictEqual(progressLine("backup", 100, 0, 0), "backup: 100 B")
    assert.include(progressLine("backup", 300, 100, 0), "100 %", "an estimate may be too low")
    assert.strictEqual(formatBytes(3 * 1024 ** 3), "3.0 GiB")
  })

  it.effect("is drawn over itself on a terminal, and elsewhere is a line now and then when it is asked for", () =>
    Effect.gen(function*() {
      const [terminal, file, forced, refused, json, asked] = [
        output(true),
        output(false),
        output(false),
        output(true),
        output(true),
        output(true)
      ]
      const [unsaid, yes, no] = [Option.none<boolean>(), Option.some(true), Option.some(false)]
      const all = [
        yield* make("hash", { progress: unsaid, json: false, output: terminal }),
        yield* make("hash", { progress: unsaid, json: false, output: file }),
        yield* make("hash", { progress: yes, json: false, output: forced }),
        yield* make("hash", { progress: no, json: false, output: refused }),
        yield* make("hash", { progress: unsaid, json: true, output: json }),
        yield* make("hash", { progress: yes, json: true, output: asked })
      ]
      for (let i = 1; i <= 50; i++) {
        yield* TestClock.adjust(100)
        for (const progress of all) yield* progress.report(i, 50)
      }
      for (const progress of all) yield* progress.end
      assert.strictEqual(terminal.written.length, 51)
      assert.isTrue(terminal.written.every((text) => text.startsWith("\r\u001b[K")))
      assert.strictEqual(terminal.written[50], "\r\u001b[K", "the bar is taken away")
      assert.strictEqual(forced.written.length, 2)
      assert.isTrue(forced.written.every((text) => text.endsWith("\n")))
      assert.deepStrictEqual([file.written, refused.written, json.written], [[], [], []])
      assert.deepStrictEqual(JSON.parse(asked.written[0] ?? ""), { progress: { what: "hash", bytes: 20, ofBytes: 50 } })
    }))
})

describe("verify", () => {
  const hashed = (nodeId: number, digest: string): NodeHash => ({
    endpoint: `h:${nodeId}`,
    hash: { _tag: "Hashed", nodeId, index: 9, term: 1, revision: 5, rows: 3, bytes: 30, digest },
    problem: undefined
  })
  const down = (nodeId: number): NodeHash => ({ endpoint: `h:${nodeId}`, hash: undefined, problem: "nobody listens" })

  it("is content with equal nodes only, and names the one that differs", () => {
    assert.isUndefined(verdict([hashed(1, "a"), hashed(2, "a"), hashed(3, "a")]))
    assert.match(verdict([hashed(1, "a"), hashed(2, "b"), hashed(3, "a")]) ?? "", /^node 2 differs/)
    assert.match(verdict([hashed(1, "a"), hashed(2, "b"), hashed(3, "c")]) ?? "", /none has a majority/)
    assert.match(verdict([hashed(1, "a"), hashed(2, "b"), down(3)]) ?? "", /none has a majority.*not compared: h:3/)
    assert.match(verdict([hashed(1, "a"), down(2), hashed(3, "a")]) ?? "", /^not compared: h:2: nobody listens$/)
    assert.match(verdict([down(1), down(2), down(3)]) ?? "", /^not compared/)
  })
})
