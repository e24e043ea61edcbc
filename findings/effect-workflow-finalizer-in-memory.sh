#!/usr/bin/env bash
# effect/workflow: in the memory engine a `Workflow.addFinalizer` runs once for each wait more, and is told a success.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  the finalizer is for "terminal-state work": it runs once, when the workflow has ended for good, with its
#            exit, in the engine for tests as in a cluster.
# Happens:   in a cluster it is so. The memory engine keeps the finalizer of each run of the workflow's body, of which
#            there is one more for each sleep or other wait, and runs all of them at the end. Only that of the last run
#            is given the exit; those before are told that the workflow succeeded, when it has failed. A test that
#            counts mails that are sent at the end sees three, and one for success among them. A compensation, which is
#            built on the same scope, runs once in both.
# Setup:     a workflow that pays, sleeps twice and fails, in both engines, under the test clock.
# Output:    memory: pay, refund, finalizer: Failure, finalizer: Success, finalizer: Success
#            cluster: pay, refund, finalizer: Failure
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Layer, Option, References, Schema } from "effect"
import { ClusterWorkflowEngine, TestRunner } from "effect/cluster"
import { TestClock } from "effect/testing"
import { Activity, DurableClock, Workflow, WorkflowEngine } from "effect/workflow"
import assert from "node:assert/strict"

const look = (name, engine) => {
  const events = []
  const note = (event) => Effect.sync(() => events.push(event))
  const Order = Workflow.make("Order", {
    payload: { id: Schema.String },
    error: Schema.String,
    idempotencyKey: ({ id }) => id
  })
  const order = Order.toLayer(Effect.fnUntraced(function*() {
    yield* Workflow.addFinalizer((exit) => note(`finalizer: ${exit._tag}`))
    yield* Activity.make({ name: "Pay", execute: note("pay") }).pipe(Order.withCompensation(() => note("refund")))
    yield* DurableClock.sleep({ name: "One", duration: "2 hours" })
    yield* DurableClock.sleep({ name: "Another", duration: "2 hours" })
    return yield* Effect.fail("sold out")
  }))
  return Effect.gen(function*() {
    const id = yield* Order.execute({ id: "one" }, { discard: true })
    let result = Option.none()
    for (let step = 0; step < 500 && Option.getOrUndefined(result)?._tag !== "Complete"; step++) {
      // The engines hash ids, which takes a moment of real time.
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      yield* TestClock.adjust("10 minutes")
      result = yield* Order.poll(id)
    }
    assert.equal(Option.getOrUndefined(result)?._tag, "Complete")
    return `${name}: ${events.join(", ")}`
  }).pipe(
    Effect.provide(Layer.provideMerge(order, engine)),
    Effect.scoped,
    Effect.provide(TestClock.layer()),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}
const seen = [
  await Effect.runPromise(look("memory", WorkflowEngine.layerMemory)),
  await Effect.runPromise(look("cluster", Layer.provideMerge(ClusterWorkflowEngine.layer, TestRunner.layer)))
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "memory: pay, refund, finalizer: Failure, finalizer: Success, finalizer: Success",
  "cluster: pay, refund, finalizer: Failure"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
