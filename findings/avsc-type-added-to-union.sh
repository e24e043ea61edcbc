#!/usr/bin/env bash
# avsc: a number type that is added to a union changes what is read of the records that were there.
#
# Versions:  avsc 5.7.9, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  adding a type to a union is a change after which new readers understand old records: who reads with the new
#            schema gets of an old record what it got before.
# Happens:   the bytes are read, and the value has another shape. While JavaScript can tell the types of a union apart,
#            avsc gives the value itself. With `double` or `long` beside `int` it gives an object with the name of the
#            type, for each value but null, of old records too: 5 is `{ int: 5 }`, a sum with it is a text, and a
#            comparison is false. To be written, a value has to be such an object from then on, and 5 is refused.
#            `string` or `boolean` beside `int` changes nothing. `wrapUnions: "always"` from the start makes it even.
# Setup:     a record whose field may be null or an integer, read with schemas that have a type more; then which form of
#            the value can be written.
# Output:    null, int: 5, plus 1 is 6, above 3 true, writes 5
#            null, int, string: 5, plus 1 is 6, above 3 true, writes 5
#            null, int, boolean: 5, plus 1 is 6, above 3 true, writes 5
#            null, int, double: {"int":5}, plus 1 is [object Object]1, above 3 false, writes {"int":5}
#            null, int, long: {"int":5}, plus 1 is [object Object]1, above 3 false, writes {"int":5}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error avsc@5.7.9 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import avsc from "avsc"
import assert from "node:assert/strict"

const schema = (...types) =>
  avsc.Type.forSchema({ type: "record", name: "Job", fields: [{ name: "tries", type: types }] })
const old = schema("null", "int")
const bytes = old.toBuffer({ tries: 5 })
const line = (...types) => {
  const reader = schema(...types)
  const { tries } = reader.fromBuffer(bytes, reader.createResolver(old))
  const written = [5, { int: 5 }].filter((value) => reader.isValid({ tries: value })).map((value) =>
    JSON.stringify(value)
  )
  return `${types.join(", ")}: ${JSON.stringify(tries)}, plus 1 is ${tries + 1}, above 3 ${tries > 3}, ` +
    `writes ${written.join(" or ")}`
}

const seen = [
  line("null", "int"),
  line("null", "int", "string"),
  line("null", "int", "boolean"),
  line("null", "int", "double"),
  line("null", "int", "long")
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "null, int: 5, plus 1 is 6, above 3 true, writes 5",
  "null, int, string: 5, plus 1 is 6, above 3 true, writes 5",
  "null, int, boolean: 5, plus 1 is 6, above 3 true, writes 5",
  "null, int, double: {\"int\":5}, plus 1 is [object Object]1, above 3 false, writes {\"int\":5}",
  "null, int, long: {\"int\":5}, plus 1 is [object Object]1, above 3 false, writes {\"int\":5}"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
