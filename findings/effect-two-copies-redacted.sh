#!/usr/bin/env bash
# effect: of two copies of the same version in one process, all values pass from one to the other but Redacted.
#
# Versions:  effect 4.1.0 twice, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  a program that is bundled with Effect and loads a plugin with an installed Effect either works, because
#            effects, layers, services, options and errors know each other by names, or fails at once everywhere.
# Happens:   all of those pass. A Redacted does not: its value is in a table of the copy that made it, and the other
#            copy, which takes it for a Redacted, finds none. So a driver connects with plain settings and dies with
#            "Unable to get redacted value" as soon as it gets a password.
# Output:    an effect, a service, an option and an error of one copy are understood by the other
#            Redacted: recognised true, opened: Unable to get redacted value
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 other@npm:effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import * as One from "effect"
import * as Other from "other"
import assert from "node:assert/strict"

assert.notEqual(One.Effect.succeed, Other.Effect.succeed, "two copies")

const Port = One.Context.Service("Port")
const SamePort = Other.Context.Service("Port")
const program = One.Effect.gen(function*() {
  const port = yield* Port
  return One.Option.some(port + 1)
})
const result = await Other.Effect.runPromise(Other.Effect.provide(program, Other.Layer.succeed(SamePort, 1)))
assert.deepEqual([Other.Option.isSome(result), result.value], [true, 2])
const failed = await Other.Effect.runPromise(Other.Effect.flip(One.Effect.fail("no")))
assert.equal(failed, "no")
console.log("an effect, a service, an option and an error of one copy are understood by the other")

const secret = One.Redacted.make("secret")
const recognised = Other.Redacted.isRedacted(secret)
let opened
try {
  opened = Other.Redacted.value(secret)
} catch (error) {
  opened = error.message
}
console.log(`Redacted: recognised ${recognised}, opened: ${opened}`)
assert.deepEqual([recognised, opened], [true, "Unable to get redacted value"], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
