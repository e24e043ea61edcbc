#!/usr/bin/env bash
# effect: a `Cache.refresh` that fails takes the good value away and keeps the failure in its place.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a refresh in the background is there so that readers have the last good value while the source is slow or
#            down. When the lookup fails, the caller of `refresh` hears of it, and readers go on with what is cached
#            until its time is over; `Resource.refresh` of the same library does so.
# Happens:   readers have the old value while the lookup runs, and from its failure on the failure, for the whole time
#            to live of a value, though the source is back a moment later. So one lost request of the refresh makes an
#            hour without the value, where no refresh at all had kept it. A `timeToLive` that goes by the exit and is
#            zero for a failure does not keep the failure, and drops the value as well.
# Setup:     a value that is cached for an hour; after a minute the source is down for one lookup, in which it is
#            refreshed. Under the test clock.
# Output:    during the refresh: the value
#            right after it: the failure
#            58 minutes after it: the failure, 2 lookups
#            with no time to live for failures: the value, 3 lookups
#            Resource: the value
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Cache, Effect, Exit, Fiber, Resource } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const name = (exit) => Exit.isSuccess(exit) ? exit.value : "the failure"
const ended = (effect) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.exit(effect), { startImmediately: true })
    yield* TestClock.adjust("1 second")
    return name(yield* Fiber.join(fiber))
  })
const source = () => {
  const state = { down: false, lookups: 0 }
  const lookup = Effect.suspend(() => {
    state.lookups++
    return (state.down ? Effect.fail("down") : Effect.succeed("the value")).pipe(Effect.delay("1 second"))
  })
  return { state, lookup }
}
// Fills a cache, fails to refresh it, and gives what readers get during it and after it.
const look = Effect.fnUntraced(function*(timeToLive) {
  const { lookup, state } = source()
  const cache = yield* Cache.makeWith(() => lookup, { capacity: 10, timeToLive })
  yield* ended(Cache.get(cache, "key"))
  yield* TestClock.adjust("1 minute")
  state.down = true
  const refresh = yield* Effect.forkChild(Effect.exit(Cache.refresh(cache, "key")), { startImmediately: true })
  const during = yield* ended(Cache.get(cache, "key"))
  yield* Fiber.await(refresh)
  state.down = false
  const after = yield* ended(Cache.get(cache, "key"))
  yield* TestClock.adjust("58 minutes")
  const later = yield* ended(Cache.get(cache, "key"))
  return { during, after, later, lookups: state.lookups }
})
const program = Effect.gen(function*() {
  const hour = yield* look(() => "1 hour")
  const none = yield* look((exit) => Exit.isSuccess(exit) ? "1 hour" : 0)
  const { lookup, state } = source()
  const fiber = yield* Effect.forkChild(Resource.manual(lookup), { startImmediately: true })
  yield* TestClock.adjust("1 second")
  const resource = yield* Fiber.join(fiber)
  state.down = true
  yield* ended(Resource.refresh(resource))
  return [
    `during the refresh: ${hour.during}`,
    `right after it: ${hour.after}`,
    `58 minutes after it: ${hour.later}, ${hour.lookups} lookups`,
    `with no time to live for failures: ${none.after}, ${none.lookups} lookups`,
    `Resource: ${name(yield* Effect.exit(Resource.get(resource)))}`
  ]
})

const seen = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(TestClock.layer())))
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "during the refresh: the value",
  "right after it: the failure",
  "58 minutes after it: the failure, 2 lookups",
  "with no time to live for failures: the value, 3 lookups",
  "Resource: the value"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
