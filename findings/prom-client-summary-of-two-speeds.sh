#!/usr/bin/env bash
# prom-client: when 99 of 100 requests take 1 ms and one takes 5 s, the 0.9 quantile of a summary is 4 s.
#
# Versions:  prom-client 15.1.3, tdigest 0.1.3, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  the 0.9 quantile is a value below which 90 % of what was observed lies: 0.001. An estimate may be off by a
#            little, between observed values that are next to it in rank.
# Happens:   0.001 and 5 are two points for the t-digest beneath, and it draws a straight line from the middle of the
#            one to the middle of the other, over all ranks between, however many observations the first one stands
#            for. So half of the requests are "slower than 50 ms", and an alert on the 0.9 quantile above a second is
#            raised for one request in a hundred. It shows where a few values come again and again: times rounded to
#            milliseconds, sizes, hits and misses of a cache. A t-digest in its exact mode gives 0.001.
# Setup:     990 observations of 0.001 and 10 of 5, as a summary, and in a t-digest for discrete values.
# Output:    summary: 0.5 is 0.051, 0.9 is 4.050, 0.95 is 4.550, 0.98 is 4.850
#            discrete: 0.5 is 0.001, 0.9 is 0.001, 0.95 is 0.001, 0.98 is 0.001
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error prom-client@15.1.3 tdigest@0.1.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { Registry, Summary } from "prom-client"
import tdigest from "tdigest"

const percentiles = [0.5, 0.9, 0.95, 0.98]
const summary = new Summary({ name: "seconds", help: "for the finding", percentiles, registers: [new Registry()] })
const discrete = new tdigest.TDigest(false)
for (let n = 0; n < 1000; n++) {
  const seconds = n % 100 === 0 ? 5 : 0.001
  summary.observe(seconds)
  discrete.push(seconds)
}
const { values } = await summary.get()
const quantile = (wanted) => values.find(({ labels }) => labels.quantile === wanted).value
const line = (name, valueOf) =>
  `${name}: ${percentiles.map((wanted) => `${wanted} is ${valueOf(wanted).toFixed(3)}`).join(", ")}`
const seen = [line("summary", quantile), line("discrete", (wanted) => discrete.percentile(wanted))]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "summary: 0.5 is 0.051, 0.9 is 4.050, 0.95 is 4.550, 0.98 is 4.850",
  "discrete: 0.5 is 0.001, 0.9 is 0.001, 0.95 is 0.001, 0.98 is 0.001"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
