#!/usr/bin/env bash
# effect: `Cache.refresh` that is under way puts its old value back after an `invalidate` or a `set`.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  after a write to the database and `Cache.invalidate`, nobody gets the value before it. What a lookup that
#            began earlier still brings goes to those who wait for it, and is not kept: so it is with `Cache.get`.
# Happens:   `refresh` of a key that is cached keeps its lookup to itself and stores the result when it ends, without a
#            look at what became of the key. An `invalidate` or a `set` in between is undone, and the value from before
#            the write is given out for the whole time to live. Caches that are refreshed in the background and
#            invalidated on writes are where both are used.
# Setup:     a lookup that reads the database at its begin and takes a second, a time to live of an hour, under the test
#            clock. While it is under way the database changes from "old" to "new". Looked at half an hour later.
# Output:    get, then invalidate: new, 2 lookups
#            refresh, then invalidate: old, 2 lookups
#            refresh, then set: old, 2 lookups
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Cache, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const look = Effect.fnUntraced(function*(what, { fill, read, change }) {
  let database = "old"
  let lookups = 0
  const cache = yield* Cache.make({
    capacity: 10,
    timeToLive: "1 hour",
    lookup: () =>
      Effect.suspend(() => {
        lookups++
        return Effect.succeed(database).pipe(Effect.delay("1 second"))
      })
  })
  const ended = (effect) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      return yield* Fiber.join(fiber)
    })
  if (fill) yield* ended(Cache.get(cache, "key"))
  const underWay = yield* Effect.forkChild(read(cache, "key"), { startImmediately: true })
  database = "new"
  yield* change(cache)
  yield* TestClock.adjust("1 second")
  yield* Fiber.await(underWay)
  yield* TestClock.adjust("30 minutes")
  return `${what}: ${yield* ended(Cache.get(cache, "key"))}, ${lookups} lookups`
})
const invalidate = (cache) => Cache.invalidate(cache, "key")
const set = (cache) => Cache.set(cache, "key", "new")

const seen = await Effect.runPromise(
  Effect.all([
    look("get, then invalidate", { fill: false, read: Cache.get, change: invalidate }),
    look("refresh, then invalidate", { fill: true, read: Cache.refresh, change: invalidate }),
    look("refresh, then set", { fill: true, read: Cache.refresh, change: set })
  ]).pipe(Effect.provide(TestClock.layer()))
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "get, then invalidate: new, 2 lookups",
  "refresh, then invalidate: old, 2 lookups",
  "refresh, then set: old, 2 lookups"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
