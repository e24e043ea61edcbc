#!/usr/bin/env bash
# OpenTelemetry for JavaScript: in OTLP an attribute is an integer or a floating point number by its value.
#
# Versions:  @opentelemetry/otlp-transformer 0.223.1, @opentelemetry/sdk-trace-base 2.12.1, @opentelemetry/sdk-metrics
#            2.12.1, @opentelemetry/api 1.9.1, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  an attribute has one type. JavaScript has one kind of number, which is a double, and so is the attribute;
#            metrics ask for the type (`ValueType`) for this reason.
# Happens:   a number without a fraction is `intValue`, any other `doubleValue`. The duration of a call, in
#            milliseconds, has both types within one service and within one array, and a store with a column for each
#            type has two attributes of that name. 1e20 is an `intValue` too, though 64 bits do not hold it. NaN is
#            null, which in this format is no value at all. Rounding before helps.
# Setup:     a span and a gauge, as they are sent as JSON.
# Output:    2: {"intValue":2}
#            2.5: {"doubleValue":2.5}
#            [2,2.5]: {"arrayValue":{"values":[{"intValue":2},{"doubleValue":2.5}]}}
#            1e20: {"intValue":100000000000000000000}
#            NaN: {"doubleValue":null}
#            gauge 2: {"asDouble":2}
#            gauge NaN: {"asDouble":null}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  @opentelemetry/api@1.9.1 @opentelemetry/sdk-metrics@2.12.1 @opentelemetry/sdk-trace-base@2.12.1 \
  @opentelemetry/otlp-transformer@0.223.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { JsonMetricsSerializer, JsonTraceSerializer } from "@opentelemetry/otlp-transformer"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import assert from "node:assert/strict"

const json = (bytes) => JSON.parse(new TextDecoder().decode(bytes), (_, value, context) =>
  value === 1e20 ? JSON.rawJSON(context.source) : value)

const values = { "2": 2, "2.5": 2.5, "[2,2.5]": [2, 2.5], "1e20": 1e20, NaN: Number.NaN }
const spans = new InMemorySpanExporter()
const span = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).getTracer("store")
  .startSpan("call")
for (const [name, value] of Object.entries(values)) span.setAttribute(name, value)
span.end()
const { attributes } = json(JsonTraceSerializer.serializeRequest(spans.getFinishedSpans()))
  .resourceSpans[0].scopeSpans[0].spans[0]

const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 1e9 })
const meters = new MeterProvider({ readers: [reader] })
const gauge = meters.getMeter("store").createGauge("lag")
for (const [of, value] of [["2", 2], ["NaN", Number.NaN]]) gauge.record(value, { of })
await reader.forceFlush()
const points = json(JsonMetricsSerializer.serializeRequest(metrics.getMetrics()[0]))
  .resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints
await meters.shutdown()

const seen = [
  ...attributes.map(({ key, value }) => `${key}: ${JSON.stringify(value)}`),
  ...points.map(({ attributes: [of], asDouble }) => `gauge ${of.value.stringValue}: ${JSON.stringify({ asDouble })}`)
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  '2: {"intValue":2}',
  '2.5: {"doubleValue":2.5}',
  '[2,2.5]: {"arrayValue":{"values":[{"intValue":2},{"doubleValue":2.5}]}}',
  '1e20: {"intValue":100000000000000000000}',
  'NaN: {"doubleValue":null}',
  'gauge 2: {"asDouble":2}',
  'gauge NaN: {"asDouble":null}'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
