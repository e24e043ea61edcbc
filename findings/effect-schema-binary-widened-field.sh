#!/usr/bin/env bash
# effect/encoding: an optional field whose type gains a member is read as missing from what was stored before.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  SchemaBinary, in which EventLog stores its entries and which RPC can speak, "supports compatible schema
#            evolution". A schema that takes more than the old one understands what the old one wrote, or fails.
# Happens:   a field is known by its name and the kind of bytes behind it. What becomes a union, with null too, is of
#            another kind, and a field of another kind counts as missing. A required one is "Missing key" then, and an
#            optional one is not there: no error, and its default takes its place. With `optional`, whose undefined
#            makes a union of it already, the same step keeps the value; with `optionalKey` it is lost. JSON reads all
#            of them.
# Setup:     `{ limit: 5 }` is written with the first schema of a line and read with the second one.
# Output:    optionalKey(Number), optionalKey(NullOr(Number)): binary {}, JSON {"limit":5}
#            Number, optional(NullOr(Number)): binary {}, JSON {"limit":5}
#            Number, NullOr(Number) with 100 as the default: binary {"limit":100}, JSON {"limit":5}
#            Number, NullOr(Number): binary fails, JSON {"limit":5}
#            optional(Number), optional(NullOr(Number)): binary {"limit":5}, JSON {"limit":5}
#            Number, optionalKey(Number): binary {"limit":5}, JSON {"limit":5}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Schema } from "effect"
import { SchemaBinary } from "effect/encoding"
import assert from "node:assert/strict"

const { Number, NullOr, Struct, optional, optionalKey } = Schema
const codecs = {
  binary: SchemaBinary.toCodec,
  JSON: (schema) => Schema.fromJsonString(Schema.toCodecJson(schema))
}
const steps = [
  ["optionalKey(Number), optionalKey(NullOr(Number))", optionalKey(Number), optionalKey(NullOr(Number))],
  ["Number, optional(NullOr(Number))", Number, optional(NullOr(Number))],
  [
    "Number, NullOr(Number) with 100 as the default",
    Number,
    NullOr(Number).pipe(Schema.withDecodingDefault(Effect.succeed(100)))
  ],
  ["Number, NullOr(Number)", Number, NullOr(Number)],
  ["optional(Number), optional(NullOr(Number))", optional(Number), optional(NullOr(Number))],
  ["Number, optionalKey(Number)", Number, optionalKey(Number)]
]

const lines = steps.map(([name, before, after]) => {
  const read = Object.entries(codecs).map(([codecName, codecOf]) => {
    const stored = Schema.encodeSync(codecOf(Struct({ limit: before })))({ limit: 5 })
    try {
      return `${codecName} ${JSON.stringify(Schema.decodeSync(codecOf(Struct({ limit: after })))(stored))}`
    } catch {
      return `${codecName} fails`
    }
  })
  return `${name}: ${read.join(", ")}`
})
console.log(lines.join("\n"))
assert.deepEqual(lines, [
  `optionalKey(Number), optionalKey(NullOr(Number)): binary {}, JSON {"limit":5}`,
  `Number, optional(NullOr(Number)): binary {}, JSON {"limit":5}`,
  `Number, NullOr(Number) with 100 as the default: binary {"limit":100}, JSON {"limit":5}`,
  `Number, NullOr(Number): binary fails, JSON {"limit":5}`,
  `optional(Number), optional(NullOr(Number)): binary {"limit":5}, JSON {"limit":5}`,
  `Number, optionalKey(Number): binary {"limit":5}, JSON {"limit":5}`
], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
