#!/usr/bin/env bash
# effect/persistence: what was stored as text and is read as bytes is other bytes in one store, for some texts.
#
# Versions:  effect 4.1.0, @effect/platform-node 4.1.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  `getUint8Array` of a text is its bytes in UTF-8, as it is in memory, in files and in SQL.
# Happens:   a store that keeps texts only (`layerStorage`, and what is made by `makeStringOnly`) writes bytes as
#            Base64, without a mark. When it reads bytes it decodes what can be decoded, and takes the rest for text. So
#            a text of four letters or digits, or of eight, comes back as three bytes, or six: "node" and "1234" do,
#            "job" does not. A hash or a signature over such a value is wrong for some values. In the other direction
#            bytes that are read as text are Base64, but in files, where they are the characters of the bytes.
# Setup:     each text is stored and read as bytes, shown in hex where it is not the text; then three bytes as text.
# Output:    memory: job node 1234 user-17 order123, 010203 as text "AQID"
#            files: job node 1234 user-17 order123, 010203 as text "\u0001\u0002\u0003"
#            storage: job 9e875e d76df8 user-17 a2b75eaf5db7, 010203 as text "AQID"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 @effect/platform-node@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { KeyValueStore } from "effect/persistence"
import assert from "node:assert/strict"

const kept = new Map()
// What `localStorage` is.
const storage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
  clear: () => kept.clear(),
  key: (index) => [...kept.keys()][index] ?? null,
  get length() {
    return kept.size
  }
}
const layers = {
  memory: KeyValueStore.layerMemory,
  files: Layer.provide(KeyValueStore.layerFileSystem("files"), NodeServices.layer),
  storage: KeyValueStore.layerStorage(() => storage)
}
const readOf = Effect.gen(function*() {
  const store = yield* KeyValueStore.KeyValueStore
  const read = []
  for (const text of ["job", "node", "1234", "user-17", "order123"]) {
    yield* store.set("key", text)
    const bytes = Buffer.from(yield* store.getUint8Array("key"))
    read.push(bytes.equals(Buffer.from(text)) ? text : bytes.toString("hex"))
  }
  yield* store.set("bytes", Uint8Array.of(1, 2, 3))
  return `${read.join(" ")}, 010203 as text ${JSON.stringify(yield* store.get("bytes"))}`
})

const lines = []
for (const [name, layer] of Object.entries(layers)) {
  lines.push(`${name}: ${await Effect.runPromise(Effect.provide(readOf, layer))}`)
}
console.log(lines.join("\n"))
assert.deepEqual(lines, [
  `memory: job node 1234 user-17 order123, 010203 as text "AQID"`,
  `files: job node 1234 user-17 order123, 010203 as text "\\u0001\\u0002\\u0003"`,
  `storage: job 9e875e d76df8 user-17 a2b75eaf5db7, 010203 as text "AQID"`
], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
