#!/usr/bin/env bash
# @platformatic/promotel: a histogram that is converted from Prometheus to OTLP has one bucket, which holds everything.
#
# Versions:  @platformatic/promotel 0.2.2, prom-client 15.1.3, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a histogram of OTLP has the limits of that of Prometheus, and for each of them the values that lie between
#            it and the one before: Prometheus adds all lower ones, OTLP does not.
# Happens:   each line of a histogram overwrites the limits and counts of the one before, so that only the last one is
#            left, which is that of `+Inf`. `count` and `sum` are right, so a rate and a mean look as they should, and
#            no quantile can be told any more: the collector is sent a valid histogram without limits. Counters and
#            gauges are right. The same comes of the text and of a registry of prom-client.
# Setup:     five waits, two of them up to 0.1 s, one each up to 1 s and 10 s, and one longer. The first line is what
#            prom-client writes, the others are what promotel makes of it, as the collector decodes it.
# Output:    prom-client: 0.1: 2, 1: 3, 10: 4, +Inf: 5, count 5, sum 55.6
#            right in OTLP: bounds 0.1 1 10, buckets 2 1 1 1, count 5, sum 55.6
#            from the registry: bounds none, buckets 5, count 5, sum 55.6
#            from the text: bounds none, buckets 5, count 5, sum 55.6
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @platformatic/promotel@0.2.2 prom-client@15.1.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { convert, encode, getFromRegistry, opentelemetry, parse } from "@platformatic/promotel"
import assert from "node:assert/strict"
import { Histogram, Registry } from "prom-client"

const registry = new Registry()
const buckets = [0.1, 1, 10]
const waits = [0.05, 0.05, 0.5, 5, 50]
const histogram = new Histogram({ name: "wait_seconds", help: "How long", buckets, registers: [registry] })
for (const wait of waits) histogram.observe(wait)

const text = await registry.metrics()
const lines = [...text.matchAll(/^wait_seconds_bucket\{le="(.+)"\} (\d+)$/gm)]
const cumulative = lines.map(([, limit, count]) => `${limit}: ${count}`)
const value = (name) => text.match(new RegExp(`^wait_seconds_${name} (.+)$`, "m"))[1]
const line = ({ bounds, buckets, count, sum }) =>
  `bounds ${bounds.join(" ") || "none"}, buckets ${buckets.join(" ")}, count ${count}, sum ${sum}`

const between = [...buckets, Infinity].map((bound, index) =>
  waits.filter((wait) => wait <= bound && wait > (buckets[index - 1] ?? -Infinity)).length
)
const Request = opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest
const sent = (written) => {
  const { resource_metrics: [{ scope_metrics: [{ metrics: [metric] }] }] } = Request.decode(encode(convert(written)))
  const [point] = metric.histogram.data_points
  const count = Number(point.count)
  return line({ bounds: point.explicit_bounds, buckets: point.bucket_counts.map(Number), count, sum: point.sum })
}
const seen = [
  `prom-client: ${cumulative.join(", ")}, count ${value("count")}, sum ${value("sum")}`,
  `right in OTLP: ${line({ bounds: buckets, buckets: between, count: value("count"), sum: value("sum") })}`,
  `from the registry: ${sent(await getFromRegistry({ registry }))}`,
  `from the text: ${sent(parse(text))}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "prom-client: 0.1: 2, 1: 3, 10: 4, +Inf: 5, count 5, sum 55.6",
  "right in OTLP: bounds 0.1 1 10, buckets 2 1 1 1, count 5, sum 55.6",
  "from the registry: bounds none, buckets 5, count 5, sum 55.6",
  "from the text: bounds none, buckets 5, count 5, sum 55.6"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
