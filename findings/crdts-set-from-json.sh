#!/usr/bin/env bash
# crdts: a set that was read from JSON cannot remove what it holds.
#
# Versions:  crdts 0.2.0, yjs 13.6.33, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  `from(set.toJSON())` is how a replica is stored and brought back. It is equal to what was stored, and goes
#            on as that one would have: what is removed is gone, here and where it is merged.
# Happens:   the values are read, and the index that finds what is known of a value stays empty. To `remove` the value
#            is unknown, so that it does nothing: what was in the set at a restart can never be deleted by that
#            replica, and no error says so. `isEqual` says that it is the same set, and so do `has` and `values`, which
#            do not use the index. A merge of it into an empty set gives one that works.
# Setup:     a set with "x" is stored, read again, and has "x" removed; what is left, then what is in a second replica
#            that is merged with it. "merged" is the same through `merge` into an empty set. yjs for comparison.
# Output:    ORSet, from JSON: left x, second replica x
#            ORSet, merged: left nothing, second replica nothing
#            LWWSet, from JSON: left x, second replica x
#            LWWSet, merged: left nothing, second replica nothing
#            yjs, read again: left nothing, second replica nothing
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error crdts@0.2.0 yjs@13.6.33 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { LWWSet, ORSet } from "crdts"
import assert from "node:assert/strict"
import * as Y from "yjs"

const shown = (values) => [...values].join(" ") || "nothing"
const sets = { ORSet, LWWSet }
const stored = (set) => JSON.parse(JSON.stringify(set.toJSON()))
const ways = {
  "from JSON": (type, json) => type.from(json),
  merged: (type, json) => {
    const set = new type()
    set.merge(type.from(json))
    return set
  }
}
const lines = []
for (const [name, type] of Object.entries(sets)) {
  for (const [way, read] of Object.entries(ways)) {
    const before = new type()
    before.add("x", 1)
    const set = read(type, stored(before))
    assert.ok(set.isEqual(before))
    // A LWWSet takes the time of the remove as well.
    set.remove("x", 2)
    const second = new type()
    second.add("x", 1)
    second.merge(set)
    lines.push(`${name}, ${way}: left ${shown(set.values())}, second replica ${shown(second.values())}`)
  }
}
const before = new Y.Doc()
before.getMap("set").set("x", true)
const [again, second] = [new Y.Doc(), new Y.Doc()]
Y.applyUpdate(again, Y.encodeStateAsUpdate(before))
Y.applyUpdate(second, Y.encodeStateAsUpdate(before))
again.getMap("set").delete("x")
Y.applyUpdate(second, Y.encodeStateAsUpdate(again))
const kept = (doc) => shown(doc.getMap("set").keys())
lines.push(`yjs, read again: left ${kept(again)}, second replica ${kept(second)}`)
console.log(lines.join("\n"))
assert.deepEqual(lines, [
  "ORSet, from JSON: left x, second replica x",
  "ORSet, merged: left nothing, second replica nothing",
  "LWWSet, from JSON: left x, second replica x",
  "LWWSet, merged: left nothing, second replica nothing",
  "yjs, read again: left nothing, second replica nothing"
], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
