#!/usr/bin/env bash
# effect/workflow: a `DurableClock.sleep` of up to a minute begins from the start whenever its runner does.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  a durable sleep notes when it ends, so that one of 60 s is over 60 s later, however often the process is
#            replaced, as one of 61 s is over after 61 s.
# Happens:   up to `inMemoryThreshold`, 60 s by default, nothing is noted but the workflow itself: the sleep is a
#            running activity, and begins again on the next runner. Under deployments or failures that come more often
#            than it is long, it never ends. `inMemoryThreshold: 0` makes a short one durable.
# Setup:     workflows that sleep, under the test clock, on a runner that is replaced every 40 s; storages stay. After
#            each replacement it looks whether the sleep is over, eight times.
# Output:    60 s: not over after 320 s
#            61 s: over by 80 s
#            60 s, inMemoryThreshold 0: over by 80 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Clock, Effect, Exit, Layer, References, Schema, Scope } from "effect"
import {
  ClusterWorkflowEngine,
  MessageStorage,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig
} from "effect/cluster"
import { TestClock } from "effect/testing"
import { DurableClock, Workflow } from "effect/workflow"
import assert from "node:assert/strict"

const look = (what, sleep) =>
  Effect.gen(function*() {
    let over = false
    const Wait = Workflow.make("Wait", { payload: { id: Schema.String }, idempotencyKey: ({ id }) => id })
    const wait = Wait.toLayer(Effect.fnUntraced(function*() {
      yield* DurableClock.sleep({ name: "Pause", ...sleep })
      over = true
    }))
    const storages = yield* Layer.build(
      Layer.provide(Layer.mergeAll(MessageStorage.layerMemory, RunnerStorage.layerMemory), ShardingConfig.layer())
    )
    const config = ShardingConfig.layer({ entityTerminationTimeout: 0 })
    const runner = Layer.provideMerge(wait, ClusterWorkflowEngine.layer).pipe(
      Layer.provide(Sharding.layer),
      Layer.provide([Runners.layerNoop, RunnerHealth.layerNoop]),
      Layer.provide([config, Layer.succeedContext(storages)])
    )
    for (let replaced = 0; replaced < 8 && !over; replaced++) {
      const scope = yield* Scope.make()
      const services = yield* Layer.buildWithScope(Layer.fresh(runner), scope)
      yield* Effect.provideContext(Wait.execute({ id: "one" }, { discard: true }), services)
      for (let second = 0; second < 40; second++) {
        // the engine hashes ids, which takes a moment of real time
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
        yield* TestClock.adjust("1 second")
      }
      yield* Scope.close(scope, Exit.void)
    }
    const now = (yield* Clock.currentTimeMillis) / 1000
    const line = `${what}: ${over ? "over by" : "not over after"} ${now} s`
    console.log(line)
    return line
  }).pipe(
    Effect.scoped,
    Effect.provide(TestClock.layer()),
    Effect.provideService(References.MinimumLogLevel, "None")
  )

const seen = [
  await Effect.runPromise(look("60 s", { duration: "60 seconds" })),
  await Effect.runPromise(look("61 s", { duration: "61 seconds" })),
  await Effect.runPromise(look("60 s, inMemoryThreshold 0", { duration: "60 seconds", inMemoryThreshold: 0 }))
]
assert.deepEqual(seen, [
  "60 s: not over after 320 s",
  "61 s: over by 80 s",
  "60 s, inMemoryThreshold 0: over by 80 s"
], "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
