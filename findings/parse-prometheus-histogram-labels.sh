#!/usr/bin/env bash
# parse-prometheus-text-format: of a histogram with labels only the last series is left, without labels and count.
#
# Versions:  parse-prometheus-text-format 1.1.1, prom-client 15.1.3, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a histogram with a label is several series, each with its buckets, sum and count, as a counter with a label
#            is several values. A parser gives all of them.
# Happens:   the buckets of all series go into one object by their bound, so that those of the last series in the text
#            are what is left. Its labels are gone, and no series has a sum or a count. The same holds for a summary
#            and its quantiles. There is no error, and a histogram without labels is right. A check that reads the
#            latency of `write` gets that of whatever comes last.
# Setup:     prom-client writes a histogram, a counter and a summary that have one label, and a histogram without.
# Output:    op_seconds: [{"buckets":{"1":"0","+Inf":"2"}}]
#            op_total: [{"value":"1","labels":{"op":"write"}},{"value":"2","labels":{"op":"read"}}]
#            wait_seconds: [{"quantiles":{"0.5":"7"}}]
#            plain_seconds: [{"buckets":{"1":"1","+Inf":"1"},"count":"1","sum":"0.5"}]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  parse-prometheus-text-format@1.1.1 prom-client@15.1.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import parse from "parse-prometheus-text-format"
import { Counter, Histogram, Registry, Summary } from "prom-client"

const registry = new Registry()
const registers = [registry]
const help = "for the finding"
const seconds = new Histogram({ name: "op_seconds", help, labelNames: ["op"], buckets: [1], registers })
const total = new Counter({ name: "op_total", help, labelNames: ["op"], registers })
const wait = new Summary({ name: "wait_seconds", help, labelNames: ["op"], percentiles: [0.5], registers })
const plain = new Histogram({ name: "plain_seconds", help, buckets: [1], registers })
seconds.observe({ op: "write" }, 0.5)
seconds.observe({ op: "read" }, 7)
seconds.observe({ op: "read" }, 8)
total.inc({ op: "write" })
total.inc({ op: "read" }, 2)
wait.observe({ op: "write" }, 0.5)
wait.observe({ op: "read" }, 7)
plain.observe(0.5)

const seen = parse(await registry.metrics()).map(({ metrics, name }) => `${name}: ${JSON.stringify(metrics)}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'op_seconds: [{"buckets":{"1":"0","+Inf":"2"}}]',
  'op_total: [{"value":"1","labels":{"op":"write"}},{"value":"2","labels":{"op":"read"}}]',
  'wait_seconds: [{"quantiles":{"0.5":"7"}}]',
  'plain_seconds: [{"buckets":{"1":"1","+Inf":"1"},"count":"1","sum":"0.5"}]'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
