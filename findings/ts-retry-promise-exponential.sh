#!/usr/bin/env bash
# ts-retry-promise: with "EXPONENTIAL" the pauses are the powers of the delay: 100 ms, 10 s, then minutes.
#
# Versions:  ts-retry-promise 0.8.1, exponential-backoff 3.1.3, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `delay: 100, backoff: "EXPONENTIAL"` begins with 100 ms and doubles: 100, 200, 400, 800, as
#            exponential-backoff does, and others that have a base and a factor.
# Happens:   the delay is the base of the power, in milliseconds. The second pause of 100 ms is 10 s, the third would be
#            1000 s and is cut off at the 5 minutes of `maxBackOff`, by when the timeout of a minute for all tries, the
#            default, has ended it: of 10 retries two are made. A delay of 2 waits for 2, 4, 8 ms, and one of 1 does not
#            grow at all.
# Setup:     calls that fail, with timers that are over at once and note how long they were to be.
# Output:    delay 100: 100, 10000, 300000, 300000
#            delay 2: 2, 4, 8, 16
#            delay 1: 1, 1, 1, 1
#            exponential-backoff, 100: 100, 200, 400, 800
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error ts-retry-promise@0.8.1 exponential-backoff@3.1.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import exponential from "exponential-backoff"
import assert from "node:assert/strict"
import { retry } from "ts-retry-promise"

// The timeout over all tries is given as a number that no pause has, and left out.
const wholeTime = 12_345_678
const { setTimeout: realTimeout } = globalThis
let pauses = []
globalThis.setTimeout = (run, length) => {
  if (length === wholeTime) return realTimeout(() => {}, 0)
  pauses.push(length)
  return realTimeout(run, 0)
}
const fail = () => Promise.reject(new Error("not reachable"))
const look = async (what, call) => {
  pauses = []
  await assert.rejects(call)
  return `${what}: ${pauses.slice(0, 4).join(", ")}`
}
const exponentially = (delay) => () => retry(fail, { backoff: "EXPONENTIAL", delay, retries: 4, timeout: wholeTime })
const seen = [
  await look("delay 100", exponentially(100)),
  await look("delay 2", exponentially(2)),
  await look("delay 1", exponentially(1)),
  await look("exponential-backoff, 100", () => exponential.backOff(fail, { numOfAttempts: 5 }))
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "delay 100: 100, 10000, 300000, 300000",
  "delay 2: 2, 4, 8, 16",
  "delay 1: 1, 1, 1, 1",
  "exponential-backoff, 100: 100, 200, 400, 800"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
