#!/usr/bin/env bash
# effect/persistence: the fixed window of `RateLimiter` is as long as the tokens taken so far, not as its `window`.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  "fixed-window" with a limit of 10 and a window of a minute: the window begins with the first token and ends
#            a minute later, and `resetAfter` counts down to that.
# Happens:   each token taken makes the window window/limit longer. It ends 6 s after a lone token, and only a caller
#            that takes all ten has a window of a minute. A `resetAfter` shown to callers goes up while they call.
# Setup:     the memory store under the test clock, which stands still.
# Output:    after 1 token: 9 left, the window of 60 s ends in 6 s
#            after 5 tokens: 5 left, the window of 60 s ends in 30 s
#            after 10 tokens: 0 left, the window of 60 s ends in 60 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Duration, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const program = Effect.gen(function*() {
  const limiter = yield* RateLimiter.RateLimiter
  const seen = []
  for (let taken = 1; taken <= 10; taken++) {
    const { remaining, resetAfter } = yield* limiter.consume({
      algorithm: "fixed-window",
      window: "1 minute",
      limit: 10,
      key: "caller"
    })
    seen.push([taken, remaining, Duration.toSeconds(resetAfter)])
  }
  return [seen[0], seen[4], seen[9]]
})

const seen = await Effect.runPromise(program.pipe(
  Effect.provide(Layer.provide(RateLimiter.layer, RateLimiter.layerStoreMemory)),
  Effect.provide(TestClock.layer())
))
for (const [taken, left, seconds] of seen) {
  console.log(`after ${taken} token${taken > 1 ? "s" : ""}: ${left} left, the window of 60 s ends in ${seconds} s`)
}
assert.deepEqual(seen, [[1, 9, 6], [5, 5, 30], [10, 0, 60]], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
