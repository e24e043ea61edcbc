#!/usr/bin/env bash
# opossum: one failure opens the breaker when it is the first call after a start or a quiet time.
#
# Versions:  opossum 9.0.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  `errorThresholdPercentage: 50` opens when more than half of the calls fail. A share needs some calls: one
#            that fails among few is no outage.
# Happens:   `volumeThreshold` is 0, so that a single failure as the only call of the last 10 s is a share of 100. All
#            calls are refused for the next 30 s. So it goes where calls are rare: a job of each minute, a service
#            that has just started, a quiet night. In a load test it does not show. `volumeThreshold: 5` helps.
# Setup:     a breaker for each line, with the defaults and 50; each letter is a call, in order: g is good, f fails.
# Output:    f: open
#            g f: closed
#            g g g f: closed
#            f g: second call refused
#            f g, volumeThreshold 5: second call answered
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error opossum@9.0.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import CircuitBreaker from "opossum"
import assert from "node:assert/strict"

const call = async (kind) => {
  if (kind === "f") throw new Error("fails")
  return "answered"
}
const run = async (calls, options) => {
  const breaker = new CircuitBreaker(call, { errorThresholdPercentage: 50, ...options })
  let last
  for (const kind of calls.split(" ")) {
    last = await breaker.fire(kind).catch(({ code }) => code === "EOPENBREAKER" ? "refused" : "failed")
  }
  const is = breaker.opened ? "open" : "closed"
  breaker.shutdown()
  return { is, last }
}
const seen = [
  `f: ${(await run("f")).is}`,
  `g f: ${(await run("g f")).is}`,
  `g g g f: ${(await run("g g g f")).is}`,
  `f g: second call ${(await run("f g")).last}`,
  `f g, volumeThreshold 5: second call ${(await run("f g", { volumeThreshold: 5 })).last}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "f: open",
  "g f: closed",
  "g g g f: closed",
  "f g: second call refused",
  "f g, volumeThreshold 5: second call answered"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
