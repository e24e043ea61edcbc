#!/usr/bin/env bash
# lmdb: the array of one element and the element are one key, and an array within an array is flat.
#
# Versions:  lmdb 3.5.6, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a key may be a text or an array, and what is put in comes out: `"acme"` and `["acme"]` are two keys, as
#            `["a", "b"]` and the text of both are.
# Happens:   the elements are written one after the other with a zero between them, and nothing says where an array
#            begins or ends. So a put at `["acme"]` replaces what is at `"acme"`, both `get` the same, and in a range
#            the key of one element is a text, over which code that takes keys apart trips (`key[0]` is "a"). A key
#            that is made of other keys, as `[[tenant, queue], job]`, comes back as three elements, and is the key that
#            others made of the parts. Only the empty array and the empty text differ.
# Setup:     what is put, one after the other, and then all that is stored.
# Output:    put "acme": 1 key
#            put ["acme"]: 1 key
#            put ["acme","mail",7]: 2 keys
#            put [["acme","mail"],7]: 2 keys
#            put ["acme",["mail",7]]: 2 keys
#            all: "acme" = put ["acme"]; ["acme","mail",7] = put ["acme",["mail",7]]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error lmdb@3.5.6 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { open } from "lmdb"
import assert from "node:assert/strict"

const database = open({ path: "data" })
const keys = ["acme", ["acme"], ["acme", "mail", 7], [["acme", "mail"], 7], ["acme", ["mail", 7]]]
const seen = []
for (const key of keys) {
  const what = `put ${JSON.stringify(key)}`
  await database.put(key, what)
  const count = database.getCount()
  seen.push(`${what}: ${count} ${count === 1 ? "key" : "keys"}`)
}
const all = [...database.getRange()].map(({ key, value }) => `${JSON.stringify(key)} = ${value}`)
seen.push(`all: ${all.join("; ")}`)
await database.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'put "acme": 1 key',
  'put ["acme"]: 1 key',
  'put ["acme","mail",7]: 2 keys',
  'put [["acme","mail"],7]: 2 keys',
  'put ["acme",["mail",7]]: 2 keys',
  'all: "acme" = put ["acme"]; ["acme","mail",7] = put ["acme",["mail",7]]'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
