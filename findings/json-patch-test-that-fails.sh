#!/usr/bin/env bash
# rfc6902: behind a `test` of a JSON patch that fails, the other operations are done all the same.
#
# Versions:  rfc6902 5.4.0, fast-json-patch 3.1.1, immutable-json-patch 6.0.3, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  RFC 6902 wants a patch to be done as a whole or not at all, and `test` is how a client makes its change
#            depend on what it has read, such as a revision.
# Happens:   rfc6902 goes on behind an operation that fails, and gives back a list of errors. Who does not look into it
#            has no guard, and another's write is lost; who does has the changed document. fast-json-patch throws at the
#            first failure, and leaves in the document what was done before it, also when it is asked to validate: a
#            server that keeps the document in memory answers 409 and has half a patch. With `mutateDocument` false it
#            does not. immutable-json-patch leaves the document alone.
# Setup:     a document of revision 2 whose value is "theirs", and a patch for revision 1 that makes it "mine", with
#            the test in front, and behind.
# Output:    rfc6902: test in front: mine, TestError in the result; test behind: mine, TestError in the result
#            fast-json-patch: test in front: theirs, throws; test behind: mine, throws
#            fast-json-patch, validate: test in front: theirs, throws; test behind: mine, throws
#            immutable-json-patch: test in front: theirs, throws; test behind: theirs, throws
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rfc6902@5.4.0 fast-json-patch@3.1.1 \
  immutable-json-patch@6.0.3 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import fastJsonPatch from "fast-json-patch"
import { immutableJSONPatch } from "immutable-json-patch"
import assert from "node:assert/strict"
import * as rfc6902 from "rfc6902"

const guard = { op: "test", path: "/revision", value: 1 }
const change = { op: "replace", path: "/value", value: "mine" }
/** What the document has after the patch, and how the caller is told. */
const run = (apply, patch) => {
  const document = { revision: 2, value: "theirs" }
  try {
    const errors = apply(document, patch).filter((error) => error !== null)
    return `${document.value}, ${errors.length === 0 ? "no error" : `${errors[0].name} in the result`}`
  } catch {
    return `${document.value}, throws`
  }
}
const line = (name, apply) =>
  `${name}: test in front: ${run(apply, [guard, change])}; test behind: ${run(apply, [change, guard])}`

const seen = [
  line("rfc6902", rfc6902.applyPatch),
  line("fast-json-patch", (document, patch) => fastJsonPatch.applyPatch(document, patch) && []),
  line("fast-json-patch, validate", (document, patch) => fastJsonPatch.applyPatch(document, patch, true) && []),
  line("immutable-json-patch", (document, patch) => immutableJSONPatch(document, patch) && [])
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "rfc6902: test in front: mine, TestError in the result; test behind: mine, TestError in the result",
  "fast-json-patch: test in front: theirs, throws; test behind: mine, throws",
  "fast-json-patch, validate: test in front: theirs, throws; test behind: mine, throws",
  "immutable-json-patch: test in front: theirs, throws; test behind: theirs, throws"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
