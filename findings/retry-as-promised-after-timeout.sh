#!/usr/bin/env bash
# retry-as-promised: a timeout is not tried again, and behind the caller who was told of it the tries go on.
#
# Versions:  retry-as-promised 7.1.1, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `timeout` limits one try or all of them. In the first case a try that takes too long is one that failed,
#            and the next one is made; in the second all is over when the promise is rejected with `TimeoutError`.
# Happens:   neither. Each try has the whole timeout for itself, and the first one that reaches it rejects the promise,
#            of however many tries; `match: TimeoutError` makes no difference. The try that was too slow is still
#            listened to: when it fails later, the next ones are made, and their result goes nowhere. So a caller that
#            was told "timed out" and does something else is followed by the write that it has given up.
# Setup:     up to 4 tries of 100 ms at most. The first fails after 50 ms, the second after 300 ms, the third succeeds.
# Output:    try 1, try 2, the caller: TimeoutError, try 3, written
#            with match: try 1, try 2, the caller: TimeoutError, try 3, written
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error retry-as-promised@7.1.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"
import retrying from "retry-as-promised"

const { retryAsPromised, TimeoutError } = retrying
const look = async (options) => {
  const events = []
  const write = async ({ current }) => {
    events.push(`try ${current}`)
    if (current === 3) {
      events.push("written")
      return "written"
    }
    await sleep(current === 1 ? 50 : 300)
    throw new Error("not reachable")
  }
  const call = retryAsPromised(write, { max: 4, timeout: 100, backoffBase: 10, ...options })
  await call.then((value) => events.push(`the caller: ${value}`), (error) => events.push(`the caller: ${error.name}`))
  await sleep(500)
  return events.join(", ")
}
const seen = [
  await look({}),
  `with match: ${await look({ match: [TimeoutError, Error] })}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "try 1, try 2, the caller: TimeoutError, try 3, written",
  "with match: try 1, try 2, the caller: TimeoutError, try 3, written"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
