#!/usr/bin/env bash
# effect/observability: Prometheus labels named `unit` and `time_unit` are left out of the exposition.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  every attribute of a metric becomes a label, as others do.
# Happens:   these two names are kept for Effect's own timers and are dropped from every metric. Series that differ only
#            there come out as the same series twice, with different values, which the format does not allow; and a
#            timer, which counts in milliseconds, says so nowhere.
# Output:    # TYPE moved_total counter
#            moved_total{of="rows"} 3
#            moved_total{of="bytes"} 300
#            # TYPE read_total counter
#            read_total 3
#            read_total 300
#            a timer of 2 s: wait_sum 2000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import assert from "node:assert/strict"

const text = await Effect.runPromise(Effect.gen(function*() {
  const moved = Metric.counter("moved_total", { incremental: true })
  yield* Metric.update(Metric.withAttributes(moved, { of: "rows" }), 3)
  yield* Metric.update(Metric.withAttributes(moved, { of: "bytes" }), 300)
  const read = Metric.counter("read_total", { incremental: true })
  yield* Metric.update(Metric.withAttributes(read, { unit: "rows" }), 3)
  yield* Metric.update(Metric.withAttributes(read, { unit: "bytes" }), 300)
  yield* Metric.update(Metric.timer("wait"), "2 seconds")
  return yield* PrometheusMetrics.format()
}))

const lines = text.trimEnd().split("\n")
const counters = lines.filter((line) => !line.includes("wait"))
const timer = lines.filter((line) => line.startsWith("wait_sum"))
console.log(counters.join("\n"))
console.log(`a timer of 2 s: ${timer}`)
assert.deepEqual(counters, [
  "# TYPE moved_total counter",
  "moved_total{of=\"rows\"} 3",
  "moved_total{of=\"bytes\"} 300",
  "# TYPE read_total counter",
  "read_total 3",
  "read_total 300"
], "the behaviour has changed")
assert.deepEqual(timer, ["wait_sum 2000"], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
