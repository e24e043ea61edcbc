/** `/metrics` with metrics of the program that runs the node, which may have any attributes. */
import { assert, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { prometheusText } from "../../src/http/PrometheusText.ts"

const textOf = (update: Effect.Effect<void>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.andThen(update, PrometheusMetrics.format()).pipe(
    Effect.map((text) => prometheusText(text).split("\n").filter((line) => !line.startsWith("# TYPE"))),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

it.effect("attributes that become one label are written once, with both values", () =>
  Effect.gen(function*() {
    const calls = Metric.counter("shop_calls", { incremental: true })
    const lines = yield* textOf(Effect.andThen(
      Metric.update(Metric.withAttributes(calls, { "node.id": "1", node_id: "a", room: "x" }), 1),
      Metric.update(Metric.withAttributes(calls, { "node.id": "2", node_id: "a", room: "x" }), 5)
    ))
    assert.deepStrictEqual(lines, [
      "shop_calls{node_id=\"1;a\",room=\"x\"} 1",
      "shop_calls{node_id=\"2;a\",room=\"x\"} 5",
      ""
    ])
  }))

it.effect("an attribute `le` gives way to the bound of a bucket, and `quantile` to that of a summary", () =>
  Effect.gen(function*() {
    const wait = Metric.histogram("shop_wait", { boundaries: [1] })
    const buckets = yield* textOf(Metric.update(Metric.withAttributes(wait, { le: "x" }), 1))
    assert.deepStrictEqual(buckets.filter((line) => line.includes("_bucket")), [
      "shop_wait_bucket{le=\"1\"} 1",
      "shop_wait_bucket{le=\"+Inf\"} 1"
    ])
    const sizes = Metric.summary("shop_size", { maxAge: "1 minute", maxSize: 10, quantiles: [0.5] })
    const quantiles = yield* textOf(Metric.update(Metric.withAttributes(sizes, { quantile: "x" }), 7))
    assert.strictEqual(quantiles[0], "shop_size{quantile=\"0.5\"} 7")
  }))

it.effect("every other line stays as it is, whatever its values hold", () =>
  Effect.gen(function*() {
    const text = "# HELP shop_calls of {a=\"1\",a=\"2\"} 1\n"
    assert.strictEqual(prometheusText(text), text)
    const value = "a\",b=\"} 1 \\ \n{"
    const calls = Metric.withAttributes(Metric.counter("shop_odd"), { b: value, c: value })
    const said = yield* Effect.andThen(Metric.update(calls, 1), PrometheusMetrics.format()).pipe(
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
    assert.include(said, "shop_odd{b=")
    assert.strictEqual(prometheusText(said), said)
  }))
