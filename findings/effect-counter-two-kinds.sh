#!/usr/bin/env bash
# effect/observability: a counter made as usual is one for Prometheus, and none for OTLP.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  `Metric.counter("requests_total")` is the same kind of metric wherever it is exported.
# Happens:   without `incremental: true` a counter may go down. The Prometheus text calls it a counter all the same, so
#            that a step down is taken for a restart and adds to the rate. OTLP calls it a sum that is not monotonic,
#            which collectors hand on as a gauge, and over which queries for rates do not work. A program that moves
#            from one export to the other loses its counters. `incremental: true` is a counter in both.
# Setup:     three counters, exported as text and to a collector that listens on loopback.
# Output:    requests, 3: Prometheus counter 3, OTLP monotonic false
#            requests, incremental, 3: Prometheus counter 3, OTLP monotonic true
#            connections, 5 and then 2 less: Prometheus counter 3, OTLP monotonic false
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Layer, Metric } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpMetrics, OtlpSerialization, PrometheusMetrics } from "effect/observability"
import assert from "node:assert/strict"
import { createServer } from "node:http"
import { json } from "node:stream/consumers"

const counters = [
  ["requests, 3", Metric.counter("requests_total"), [3]],
  ["requests, incremental, 3", Metric.counter("incremental_total", { incremental: true }), [3]],
  ["connections, 5 and then 2 less", Metric.counter("connections"), [5, -2]]
]

let sums = []
const collector = createServer(async (request, response) => {
  const { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] } = await json(request)
  sums = metrics
  response.setHeader("content-type", "application/json").end("{}")
})
await new Promise((resolve) => collector.listen(0, "127.0.0.1", resolve))
const otlp = OtlpMetrics.layer({
  url: `http://127.0.0.1:${collector.address().port}/v1/metrics`,
  resource: { serviceName: "finding" }
}).pipe(Layer.provide([OtlpSerialization.layerJson, OtlpExporter.layerFlusher, FetchHttpClient.layer]))

// What was counted is exported to the collector when the layer ends.
const text = await Effect.runPromise(
  Effect.gen(function*() {
    for (const [, counter, steps] of counters) {
      for (const step of steps) yield* Metric.update(counter, step)
    }
    return yield* PrometheusMetrics.format()
  }).pipe(Effect.provide(otlp))
)
collector.close()

const seen = counters.map(([what, { id }]) => {
  const [, kind, value] = new RegExp(`^# TYPE ${id} (\\w+)\n${id} (\\d+)$`, "m").exec(text)
  const { isMonotonic } = sums.find(({ name }) => name === id).sum
  return `${what}: Prometheus ${kind} ${value}, OTLP monotonic ${isMonotonic}`
})
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "requests, 3: Prometheus counter 3, OTLP monotonic false",
  "requests, incremental, 3: Prometheus counter 3, OTLP monotonic true",
  "connections, 5 and then 2 less: Prometheus counter 3, OTLP monotonic false"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
