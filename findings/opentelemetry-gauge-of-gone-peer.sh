#!/usr/bin/env bash
# OpenTelemetry for JavaScript: what an observable gauge no longer reports is exported for ever, with a new time.
#
# Versions:  @opentelemetry/sdk-metrics 2.12.1, @opentelemetry/api 1.9.1, prom-client 15.1.3, Node.js 24.21.0.
#            Seen 2026-11-30.
# Expected:  the callback of an observable gauge runs at each collection and reports what is there: a lag for each peer,
#            a length for each queue. A peer that has left is not reported, so its series ends.
# Happens:   with cumulative temporality, which is the default and what Prometheus needs, each attribute set that was
#            reported once is exported again with its last value, and with the time of this collection. So a peer that
#            left with a lag of 9 has that lag until the process ends, its alert never resolves, and the series of
#            queues that are gone add up. Staleness does not help, as the point looks new. With delta temporality it
#            ends at once. A gauge of prom-client that is reset when it is collected ends too.
# Setup:     two peers are reported at the first collection, and one at the second. Each line is the second one.
# Output:    cumulative: a=1 b=9, times equal: true
#            delta: a=1
#            prom-client: a=1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  @opentelemetry/sdk-metrics@2.12.1 @opentelemetry/api@1.9.1 prom-client@15.1.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import * as sdk from "@opentelemetry/sdk-metrics"
import assert from "node:assert/strict"
import { Gauge, Registry } from "prom-client"

const first = { a: 1, b: 9 }
const second = { a: 1 }

const withOpenTelemetry = async (temporality) => {
  const exporter = new sdk.InMemoryMetricExporter(sdk.AggregationTemporality[temporality])
  const reader = new sdk.PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new sdk.MeterProvider({ readers: [reader] })
  let lags = first
  provider.getMeter("finding").createObservableGauge("lag").addCallback((result) => {
    for (const [peer, lag] of Object.entries(lags)) result.observe(lag, { peer })
  })
  await reader.collect()
  lags = second
  const { resourceMetrics } = await reader.collect()
  await provider.shutdown()
  const points = resourceMetrics.scopeMetrics[0].metrics[0].dataPoints
  const text = points.map(({ attributes, value }) => `${attributes.peer}=${value}`).join(" ")
  const times = new Set(points.map(({ endTime }) => String(endTime)))
  return points.length === 1 ? text : `${text}, times equal: ${times.size === 1}`
}
const withPromClient = async () => {
  const registry = new Registry()
  let lags = first
  new Gauge({
    name: "lag",
    help: "for the finding",
    labelNames: ["peer"],
    registers: [registry],
    collect() {
      this.reset()
      for (const [peer, lag] of Object.entries(lags)) this.set({ peer }, lag)
    }
  })
  await registry.metrics()
  lags = second
  const [{ values }] = await registry.getMetricsAsJSON()
  return values.map(({ labels, value }) => `${labels.peer}=${value}`).join(" ")
}

const seen = [
  `cumulative: ${await withOpenTelemetry("CUMULATIVE")}`,
  `delta: ${await withOpenTelemetry("DELTA")}`,
  `prom-client: ${await withPromClient()}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "cumulative: a=1 b=9, times equal: true",
  "delta: a=1",
  "prom-client: a=1"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
