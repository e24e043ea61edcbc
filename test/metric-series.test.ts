/** A metric of its own for each of its labels, made once. */
import { assert, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { seriesOf } from "../src/MetricSeries.ts"

it("a series is made when it is first asked for, and kept", () => {
  const made: Array<string> = []
  const series = seriesOf((node) => {
    made.push(node)
    return { node }
  })
  assert.isEmpty(made)
  const [first, second] = [series("1"), series("2")]
  assert.strictEqual(series("1"), first)
  assert.strictEqual(series("2"), second)
  assert.deepEqual(made, ["1", "2"])
})

it("labels are told apart, whatever is in them", () => {
  const series = seriesOf((family, cause) => ({ family, cause }))
  const labels = [["a", "b"], ["a\",\"b", ""], ["", "a\",\"b"], ["a,b", ""], ["a", ",b"], ["[\"a\"", "\"b\"]"]] as const
  const all = labels.map(([family, cause]) => series(family, cause))
  assert.strictEqual(new Set(all).size, labels.length)
  assert.deepEqual(all, labels.map(([family, cause]) => ({ family, cause })))
})

it.effect("counts of two series stay apart, in the registry of each", () =>
  Effect.gen(function*() {
    const counts = seriesOf((port) => Metric.counter("series_test_total", { attributes: { port } }))
    const context = yield* Effect.context<never>()
    const count = Effect.sync(() => {
      for (const port of ["client", "peer", "client"]) counts(port).updateUnsafe(1, context)
    })
    yield* count
    const values = () =>
      Metric.snapshotUnsafe(context).filter(({ id }) => id === "series_test_total").map(({ attributes, state }) => [
        attributes,
        state
      ])
    assert.sameDeepMembers(values(), [
      [{ port: "client" }, { count: 2, incremental: false }],
      [{ port: "peer" }, { count: 1, incremental: false }]
    ])
  }))
