#!/usr/bin/env bash
# effect/persistence: an element of `PersistedQueue` that always times out never becomes a dead letter.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  `queue.take(handler).pipe(Effect.timeout("10 seconds"))` in a worker's loop: a handler that is too slow
#            has failed, and after `maxAttempts` the element is given up, as one whose handler fails is.
# Happens:   the timeout interrupts the take, and an interruption gives the attempt back, since a worker that is shut
#            down has not tried. So each attempt is the first one, without the pause between attempts, for as long as
#            the queue exists. A timeout around the handler, within `take`, is a failure and counts.
# Setup:     `maxAttempts: 3`, the memory store under the test clock, and one element whose handler takes a minute.
#            A worker takes eight times, ten minutes apart.
# Output:    take(handler) with a timeout: attempts 1 1 1 1 1 1 1 1
#            take(handler with a timeout): attempts 1 2 3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Fiber, Layer, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const limit = Effect.timeout("10 seconds")

const attemptsOf = (takeOf) =>
  Effect.gen(function*() {
    const queue = yield* PersistedQueue.make({ name: "jobs", schema: Schema.String, maxAttempts: 3 })
    yield* queue.offer("slow")
    const attempts = []
    const handler = (_, metadata) =>
      Effect.andThen(Effect.sync(() => attempts.push(metadata.attempts)), Effect.sleep("1 minute"))
    for (let i = 0; i < 8; i++) {
      const worker = yield* Effect.forkChild(Effect.exit(takeOf(queue, handler)))
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.interrupt(worker)
    }
    return attempts.join(" ")
  }).pipe(
    Effect.provide(Layer.provide(PersistedQueue.layer, PersistedQueue.layerStoreMemory)),
    Effect.provide(TestClock.layer())
  )

const around = await Effect.runPromise(attemptsOf((queue, handler) => limit(queue.take(handler))))
console.log(`take(handler) with a timeout: attempts ${around}`)
const within = await Effect.runPromise(
  attemptsOf((queue, handler) => queue.take((value, metadata) => limit(handler(value, metadata))))
)
console.log(`take(handler with a timeout): attempts ${within}`)
assert.deepEqual([around, within], ["1 1 1 1 1 1 1 1", "1 2 3"], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
