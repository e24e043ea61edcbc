#!/usr/bin/env bash
# rocksdb-native: bounds given as bytes are no bounds of `compactRange`.
#
# Versions:  rocksdb-native 3.18.1, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  keys are strings or bytes everywhere else in this library, so `compactRange(start, end)` takes both too.
# Happens:   a Buffer or Uint8Array is taken for the options argument. As `end` it leaves a compaction without an end,
#            as the only bound a compaction of the whole family. No error, no warning; only the I/O tells.
# Setup:     three tables on level 0 with the rows a…, b… and c…; the range asked for covers only those of b.
# Output:    strings: 2 tables stay on level 0, 1 is compacted
#            Buffers: 1 tables stay on level 0, 2 are compacted
#            Uint8Arrays: 1 tables stay on level 0, 2 are compacted
#            one Buffer, as start: 0 tables stay on level 0, 3 are compacted
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rocksdb-native@3.18.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import RocksDB from "rocksdb-native"

const tables = async (db, level) => Number(await db.getProperty(`rocksdb.num-files-at-level${level}`))

const compacted = async (name, bounds) => {
  const db = new RocksDB(`./${name.replaceAll(/\W/g, "-")}`)
  await db.ready()
  for (const letter of ["a", "b", "c"]) {
    for (let row = 0; row < 50; row++) await db.put(`${letter}${row + 100}`, "v".repeat(100))
    await db.flush()
  }
  assert.equal(await tables(db, 0), 3)
  await db.compactRange(...bounds)
  const left = await tables(db, 0)
  console.log(`${name}: ${left} tables stay on level 0, ${3 - left} are compacted`)
  await db.close()
  return 3 - left
}

const bytes = (text) => new TextEncoder().encode(text)
const seen = [
  await compacted("strings", ["b", "b~"]),
  await compacted("Buffers", [Buffer.from("b"), Buffer.from("b~")]),
  await compacted("Uint8Arrays", [bytes("b"), bytes("b~")]),
  await compacted("one Buffer, as start", [Buffer.from("b")])
]
assert.deepEqual(seen, [1, 2, 2, 3], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
