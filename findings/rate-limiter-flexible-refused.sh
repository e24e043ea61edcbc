#!/usr/bin/env bash
# rate-limiter-flexible: a request that is refused uses up what is left, and is counted as the accepted ones are.
#
# Versions:  rate-limiter-flexible 11.4.0, limiter 4.1.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a limit of 10 points lets 10 through. What is refused was not done, so it takes none of them, and a
#            smaller request behind it may still go.
# Happens:   points are taken first and looked at then. A batch of 8 when 5 are left is refused and takes the 5 all
#            the same; single calls are refused until the time is over, and nothing was done for what was taken. A
#            client that splits a refused batch, as it should, gets nothing through. The number of points taken, where
#            somebody shows or bills it, is above the limit. `get` before, or `reward` after a refusal, helps.
# Setup:     10 points a minute. Each line has requests in order, by their points.
# Output:    rate-limiter-flexible: 5 ok, 8 refused, 1 refused, taken 14
#            rate-limiter-flexible, reward after a refusal: 5 ok, 8 refused, 1 ok, taken 6
#            limiter: 5 ok, 8 refused, 1 ok
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rate-limiter-flexible@11.4.0 limiter@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { RateLimiter } from "limiter"
import assert from "node:assert/strict"
import { RateLimiterMemory } from "rate-limiter-flexible"

const requests = [5, 8, 1]
const withFlexible = async (isGivenBack) => {
  const limit = new RateLimiterMemory({ points: 10, duration: 60 })
  const found = []
  for (const points of requests) {
    const isOk = await limit.consume("client", points).then(() => true, () => false)
    if (!isOk && isGivenBack) await limit.reward("client", points)
    found.push(`${points} ${isOk ? "ok" : "refused"}`)
  }
  return `${found.join(", ")}, taken ${(await limit.get("client")).consumedPoints}`
}
const other = new RateLimiter({ tokensPerInterval: 10, interval: "minute" })
const seen = [
  `rate-limiter-flexible: ${await withFlexible(false)}`,
  `rate-limiter-flexible, reward after a refusal: ${await withFlexible(true)}`,
  `limiter: ${requests.map((points) => `${points} ${other.tryRemoveTokens(points) ? "ok" : "refused"}`).join(", ")}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "rate-limiter-flexible: 5 ok, 8 refused, 1 refused, taken 14",
  "rate-limiter-flexible, reward after a refusal: 5 ok, 8 refused, 1 ok, taken 6",
  "limiter: 5 ok, 8 refused, 1 ok"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
