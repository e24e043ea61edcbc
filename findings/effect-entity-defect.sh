#!/usr/bin/env bash
# effect/cluster: a persisted request whose handler dies is run again for ever, and its caller never hears of it.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  a handler that throws ends its request: the caller gets the defect, as with effect/rpc, and the entity goes
#            on with the next one.
# Happens:   the entity is taken for broken. It is made anew and gets the request again, ten seconds apart in the end,
#            without a bound on the attempts. A request that no handler can carry out blocks all that come after it for
#            that entity, also over restarts, since it is stored. A `defectRetryPolicy` that ends changes nothing: the
#            default, which does not, comes behind it. `disableFatalDefects: true` gives the expected.
# Setup:     a handler that parses JSON gets `{`, and then `{}`, under the test clock; ten minutes pass.
# Output:    by default: { run more than 50 times, its caller waits; {} run 0 times, its caller waits
#            defectRetryPolicy of 3: { run more than 50 times, its caller waits; {} run 0 times, its caller waits
#            disableFatalDefects: { run 1 time, its caller has the defect; {} run 1 time, its caller has the answer
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Cause, Effect, Exit, References, Schedule, Schema } from "effect"
import { ClusterSchema, Entity, TestRunner } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const Parser = Entity.make("Parser", [
  Rpc.make("Parse", { payload: { text: Schema.String }, success: Schema.Json })
]).annotateRpcs(ClusterSchema.Persisted, true)

const told = (fiber) => {
  const exit = fiber.pollUnsafe()
  if (exit === undefined) return "its caller waits"
  return Exit.isFailure(exit) && Cause.hasDies(exit.cause) ? "its caller has the defect" : "its caller has the answer"
}

const look = (what, options) => {
  const runs = { "{": 0, "{}": 0 }
  const entity = Parser.toLayer({
    Parse: ({ payload: { text } }) =>
      Effect.sync(() => {
        runs[text]++
        return JSON.parse(text)
      })
  }, options)
  return Effect.gen(function*() {
    const parser = (yield* Parser.client)("one")
    const bad = yield* Effect.forkChild(parser.Parse({ text: "{" }))
    yield* TestClock.adjust("1 second")
    const good = yield* Effect.forkChild(parser.Parse({ text: "{}" }))
    for (let second = 0; second < 600; second++) yield* TestClock.adjust("1 second")
    const times = runs["{"] > 50 ? "more than 50 times" : runs["{"] === 1 ? "1 time" : `${runs["{"]} times`
    const others = runs["{}"] === 1 ? "1 time" : `${runs["{}"]} times`
    const line = `${what}: { run ${times}, ${told(bad)}; {} run ${others}, ${told(good)}`
    console.log(line)
    return line
  }).pipe(
    Effect.provide(entity),
    Effect.provide(TestRunner.layer),
    Effect.provide(TestClock.layer()),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}

const seen = [
  await Effect.runPromise(look("by default", {})),
  await Effect.runPromise(look("defectRetryPolicy of 3", { defectRetryPolicy: Schedule.recurs(3) })),
  await Effect.runPromise(look("disableFatalDefects", { disableFatalDefects: true }))
]
assert.deepEqual(seen, [
  "by default: { run more than 50 times, its caller waits; {} run 0 times, its caller waits",
  "defectRetryPolicy of 3: { run more than 50 times, its caller waits; {} run 0 times, its caller waits",
  "disableFatalDefects: { run 1 time, its caller has the defect; {} run 1 time, its caller has the answer"
], "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
