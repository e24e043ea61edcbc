#!/usr/bin/env bash
# msgpackr: a field that is `undefined` comes out of other MessagePack libraries as an object, which is true.
#
# Versions:  msgpackr 2.1.4, @msgpack/msgpack 3.1.3, msgpack5 6.1.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  MessagePack has no `undefined`. It is left out, as JSON leaves it out, or becomes nil.
# Happens:   msgpackr has an extension of its own for it, type 0, which others do not know. `@msgpack/msgpack` makes
#            an object of the unknown extension, so that `if (job.error)` holds for a job without an error; msgpack5
#            refuses the whole message. Between two msgpackr it is `undefined` again, so tests do not show it.
#            `encodeUndefinedAsNil: true` writes nil.
# Setup:     `{ id: 1, error: undefined }`, packed by one library and read by another.
# Output:    msgpackr -> msgpackr: error is undefined
#            msgpackr -> @msgpack/msgpack: error is an ExtData, which is true
#            msgpackr -> msgpack5: unable to find ext type 0
#            msgpackr, encodeUndefinedAsNil -> @msgpack/msgpack: error is null
#            @msgpack/msgpack -> msgpackr: error is null
#            msgpack5 -> msgpackr: error is left out
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  msgpackr@2.1.4 @msgpack/msgpack@3.1.3 msgpack5@6.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { decode, encode } from "@msgpack/msgpack"
import msgpack5 from "msgpack5"
import { Packr, pack, unpack } from "msgpackr"
import assert from "node:assert/strict"

const other = msgpack5()
const job = { id: 1, error: undefined }
const seen = []
const look = (what, read) => {
  try {
    const { error, ...rest } = read()
    assert.equal(rest.id, 1)
    const is = error ? `an ${error.constructor.name}, which is true` : String(error)
    seen.push(`${what}: error is ${"error" in read() ? is : "left out"}`)
  } catch ({ message }) {
    seen.push(`${what}: ${message}`)
  }
}
look("msgpackr -> msgpackr", () => unpack(pack(job)))
look("msgpackr -> @msgpack/msgpack", () => decode(pack(job)))
look("msgpackr -> msgpack5", () => other.decode(Buffer.from(pack(job))))
look(
  "msgpackr, encodeUndefinedAsNil -> @msgpack/msgpack",
  () => decode(new Packr({ encodeUndefinedAsNil: true, useRecords: false }).pack(job))
)
look("@msgpack/msgpack -> msgpackr", () => unpack(encode(job)))
look("msgpack5 -> msgpackr", () => unpack(other.encode(job).slice()))
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "msgpackr -> msgpackr: error is undefined",
  "msgpackr -> @msgpack/msgpack: error is an ExtData, which is true",
  "msgpackr -> msgpack5: unable to find ext type 0",
  "msgpackr, encodeUndefinedAsNil -> @msgpack/msgpack: error is null",
  "@msgpack/msgpack -> msgpackr: error is null",
  "msgpack5 -> msgpackr: error is left out"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
