#!/usr/bin/env bash
# allof-merge: of two conditions in an `allOf` only the last one is left, and two patterns refuse what both allow.
#
# Versions:  allof-merge 0.6.8, ajv 8.20.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  "Merged schema does not validate more or less than the original schema", says its page, and what cannot be
#            merged is reported to `onMergeError`.
# Happens:   `if`, `then` and `else` are replaced by those of the next schema, so that the first condition is gone, and
#            `dependentRequired` loses what the first schema requires for the same property. Two patterns become two
#            lookaheads in a row, which look at one place of the text: `^job` and `1$` together allow no text at all.
#            Two `oneOf` with different types give a list with empty places, which is no schema. `onMergeError` is not
#            called.
# Setup:     a value of each kind, checked by Ajv with the schema as it was and as it is after the merge.
# Output:    if and then: {"lease":5} was refused, is accepted
#            dependentRequired: {"lease":5,"owner":"a"} was refused, is accepted
#            pattern: "job-1" was accepted, is refused
#            oneOf: 1 was accepted, is schema is invalid: data/oneOf/0 must be object,boolean
#            merge errors: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error allof-merge@0.6.8 ajv@8.20.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Ajv2020 } from "ajv/dist/2020.js"
import { merge } from "allof-merge"
import assert from "node:assert/strict"

const condition = (property, required) => ({ if: { required: [property] }, then: { required: [required] } })
const cases = {
  "if and then": [[condition("lease", "owner"), condition("ttl", "lease")], { lease: 5 }],
  dependentRequired: [
    [{ dependentRequired: { lease: ["term"] } }, { dependentRequired: { lease: ["owner"] } }],
    { lease: 5, owner: "a" }
  ],
  pattern: [[{ pattern: "^job" }, { pattern: "1$" }], "job-1"],
  oneOf: [
    [{ oneOf: [{ type: "string" }, { type: "integer" }] }, { oneOf: [{ type: "integer" }, { type: "boolean" }] }],
    1
  ]
}
let errors = 0
const check = (schema, value) => {
  try {
    return new Ajv2020({ strict: false }).validate(schema, value) ? "accepted" : "refused"
  } catch (error) {
    return error.message
  }
}
const seen = Object.entries(cases).map(([name, [allOf, value]]) => {
  const merged = merge({ allOf }, { onMergeError: () => errors++ })
  return `${name}: ${JSON.stringify(value)} was ${check({ allOf }, value)}, is ${check(merged, value)}`
})
seen.push(`merge errors: ${errors}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'if and then: {"lease":5} was refused, is accepted',
  'dependentRequired: {"lease":5,"owner":"a"} was refused, is accepted',
  'pattern: "job-1" was accepted, is refused',
  "oneOf: 1 was accepted, is schema is invalid: data/oneOf/0 must be object,boolean",
  "merge errors: 0"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
