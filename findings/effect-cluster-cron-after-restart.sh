#!/usr/bin/env bash
# effect/cluster: after a restart, a `ClusterCron` whose job outlasts its interval runs twice at a time, for good.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  a cron job of a cluster runs in one place. When a run takes longer than the interval, the next one waits
#            or is left out, and this stays so whatever happens to the runner.
# Happens:   without a restart that is what it does: the next run is planned when a run ends. A runner that starts
#            plans one as well, since it cannot see whether a run is under way; the run that was cut off is run again
#            and plans its own successor. From then on there are two series of runs, a minute apart. They
#            overlap, and nothing brings them together again. `calculateNextRunFromPrevious: true` keeps one.
# Setup:     a job of 90 s, every minute, under the test clock, with one runner and storages that outlive it. Its first
#            run begins at 60 s; the restart is at 100 s.
# Output:    no restart: begins at 60 180 300 420 540 s, at most 1 at a time
#            restart: begins at 60 120 180 240 300 360 420 480 540 s, at most 2 at a time
#            restart, calculateNextRunFromPrevious: begins at 60 120 210 300 390 480 s, at most 1 at a time
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Clock, Cron, Effect, Exit, Layer, References, Scope } from "effect"
import {
  ClusterCron,
  MessageStorage,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig
} from "effect/cluster"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const seconds = (count) =>
  Effect.gen(function*() {
    for (let i = 0; i < count; i++) yield* TestClock.adjust("1 second")
  })

const look = (what, { restart, ...options }) =>
  Effect.gen(function*() {
    const begins = []
    let running = 0
    let most = 0
    const job = Effect.gen(function*() {
      begins.push((yield* Clock.currentTimeMillis) / 1000)
      most = Math.max(most, ++running)
      yield* Effect.ensuring(Effect.sleep("90 seconds"), Effect.sync(() => running--))
    })
    const storages = yield* Layer.build(
      Layer.provide(Layer.mergeAll(MessageStorage.layerMemory, RunnerStorage.layerMemory), ShardingConfig.layer())
    )
    const runner = ClusterCron.make({
      name: "report",
      cron: Cron.parseUnsafe("0 * * * * *"),
      execute: job,
      ...options
    }).pipe(
      Layer.provide(Sharding.layer),
      Layer.provide([Runners.layerNoop, RunnerHealth.layerNoop]),
      Layer.provide([ShardingConfig.layer(), Layer.succeedContext(storages)])
    )
    // Ends as a process that is told to does, which waits some seconds for what is running.
    const close = Effect.fnUntraced(function*(scope) {
      yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* seconds(20)
    })
    let scope = yield* Scope.make()
    yield* Layer.buildWithScope(runner, scope)
    yield* seconds(100)
    if (restart) {
      yield* close(scope)
      scope = yield* Scope.make()
      yield* Layer.buildWithScope(Layer.fresh(runner), scope)
    }
    yield* seconds(545 - (yield* Clock.currentTimeMillis) / 1000)
    console.log(`${what}: begins at ${begins.join(" ")} s, at most ${most} at a time`)
    yield* close(scope)
    return most
  }).pipe(
    Effect.scoped,
    Effect.provide(TestClock.layer()),
    Effect.provideService(References.MinimumLogLevel, "None")
  )

const most = [
  await Effect.runPromise(look("no restart", { restart: false })),
  await Effect.runPromise(look("restart", { restart: true })),
  await Effect.runPromise(
    look("restart, calculateNextRunFromPrevious", { restart: true, calculateNextRunFromPrevious: true })
  )
]
assert.deepEqual(most, [1, 2, 1], "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
