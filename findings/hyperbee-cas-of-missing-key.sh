#!/usr/bin/env bash
# hyperbee: a compare-and-set of a key that is not there, or no longer, writes without comparing.
#
# Versions:  hyperbee 2.27.3, hypercore 11.39.5, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  with `cas`, a `put` is made when the function says so. For a key without a value it is asked with nothing
#            as the value before, and "only over B" does not write where no B is.
# Happens:   the function is called for a key that has a value, and otherwise not at all: the write is made. Who gave a
#            lease up by deleting it sees one that was slow bring it back, under a value that it should have replaced.
#            Nor can a function that refuses everything keep a key from being created, so that "create only" cannot be
#            said, nor "update only". In a batch it is the same. The answer of `put` is `undefined` in each case, made
#            or not.
# Setup:     a key "lease", and puts with a `cas` that holds when the value before is the one named. What is then
#            stored, and how often the function was called.
# Output:    put B over A, where A is: stored B, calls 1
#            put C over A, where B is: stored B, calls 1
#            put D over B, where it was deleted: stored D, calls 0
#            put E over B, where nothing ever was: stored E, calls 0
#            put F over B, in a batch, where it was deleted: stored F, calls 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error hyperbee@2.27.3 hypercore@11.39.5 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import Hyperbee from "hyperbee"
import Hypercore from "hypercore"
import assert from "node:assert/strict"

const core = new Hypercore("./data")
const bee = new Hyperbee(core, { keyEncoding: "utf-8", valueEncoding: "utf-8" })
await bee.ready()
const seen = []
const put = async (what, key, value, old, to = bee) => {
  let calls = 0
  const cas = (before) => {
    calls++
    return before?.value === old
  }
  await to.put(key, value, { cas })
  if (to !== bee) await to.flush()
  seen.push(`put ${value} over ${old}, ${what}: stored ${(await bee.get(key)).value}, calls ${calls}`)
}
await bee.put("lease", "A")
await put("where A is", "lease", "B", "A")
await put("where B is", "lease", "C", "A")
await bee.del("lease")
await put("where it was deleted", "lease", "D", "B")
await put("where nothing ever was", "other", "E", "B")
await bee.del("lease")
await put("in a batch, where it was deleted", "lease", "F", "B", bee.batch())
await core.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "put B over A, where A is: stored B, calls 1",
  "put C over A, where B is: stored B, calls 1",
  "put D over B, where it was deleted: stored D, calls 0",
  "put E over B, where nothing ever was: stored E, calls 0",
  "put F over B, in a batch, where it was deleted: stored F, calls 0"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
