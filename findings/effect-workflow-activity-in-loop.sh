#!/usr/bin/env bash
# effect/workflow: of an activity in a loop only the first round runs, and a durable sleep in a loop waits only once.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  a loop over three people sends three mails: engines that number the steps of an execution tell the rounds
#            apart.
# Happens:   a step is known by its name alone (and the attempt). The second `Send` of an execution is taken for the
#            first one and gets its result, without a warning; so does a `DurableClock.sleep`, which is over at once
#            then. A name that holds what differs, `Send/${to}`, helps.
# Setup:     the engine in memory and ClusterWorkflowEngine on Effect's test runner, under the test clock. Both say:
# Output:    sent: ann
#            results: receipt of ann, receipt of ann, receipt of ann
#            with the person in the name, sent: ann, bob, cid
#            3 sleeps of 10 s took 10 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Clock, Effect, Fiber, Layer, Schema } from "effect"
import { ClusterWorkflowEngine, TestRunner } from "effect/cluster"
import { TestClock } from "effect/testing"
import { Activity, DurableClock, Workflow, WorkflowEngine } from "effect/workflow"
import assert from "node:assert/strict"

const people = ["ann", "bob", "cid"]
const sent = []
const send = (name, to) =>
  Activity.make({
    name,
    success: Schema.String,
    execute: Effect.sync(() => {
      sent.push(to)
      return `receipt of ${to}`
    })
  })
const options = {
  payload: { id: Schema.String },
  success: Schema.Array(Schema.String),
  idempotencyKey: ({ id }) => id
}
const OneName = Workflow.make("OneName", options)
const ThreeNames = Workflow.make("ThreeNames", options)
const Sleeps = Workflow.make("Sleeps", { ...options, success: Schema.Number })

const workflows = Layer.mergeAll(
  OneName.toLayer(() => Effect.forEach(people, (to) => send("Send", to))),
  ThreeNames.toLayer(() => Effect.forEach(people, (to) => send(`Send/${to}`, to))),
  Sleeps.toLayer(Effect.fnUntraced(function*() {
    const began = yield* Clock.currentTimeMillis
    for (let round = 0; round < 3; round++) yield* DurableClock.sleep({ name: "Pause", duration: "10 seconds" })
    return ((yield* Clock.currentTimeMillis) - began) / 1000
  }))
)

const run = Effect.fnUntraced(function*(workflow) {
  const fiber = yield* Effect.forkChild(workflow.execute({ id: "1" }))
  for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
  return yield* Fiber.join(fiber)
})

const look = (engine) =>
  Effect.gen(function*() {
    const receipts = yield* run(OneName)
    const once = sent.splice(0).join(", ")
    console.log(`sent: ${once}`)
    console.log(`results: ${receipts.join(", ")}`)
    yield* run(ThreeNames)
    const each = sent.splice(0).join(", ")
    console.log(`with the person in the name, sent: ${each}`)
    const seconds = yield* run(Sleeps)
    console.log(`3 sleeps of 10 s took ${seconds} s`)
    assert.equal(once, "ann", "the behaviour has changed")
    assert.deepEqual(receipts, Array(3).fill("receipt of ann"), "the behaviour has changed")
    assert.equal(each, "ann, bob, cid", "the behaviour has changed")
    assert.equal(seconds, 10, "the behaviour has changed")
  }).pipe(Effect.provide(Layer.provideMerge(workflows, engine)), Effect.provide(TestClock.layer()))

console.log("WorkflowEngine.layerMemory")
await Effect.runPromise(look(WorkflowEngine.layerMemory))
console.log("ClusterWorkflowEngine.layer")
await Effect.runPromise(look(Layer.provideMerge(ClusterWorkflowEngine.layer, TestRunner.layer)))
JS
timeout 120 node_modules/.bin/node finding.mjs
