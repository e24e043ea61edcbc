#!/usr/bin/env bash
# bytes: "1GiB" is 1 byte and "10M" is 10, so that a server with such a limit refuses nearly every request.
#
# Versions:  bytes 3.1.2, body-parser 2.4.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  the library behind the limits of Express and body-parser reads a size with a unit, or says that it cannot:
#            its page says `null` for what it cannot read.
# Happens:   it knows kb, mb, gb, tb and pb. Of what ends otherwise it takes the number in front for bytes: of the
#            "16Mi" of Kubernetes, the "10M" of systemd, "1GiB" and "1e6", and of "1,000kb" the 1. A limit from a
#            setting that other software reads as mebibytes lets a few bytes through, and each larger body is answered
#            with 413; a quota made of it is of a few bytes. Only a text without a number in front is null.
# Setup:     what it makes of some sizes, and of a body of 26 bytes the status that body-parser gives with such a limit.
# Output:    1mb: 1048576, status 200
#            1 MB: 1048576, status 200
#            1GiB: 1, status 413
#            10M: 10, status 413
#            16Mi: 16, status 413
#            1e6: 1, status 413
#            1,000kb: 1, status 413
#            many: null
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error bytes@3.1.2 body-parser@2.4.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import bodyParser from "body-parser"
import bytes from "bytes"
import assert from "node:assert/strict"
import { Readable } from "node:stream"

const body = Buffer.from(JSON.stringify({ name: "a value of some" }))
/** A request without a server: body-parser needs its stream and headers. */
const statusWith = (limit) => {
  const request = Object.assign(Readable.from([body]), {
    headers: { "content-type": "application/json", "content-length": `${body.length}` }
  })
  return new Promise((resolve) => bodyParser.json({ limit })(request, {}, (error) => resolve(error?.status ?? 200)))
}

const seen = []
for (const size of ["1mb", "1 MB", "1GiB", "10M", "16Mi", "1e6", "1,000kb"]) {
  seen.push(`${size}: ${bytes.parse(size)}, status ${await statusWith(size)}`)
}
seen.push(`many: ${bytes.parse("many")}`)
console.log(seen.join("\n"))
assert.equal(body.length, 26)
assert.deepEqual(seen, [
  "1mb: 1048576, status 200",
  "1 MB: 1048576, status 200",
  "1GiB: 1, status 413",
  "10M: 10, status 413",
  "16Mi: 16, status 413",
  "1e6: 1, status 413",
  "1,000kb: 1, status 413",
  "many: null"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
