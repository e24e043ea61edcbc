#!/usr/bin/env bash
# effect/cluster: under the test clock Snowflake ids are negative, so that ids kept as text sort backwards.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  a Snowflake is a positive 63-bit number that grows with time, and ids of one length sort as text like they
#            were made: that is what a message store with text keys builds on.
# Happens:   the ids count from 2025 and the test clock starts in 1970, so that ids made in a test are negative: as
#            numbers they grow, as text the newest comes first. Text keys need a bias to serve both.
# Output:    system clock: positive, oldest first as text
#            test clock: negative, newest first as text
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect } from "effect"
import { Snowflake } from "effect/cluster"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"

const three = (wait) =>
  Effect.gen(function*() {
    const generator = yield* Snowflake.Generator
    const ids = []
    while (ids.length < 3) {
      ids.push(generator.nextUnsafe())
      yield* wait
    }
    return ids
  }).pipe(Effect.provide(Snowflake.layerGenerator))

const look = (clock, ids) => {
  assert.ok(ids[0] < ids[1] && ids[1] < ids[2], "the ids grow")
  const sign = ids.every((id) => id > 0n) ? "positive" : "negative"
  const text = ids.map(String)
  const first = text.toSorted()[0] === text[0] ? "oldest" : "newest"
  console.log(`${clock}: ${sign}, ${first} first as text`)
  return [sign, first]
}

const live = look("system clock", await Effect.runPromise(three(Effect.sleep("5 millis"))))
const test = look(
  "test clock",
  await Effect.runPromise(Effect.provide(three(TestClock.adjust("1 day")), TestClock.layer()))
)
assert.deepEqual([live, test], [["positive", "oldest"], ["negative", "newest"]], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
