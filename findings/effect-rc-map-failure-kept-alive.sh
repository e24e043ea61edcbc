#!/usr/bin/env bash
# effect: who tries again to get what could not be acquired from an `RcMap` keeps the failure alive by that.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `idleTimeToLive` keeps a connection open for a minute after its last user, so that the next one need not
#            open it again. A connection that could not be opened is none: the next try opens one.
# Happens:   the failure is an entry like any other. Who gets it is a user of it, and gives it back at once, from when
#            it is kept for a minute more: tries that come more often than that get the same failure for ever, without
#            one look at the server, which has been back for long. Only who stops trying, for longer than the time to
#            live, gets a connection, or who calls `RcMap.invalidate` on a failure. Without a time to live a try that
#            follows another one is a new one. `LayerMap` stands on it, and keeps layers that failed to build.
# Setup:     a server that is down for the first try only, under the test clock: tries each 30 s for an hour.
# Output:    time to live of a minute: 120 of 120 tries failed, the server was asked 1 time
#            after a pause of two minutes: connected, the server was asked 2 times
#            with invalidate on failures: 1 of 120 tries failed, the server was asked 2 times
#            without a time to live: 1 of 120 tries failed, the server was asked 120 times
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Exit, RcMap } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const times = (count) => `${count} time${count === 1 ? "" : "s"}`
const look = Effect.fnUntraced(function*(what, { idleTimeToLive, invalidate }) {
  let asked = 0
  const connect = Effect.suspend(() => {
    asked++
    return asked === 1 ? Effect.fail("down") : Effect.succeed("a connection")
  })
  const connections = yield* RcMap.make({ lookup: (_address) => connect, idleTimeToLive })
  const tryOnce = RcMap.get(connections, "10.0.0.1").pipe(
    Effect.scoped,
    invalidate ? Effect.tapError(() => RcMap.invalidate(connections, "10.0.0.1")) : (effect) => effect,
    Effect.exit
  )
  let failed = 0
  for (let attempt = 0; attempt < 120; attempt++) {
    if (Exit.isFailure(yield* tryOnce)) failed++
    yield* TestClock.adjust("30 seconds")
  }
  const lines = [`${what}: ${failed} of 120 tries failed, the server was asked ${times(asked)}`]
  if (failed === 120) {
    yield* TestClock.adjust("2 minutes")
    const after = Exit.isSuccess(yield* tryOnce) ? "connected" : "failed"
    lines.push(`after a pause of two minutes: ${after}, the server was asked ${times(asked)}`)
  }
  return lines
})
const seen = await Effect.runPromise(
  Effect.all([
    look("time to live of a minute", { idleTimeToLive: "1 minute", invalidate: false }),
    look("with invalidate on failures", { idleTimeToLive: "1 minute", invalidate: true }),
    look("without a time to live", { idleTimeToLive: 0, invalidate: false })
  ]).pipe(Effect.map((lines) => lines.flat()), Effect.scoped, Effect.provide(TestClock.layer()))
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "time to live of a minute: 120 of 120 tries failed, the server was asked 1 time",
  "after a pause of two minutes: connected, the server was asked 2 times",
  "with invalidate on failures: 1 of 120 tries failed, the server was asked 2 times",
  "without a time to live: 1 of 120 tries failed, the server was asked 120 times"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
