/** Logs go to standard error, in a form for machines or for people, and say which node they are of. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect } from "effect"
import { TestConsole } from "effect/testing"
import type { LoggingOptions } from "../../src/cli/launch/Logging.ts"
import * as Logging from "../../src/cli/launch/Logging.ts"

const options: LoggingOptions = { format: "json", level: "Info", annotations: { node: 2, cluster: "test" } }

const logged = (effect: Effect.Effect<void>, changes: Partial<LoggingOptions> = {}) =>
  Effect.gen(function*() {
    yield* Effect.provide(effect, Logging.layer({ ...options, ...changes }))
    return { out: yield* TestConsole.logLines, err: (yield* TestConsole.errorLines).map(String) }
  })

describe("Logging", () => {
  it.effect("writes one JSON object per line to standard error and nothing to standard output", () =>
    Effect.gen(function*() {
      const { err, out } = yield* logged(
        Effect.logWarning("slow\nsync").pipe(Effect.annotateLogs({ term: 3 }))
      )
      assert.deepStrictEqual(out, [])
      assert.strictEqual(err.length, 1)
      assert.notInclude(err[0], "\n")
      const line: unknown = JSON.parse(err[0] ?? "")
      assert.deepInclude(line, { message: "slow\nsync", level: "WARN" })
      assert.deepNestedInclude(line as object, { annotations: { node: 2, cluster: "test", term: 3 } })
    }))

  it.effect("leaves out what is below the level", () =>
    Effect.gen(function*() {
      const { err } = yield* logged(Effect.andThen(Effect.logInfo("small"), Effect.logError("large")), {
        level: "Warn"
      })
      assert.strictEqual(err.length, 1)
      assert.include(err[0], "large")
    }))

  it.effect("the readable form is not JSON and names the node too", () =>
    Effect.gen(function*() {
      const { err, out } = yield* logged(Effect.logInfo("node 2 starts"), { format: "pretty" })
      assert.deepStrictEqual(out, [])
      assert.throws(() => JSON.parse(err.join("\n")))
      assert.include(err.join("\n"), "node 2 starts")
      assert.match(err.join("\n"), /cluster\W+test/)
    }))

  it.effect.each(["json", "pretty"] as const)(
    "%s: what strangers say cannot steer a terminal or forge a line",
    (format) =>
      Effect.gen(function*() {
        const hostile = "a\u001b[2J\u009b2J\u202eb\r"
        const { err } = yield* logged(
          Effect.logWarning(`said ${hostile}`, Cause.fail(new Error(`of ${hostile}`))).pipe(
            Effect.annotateLogs({ [`name ${hostile}`]: hostile, more: { deep: hostile } })
          ),
          { format }
        )
        assert.strictEqual(err.length, 1)
        assert.include(err[0], "u001b[2J")
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(err[0] as string, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
        if (format === "json") assert.notInclude(err[0], "\n")
      })
  )

  it("is readable on a terminal and JSON off it", () => {
    assert.strictEqual(Logging.formatFor({ isTTY: true }), "pretty")
    assert.strictEqual(Logging.formatFor({ isTTY: false }), "json")
    assert.strictEqual(Logging.formatFor({}), "json")
  })
})
