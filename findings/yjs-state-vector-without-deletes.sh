#!/usr/bin/env bash
# yjs: two documents with the same state vector can differ, since it does not count what was deleted.
#
# Versions:  yjs 13.6.33, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a state vector says how far a document has come, so that two documents with one vector are the same, and a
#            server that compares them, or that stores a document when its vector has changed, misses nothing.
# Happens:   it counts what was inserted for each client. A delete inserts nothing: the vector stays as it was, and what
#            skips documents by it never brings the delete to the other side, nor to the disk. An update made for the
#            vector of the other side has the delete, so it has to be sent even when the vectors are equal. It is never
#            empty, so its size does not tell either. `equalSnapshots` does.
# Setup:     a document and its copy, which has all of it; then `x` is deleted in the first.
# Output:    after the delete: first {"y":1}, copy {"x":1,"y":1}
#            state vectors: equal
#            snapshots: different
#            after the update for the copy's vector: copy {"y":1}, snapshots: equal
#            bytes of the update before it and after it: 10 and 10
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error yjs@13.6.33 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import * as Y from "yjs"

const first = new Y.Doc()
// The id of a client is random, and its size changes that of an update.
first.clientID = 1_000_000_000
const copy = new Y.Doc()
const settings = first.getMap("settings")
settings.set("x", 1)
settings.set("y", 1)
Y.applyUpdate(copy, Y.encodeStateAsUpdate(first))
settings.delete("x")

const text = (document) => JSON.stringify(document.getMap("settings"))
const updateForCopy = () => Y.encodeStateAsUpdate(first, Y.encodeStateVector(copy))
const areEqual = (isEqual) => isEqual ? "equal" : "different"
const snapshots = () => areEqual(Y.equalSnapshots(Y.snapshot(first), Y.snapshot(copy)))
const vectors = [first, copy].map((document) => Buffer.from(Y.encodeStateVector(document)))

const seen = [
  `after the delete: first ${text(first)}, copy ${text(copy)}`,
  `state vectors: ${areEqual(vectors[0].equals(vectors[1]))}`,
  `snapshots: ${snapshots()}`
]
const update = updateForCopy()
Y.applyUpdate(copy, update)
seen.push(
  `after the update for the copy's vector: copy ${text(copy)}, snapshots: ${snapshots()}`,
  `bytes of the update before it and after it: ${update.length} and ${updateForCopy().length}`
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "after the delete: first {\"y\":1}, copy {\"x\":1,\"y\":1}",
  "state vectors: equal",
  "snapshots: different",
  "after the update for the copy's vector: copy {\"y\":1}, snapshots: equal",
  "bytes of the update before it and after it: 10 and 10"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
