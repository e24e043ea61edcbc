#!/usr/bin/env bash
# Node.js: `readline` ends a line within a record of newline-delimited JSON, where a text has a U+2028 or U+2029.
#
# Versions:  Node.js 24.21.0, split2 4.2.0, ndjson 2.0.0, effect 4.1.0. Seen 2026-11-30.
# Expected:  a record of newline-delimited JSON ends at \n. `JSON.stringify` has no \n within a text, so that each line
#            that `readline` or `readLines` of a file gives is a record.
# Happens:   both end lines at U+2028 and U+2029 too, the separators of Unicode, which JSON need not escape and
#            `JSON.stringify` does not. They come with what people paste. One such text makes two lines of its record,
#            neither of which is JSON: an import stops there, or, if it skips what does not parse, loses the record.
#            `crlfDelay` does not change it. split2, ndjson and Effect's `Stream.splitLines` end lines at \n.
# Setup:     two records, of which the first has a text with U+2028, and how many lines or records a reader gives.
# Output:    readline: 3 lines, 1 record
#            readLines: 3 lines, 1 record
#            split2: 2 lines, 2 records
#            Stream.splitLines: 2 lines, 2 records
#            ndjson: 2 records
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error split2@4.2.0 ndjson@2.0.0 effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Stream } from "effect"
import ndjson from "ndjson"
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { open } from "node:fs/promises"
import * as readline from "node:readline"
import split2 from "split2"

const file = "records.ndjson"
const records = [{ id: 1, text: "pasted\u2028text" }, { id: 2, text: "plain" }]
fs.writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(""))
const parses = (line) => {
  try {
    return JSON.parse(line) !== undefined
  } catch {
    return false
  }
}
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`
const look = (name, lines) => `${name}: ${count(lines.length, "line")}, ${count(lines.filter(parses).length, "record")}`
const input = () => fs.createReadStream(file)
const handle = await open(file)
const byEffect = Stream.fromArray([fs.readFileSync(file, "utf8")]).pipe(Stream.splitLines, Stream.runCollect)

const seen = [
  look("readline", await Array.fromAsync(readline.createInterface({ input: input() }))),
  look("readLines", await Array.fromAsync(handle.readLines())),
  look("split2", await input().pipe(split2()).toArray()),
  look("Stream.splitLines", Array.from(await Effect.runPromise(byEffect))),
  `ndjson: ${count((await Array.fromAsync(input().pipe(ndjson.parse()))).length, "record")}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "readline: 3 lines, 1 record",
  "readLines: 3 lines, 1 record",
  "split2: 2 lines, 2 records",
  "Stream.splitLines: 2 lines, 2 records",
  "ndjson: 2 records"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
