#!/usr/bin/env bash
# effect/persistence: `KeyValueStore.modify` loses updates on the file system store, and not on the memory store.
#
# Versions:  effect 4.1.0, @effect/platform-node 4.1.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  a `modify` that takes a function is there so that the step from the old to the new value is one; fibers of
#            one process at least do not overwrite each other.
# Happens:   unless a store brings its own, `modify` is a get and then a set. Over memory nothing can come between, so
#            that tests on the memory store pass; over files (or any store with I/O) concurrent calls all read the same
#            old value.
# Output:    memory, 20 increments at once: 20
#            file system, 20 increments at once: 1      (seldom a little more)
#            file system, 20 increments in turn: 20
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 @effect/platform-node@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { NodeServices } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { KeyValueStore } from "effect/persistence"
import assert from "node:assert/strict"

const increments = (concurrency) =>
  Effect.gen(function*() {
    const store = yield* KeyValueStore.KeyValueStore
    yield* store.set("count", "0")
    const increment = store.modify("count", (count) => String(Number(count) + 1))
    yield* Effect.all(Array.from({ length: 20 }, () => increment), { concurrency, discard: true })
    return Number(yield* store.get("count"))
  })
const files = Layer.provide(KeyValueStore.layerFileSystem("./store"), NodeServices.layer)
const count = (concurrency, layer) => Effect.runPromise(Effect.provide(increments(concurrency), layer))

const memory = await count("unbounded", KeyValueStore.layerMemory)
const atOnce = await count("unbounded", files)
const inTurn = await count(1, files)
console.log(`memory, 20 increments at once: ${memory}`)
console.log(`file system, 20 increments at once: ${atOnce}`)
console.log(`file system, 20 increments in turn: ${inTurn}`)
assert.equal(memory, 20, "the behaviour has changed")
assert.ok(atOnce < 20, "the behaviour has changed")
assert.equal(inTurn, 20, "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
