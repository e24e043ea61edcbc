#!/usr/bin/env bash
# node-object-hash: the hash of ["A", "B"] is that of ["B", "A"] and of ["A,B"].
#
# Versions:  node-object-hash 3.1.1, object-hash 3.0.0, ohash 2.0.12, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a hash of a value, as for the id of a job by which a repeat is known, does not depend on the order of the
#            fields of an object, and does on everything else: the order of a list is part of it.
# Happens:   `sort` sorts arrays as well, and with `coerce` numbers, texts and booleans of one spelling are one value;
#            nothing marks where a text ends, so that two elements are one with a comma, and two fields one. A payment
#            from A to B is a repeat of that from B to A, and is not made. object-hash and ohash tell the pairs of
#            lists apart. Without coercion all are told apart but the order, which `sort: { array: false }` keeps.
# Setup:     pairs of values, and which library has one hash for both.
# Output:    {"move":["A","B"]} and {"move":["B","A"]}: node-object-hash
#            {"tags":["A,B"]} and {"tags":["A","B"]}: node-object-hash
#            {"a":"1,b:2"} and {"a":"1","b":"2"}: node-object-hash
#            {"id":1} and {"id":"1"}: node-object-hash
#            {"id":1} and {"id":true}: node-object-hash
#            {"a":1,"b":2} and {"b":2,"a":1}: node-object-hash, uncoerced and unsorted, object-hash, ohash
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  node-object-hash@3.1.1 object-hash@3.0.0 ohash@2.0.12 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { hasher } from "node-object-hash"
import assert from "node:assert/strict"
import objectHash from "object-hash"
import { hash } from "ohash"

const usual = hasher()
const strict = hasher({ coerce: false, sort: { array: false, object: true } })
const libraries = {
  "node-object-hash": (value) => usual.hash(value),
  "uncoerced and unsorted": (value) => strict.hash(value),
  "object-hash": (value) => objectHash(value),
  ohash: (value) => hash(value)
}
const pairs = [
  [{ move: ["A", "B"] }, { move: ["B", "A"] }],
  [{ tags: ["A,B"] }, { tags: ["A", "B"] }],
  [{ a: "1,b:2" }, { a: "1", b: "2" }],
  [{ id: 1 }, { id: "1" }],
  [{ id: 1 }, { id: true }],
  [{ a: 1, b: 2 }, { b: 2, a: 1 }]
]
const seen = pairs.map(([one, other]) => {
  const same = Object.keys(libraries).filter((name) => libraries[name](one) === libraries[name](other))
  return `${JSON.stringify(one)} and ${JSON.stringify(other)}: ${same.join(", ")}`
})
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  '{"move":["A","B"]} and {"move":["B","A"]}: node-object-hash',
  '{"tags":["A,B"]} and {"tags":["A","B"]}: node-object-hash',
  '{"a":"1,b:2"} and {"a":"1","b":"2"}: node-object-hash',
  '{"id":1} and {"id":"1"}: node-object-hash',
  '{"id":1} and {"id":true}: node-object-hash',
  '{"a":1,"b":2} and {"b":2,"a":1}: node-object-hash, uncoerced and unsorted, object-hash, ohash'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
