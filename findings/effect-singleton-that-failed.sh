#!/usr/bin/env bash
# effect/cluster: a singleton that fails once is gone, and nothing is logged about it at any level.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a singleton is what runs in one place of the cluster at any time. One that fails is started again, here or
#            elsewhere, as an entity is whose handler dies; or the runner that lost it says so.
# Happens:   its fiber ends, and that is all. The runner keeps the shard, so that no other runner starts it; it comes
#            back when the shard changes hands, at the next deployment perhaps. Nothing tells of the failure. To log it
#            (`Effect.tapCause`), and to go on (`Effect.retry`), is the caller's part.
# Setup:     a singleton that works for a minute and then fails, an hour under the test clock, one runner whose storages
#            stay; then the runner is replaced. Lines of the log that hold the failure are counted, at all levels.
# Output:    fails: begins 1 time within an hour, lines logged 0, with the next runner once more
#            fails, Effect.tapCause: begins 1 time within an hour, lines logged 1, with the next runner once more
#            fails, Effect.retry: begins 60 times within an hour, lines logged 0, with the next runner once more
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Clock, Effect, Exit, Layer, Logger, References, Scope } from "effect"
import {
  MessageStorage,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig,
  Singleton
} from "effect/cluster"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"
import { inspect } from "node:util"

const seconds = (count) =>
  Effect.gen(function*() {
    for (let i = 0; i < count; i++) yield* TestClock.adjust("1 second")
  })

const failure = "the database was away"
const look = (what, around) => {
  const begins = []
  let lines = 0
  const log = Logger.make(({ cause, message }) => {
    if (inspect([cause, message], { depth: 10 }).includes(failure)) lines++
  })
  const work = Effect.gen(function*() {
    begins.push((yield* Clock.currentTimeMillis) / 1000)
    yield* Effect.sleep("1 minute")
    return yield* Effect.fail(failure)
  })
  return Effect.gen(function*() {
    const storages = yield* Layer.build(
      Layer.provide(Layer.mergeAll(MessageStorage.layerMemory, RunnerStorage.layerMemory), ShardingConfig.layer())
    )
    const runner = Singleton.make("mailer", around(work)).pipe(
      Layer.provide(Sharding.layer),
      Layer.provide([Runners.layerNoop, RunnerHealth.layerNoop]),
      Layer.provide([ShardingConfig.layer(), Layer.succeedContext(storages)])
    )
    const close = Effect.fnUntraced(function*(scope) {
      yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* seconds(20)
    })
    let scope = yield* Scope.make()
    yield* Layer.buildWithScope(runner, scope)
    yield* seconds(3599)
    const times = begins.length === 1 ? "1 time" : `${begins.length} times`
    const logged = lines
    yield* close(scope)
    scope = yield* Scope.make()
    yield* Layer.buildWithScope(Layer.fresh(runner), scope)
    yield* seconds(10)
    const again = begins.at(-1) > 3600 ? "once more" : "not again"
    yield* close(scope)
    return `${what}: begins ${times} within an hour, lines logged ${logged}, with the next runner ${again}`
  }).pipe(
    Effect.scoped,
    Effect.provide([TestClock.layer(), Logger.layer([log])]),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
}

const seen = [
  await Effect.runPromise(look("fails", (work) => work)),
  await Effect.runPromise(look("fails, Effect.tapCause", Effect.tapCause((cause) => Effect.logError(cause)))),
  await Effect.runPromise(look("fails, Effect.retry", Effect.retry({ times: Infinity })))
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "fails: begins 1 time within an hour, lines logged 0, with the next runner once more",
  "fails, Effect.tapCause: begins 1 time within an hour, lines logged 1, with the next runner once more",
  "fails, Effect.retry: begins 60 times within an hour, lines logged 0, with the next runner once more"
], "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
