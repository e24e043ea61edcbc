/** Tables are measured against their limits, and one that fills is reported before it is full. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Metric, References } from "effect"
import { TestClock } from "effect/testing"
import { sampleMs, watchTables } from "../src/BoundedTables.ts"

describe("a bounded table", () => {
  it.effect("is reported once each time it comes to 80 %, and again only after it fell below 70 %", () =>
    Effect.gen(function*() {
      const lines: Array<{ readonly message: unknown; readonly level: string; readonly annotations: unknown }> = []
      const logger = Logger.make(({ fiber, logLevel, message }) => {
        lines.push({ message, level: logLevel, annotations: fiber.getRef(References.CurrentLogAnnotations) })
      })
      let entries = 0
      yield* Effect.gen(function*() {
        yield* watchTables([{ table: "seats", entries: () => entries, limit: 200, setting: "maxSeats" }])
        const reported: Array<number> = []
        for (entries of [0, 159, 160, 200, 141, 160, 140, 160, 139, 159, 160, 161]) {
          const before = lines.length
          yield* TestClock.adjust(sampleMs)
          if (lines.length > before) reported.push(entries)
        }
        assert.deepStrictEqual(reported, [160, 160])
        assert.deepStrictEqual(lines.map(({ message }) => message), [
          ["the table seats is at 160 of 200 (maxSeats)"],
          ["the table seats is at 160 of 200 (maxSeats)"]
        ])
        assert.strictEqual(lines[0]?.level, "Warn")
        assert.deepInclude(lines[0]?.annotations, { table: "seats", entries: 160, limit: 200, setting: "maxSeats" })
      }).pipe(Effect.provide(Logger.layer([logger])))
      const snapshot = yield* Metric.snapshot
      const figure = (id: string) =>
        snapshot.filter((metric) => metric.id === id && metric.attributes?.["table"] === "seats").map(({ state }) =>
          state
        )
      assert.deepStrictEqual(figure("flaredb_table_entries"), [{ value: 161 }])
      assert.deepStrictEqual(figure("flaredb_table_limit"), [{ value: 200 }])
    }))
})
