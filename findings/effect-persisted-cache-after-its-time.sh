#!/usr/bin/env bash
# effect/persistence: `PersistedCache` answers for 10 s with what its `timeToLive` says is over, or never to be kept.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  `timeToLive` says how long a result is given out. One second for a success is one second, and zero for a
#            failure is the usual way to keep no failures: the next call looks it up again.
# Happens:   it rules the persisted copy only. Another copy in the memory of the process, in front of that one, has a
#            time of its own (`inMemoryTTL`), and its default is 10 s for every result, however short `timeToLive` is.
#            That copy also keeps the failures that were not to be kept at all.
# Setup:     a look-up that fails the first time and then succeeds, asked once a second under the test clock.
# Output:    timeToLive: success 1 s, failure 0
#            looked up at 0 s: failure, given out until 10 s
#            looked up at 10 s: success, given out until 20 s
#            with the same function as inMemoryTTL: failure until 1 s, success until 2 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Exit, Schema } from "effect"
import { Persistable, PersistedCache, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

class Price extends Persistable.Class()("Price", {
  primaryKey: () => "price",
  success: Schema.Number,
  error: Schema.String
}) {}

const timeToLive = (exit) => Exit.isSuccess(exit) ? "1 second" : 0

/** Asks once a second, and tells at which seconds the first three look-ups were made. */
const look = (options) =>
  Effect.gen(function*() {
    const lookUps = []
    let second = 0
    const lookUp = () =>
      Effect.suspend(() => lookUps.push(second) === 1 ? Effect.fail("not now") : Effect.succeed(lookUps.length))
    const cache = yield* PersistedCache.make(lookUp, { storeId: "prices", timeToLive, ...options })
    for (; lookUps.length < 3 && second < 60; second++) {
      yield* Effect.exit(cache.get(new Price()))
      yield* TestClock.adjust("1 second")
    }
    return lookUps
  }).pipe(Effect.scoped, Effect.provide(Persistence.layerMemory), Effect.provide(TestClock.layer()))

const [failed, succeeded, again] = await Effect.runPromise(look({}))
console.log("timeToLive: success 1 s, failure 0")
console.log(`looked up at ${failed} s: failure, given out until ${succeeded} s`)
console.log(`looked up at ${succeeded} s: success, given out until ${again} s`)
const same = await Effect.runPromise(look({ inMemoryTTL: timeToLive }))
console.log(`with the same function as inMemoryTTL: failure until ${same[1]} s, success until ${same[2]} s`)
assert.deepEqual([failed, succeeded, again], [0, 10, 20], "the behaviour has changed")
assert.deepEqual(same, [0, 1, 2], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
