#!/usr/bin/env bash
# memory-level: the store in memory keeps the caller's buffers, and gives out its own; the one on disk copies.
#
# Versions:  memory-level 3.1.0, classic-level 3.0.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  memory-level is the stand-in for classic-level, with the same interface and tests, so a value that was
#            put is what it was at that moment, whatever the caller does with the buffer.
# Happens:   with values of bytes, a put keeps the buffer itself, and a get hands it out. A scratch buffer that is
#            used again, or a reader that decodes in place, changes what is stored. So a test in memory fails for a
#            program that is right on disk, and one that looks at its own buffer passes. Values of text are copied by
#            both.
# Setup:     a value is put from a buffer, which is changed then; it is read, and what was read is changed.
# Output:    classic-level: put old, buffer changed: old, result changed: old
#            memory-level: put old, buffer changed: new, result changed: odd
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error memory-level@3.1.0 classic-level@3.0.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { ClassicLevel } from "classic-level"
import { MemoryLevel } from "memory-level"
import assert from "node:assert/strict"

const look = async (name, store) => {
  const read = () => store.get("key")
  const buffer = Buffer.from("old")
  await store.put("key", buffer)
  buffer.write("new")
  const found = await read()
  const afterPut = found.toString()
  found.write("odd")
  const afterGet = (await read()).toString()
  await store.close()
  return `${name}: put old, buffer changed: ${afterPut}, result changed: ${afterGet}`
}
const seen = [
  await look("classic-level", new ClassicLevel("database", { valueEncoding: "buffer" })),
  await look("memory-level", new MemoryLevel({ valueEncoding: "buffer" }))
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "classic-level: put old, buffer changed: old, result changed: old",
  "memory-level: put old, buffer changed: new, result changed: odd"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
