#!/usr/bin/env bash
# effect/workflow: what stands in `ensuring`, `onError` or a release runs each time that the workflow waits.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a workflow reads like a program that goes on for days. What is acquired around a durable sleep is held
#            until it is over, `onError` hears of failures, and each of them runs once; in between the workflow waits.
# Happens:   to wait is to be interrupted: the run ends there, with all its finalizers, and a new run begins when the
#            wait is over. So a seat that is reserved around an approval is given up as soon as the approval is asked
#            for, and reserved again when it has come; an `onError` that tells somebody does so at each wait. None of
#            them can tell a wait from an interruption of the workflow. Activities are not concerned: they run once.
#            With the engine of the cluster it is the same.
# Setup:     a workflow that sleeps for two hours, a day and again two hours, in the memory engine, under the test
#            clock. The events, in order, until it waits for the first time, and how many there were at its end.
# Output:    until the first wait: activity, acquire, onError: interrupted, ensuring, release
#            in all: acquire 4, ensuring 4, release 4, onError: interrupted 3, activity 1
#            the workflow: succeeded
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Cause, Effect, Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Activity, DurableClock, Workflow, WorkflowEngine } from "effect/workflow"
import assert from "node:assert/strict"

const events = []
const note = (event) => Effect.sync(() => events.push(event))
const Order = Workflow.make("Order", { payload: { id: Schema.String }, idempotencyKey: ({ id }) => id })
const waits = Effect.forEach(
  [["first", "2 hours"], ["second", "1 day"], ["third", "2 hours"]],
  ([name, duration]) => DurableClock.sleep({ name, duration }),
  { discard: true }
).pipe(
  Effect.onError((cause) => note(`onError: ${Cause.hasInterruptsOnly(cause) ? "interrupted" : "failed"}`)),
  Effect.ensuring(note("ensuring"))
)
const order = Order.toLayer(Effect.fnUntraced(function*() {
  yield* Activity.make({ name: "Reserve", execute: note("activity") })
  yield* Effect.acquireUseRelease(note("acquire"), () => waits, () => note("release"))
}))
const program = Effect.gen(function*() {
  const id = yield* Order.execute({ id: "one" }, { discard: true })
  // The engine hashes ids, which takes a moment of real time.
  const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
  let result = yield* Order.poll(id)
  while (Option.isNone(result)) {
    yield* settle
    result = yield* Order.poll(id)
  }
  const untilTheFirstWait = events.join(", ")
  for (let hour = 0; hour < 200 && result.value._tag !== "Complete"; hour++) {
    yield* TestClock.adjust("1 hour")
    yield* settle
    result = yield* Order.poll(id)
  }
  const counts = ["acquire", "ensuring", "release", "onError: interrupted", "activity"].map((event) =>
    `${event} ${events.filter((other) => other === event).length}`
  )
  const end = result.value._tag === "Complete" ? result.value.exit._tag : "Waits"
  return [
    `until the first wait: ${untilTheFirstWait}`,
    `in all: ${counts.join(", ")}`,
    `the workflow: ${end === "Success" ? "succeeded" : end}`
  ]
})
const seen = await Effect.runPromise(program.pipe(
  Effect.scoped,
  Effect.provide(Layer.provideMerge(order, WorkflowEngine.layerMemory)),
  Effect.provide(TestClock.layer())
))
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "until the first wait: activity, acquire, onError: interrupted, ensuring, release",
  "in all: acquire 4, ensuring 4, release 4, onError: interrupted 3, activity 1",
  "the workflow: succeeded"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
