#!/usr/bin/env bash
# @effect/vitest: tests within `layer(…)` share one test clock, so that each begins when the one before it ended.
#
# Versions:  effect 4.1.0, @effect/vitest 4.0.5, vitest 5.1.1, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  `layer(…)` shares the layer that it is given; the clock is that of the test, as with `it.effect` alone,
#            and stands at 0 when a test begins.
# Happens:   the test services are built once with the layer and shared like it. An hour that one test lets pass is
#            over in all that follow: leases have run out, an id made of the time is another one. A test passes or
#            fails by its place in the file and by what `-t` leaves out. What a test prints is shared as well.
#            `TestClock.setTime(0)` at the start of each test, or `layer(…)` for each, helps.
# Setup:     two tests that look at the clock, and print; the first one lets an hour pass.
# Output:    it.effect, second test: 0 s, lines printed before: 0
#            layer(…), second test: 3600 s, lines printed before: 1
#            layer(…), second test alone (-t): 0 s, lines printed before: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 @effect/vitest@4.0.5 vitest@5.1.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >clock.test.mjs <<'JS'
import { describe, it, layer } from "@effect/vitest"
import { Clock, Console, Effect, Layer } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { appendFileSync } from "node:fs"

const tests = (it) => {
  it.effect("first", () => Effect.andThen(Console.log("printed"), TestClock.adjust("1 hour")))
  it.effect("second", () =>
    Effect.gen(function*() {
      const seconds = (yield* Clock.currentTimeMillis) / 1000
      const lines = (yield* TestConsole.logLines).length
      appendFileSync("seen", `second test: ${seconds} s, lines printed before: ${lines}\n`)
    }))
}
describe("alone", () => tests(it))
layer(Layer.empty)("layer", tests)
JS
echo "export default {}" >vitest.config.mjs
# run NAME: what the second test saw, when the tests whose names match are run.
run() {
  rm -f seen
  node_modules/.bin/node node_modules/vitest/vitest.mjs run -t "$1" >log 2>&1 || { cat log >&2; exit 1; }
  cat seen
}
{
  echo "it.effect, $(run '^alone')"
  echo "layer(…), $(run '^layer')"
  echo "layer(…), $(run '^layer.*second' | sed 's/test/test alone (-t)/')"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
it.effect, second test: 0 s, lines printed before: 0
layer(…), second test: 3600 s, lines printed before: 1
layer(…), second test alone (-t): 0 s, lines printed before: 0
EXPECTED
