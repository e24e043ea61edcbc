#!/usr/bin/env bash
# Node.js: of two Zstandard frames in a row the second is read or lost by where the chunks of the input end.
#
# Versions:  Node.js 24.21.0, fzstd 0.1.1, fflate 0.8.3, pako 3.0.3. Seen 2026-11-30.
# Expected:  frames in a row are one valid file, whose content is that of all of them: so `zstd` and `gzip` read what
#            was appended to a log or a backup, and what compressors with several threads write. Node.js does so for
#            gzip.
# Happens:   for Zstandard, `zstdDecompressSync` gives the first frame, without an error. The stream gives it alone
#            when the second begins within the same chunk, and both when a chunk ends between them. So what a writer
#            appends is read in a test that passes it on frame by frame, and lost when it is read from the file. Of
#            fflate, `gunzipSync` gives the first of gzip, and its stream both. fzstd and pako give both.
# Setup:     "one" and "two", compressed each by itself, one behind the other.
# Output:    zstd, zstdDecompressSync: one
#            zstd, stream, in one chunk: one
#            zstd, stream, a frame a chunk: one two
#            zstd, stream, 1 byte a chunk: one two
#            zstd, fzstd: one two
#            gzip, gunzipSync: one two
#            gzip, pako: one two
#            gzip, fflate gunzipSync: one
#            gzip, fflate Gunzip: one two
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error fzstd@0.1.1 fflate@0.8.3 pako@3.0.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import * as fflate from "fflate"
import * as fzstd from "fzstd"
import assert from "node:assert/strict"
import { Readable } from "node:stream"
import * as zlib from "node:zlib"
import * as pako from "pako"

const parts = ["one ", "two "]
const frames = parts.map((part) => zlib.zstdCompressSync(part))
const zstd = Buffer.concat(frames)
const gzip = Buffer.concat(parts.map((part) => zlib.gzipSync(part)))
const text = (bytes) => Buffer.from(bytes).toString().trim()
const byStream = async (chunks) =>
  text(Buffer.concat(await Readable.from(chunks).pipe(zlib.createZstdDecompress()).toArray()))
const byGunzip = () => {
  const found = []
  new fflate.Gunzip((chunk) => found.push(chunk)).push(gzip, true)
  return text(Buffer.concat(found))
}

const seen = [
  `zstd, zstdDecompressSync: ${text(zlib.zstdDecompressSync(zstd))}`,
  `zstd, stream, in one chunk: ${await byStream([zstd])}`,
  `zstd, stream, a frame a chunk: ${await byStream(frames)}`,
  `zstd, stream, 1 byte a chunk: ${await byStream(Array.from(zstd, (byte) => Buffer.of(byte)))}`,
  `zstd, fzstd: ${text(fzstd.decompress(zstd))}`,
  `gzip, gunzipSync: ${text(zlib.gunzipSync(gzip))}`,
  `gzip, pako: ${text(pako.ungzip(gzip))}`,
  `gzip, fflate gunzipSync: ${text(fflate.gunzipSync(gzip))}`,
  `gzip, fflate Gunzip: ${byGunzip()}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "zstd, zstdDecompressSync: one",
  "zstd, stream, in one chunk: one",
  "zstd, stream, a frame a chunk: one two",
  "zstd, stream, 1 byte a chunk: one two",
  "zstd, fzstd: one two",
  "gzip, gunzipSync: one two",
  "gzip, pako: one two",
  "gzip, fflate gunzipSync: one",
  "gzip, fflate Gunzip: one two"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
