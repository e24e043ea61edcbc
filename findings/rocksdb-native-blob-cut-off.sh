#!/usr/bin/env bash
# rocksdb-native: a compaction that is asked for does not know the family's share of blob files to empty.
#
# Versions:  rocksdb-native 3.18.1 (RocksDB 10.5), Node.js 24.21.0. Seen 2026-11-29.
# Expected:  a family opened with blobGarbageCollectionAgeCutOff 0 never has blobs that are in use moved, whoever
#            asks for the compaction: RocksDB takes the family's share unless a compaction brings one of its own.
# Happens:   compactRange and compact always bring one of their own, 0.25. Each moves what is in use out of the oldest
#            quarter of the blob files. Their option is spelled Cutoff, the family's CutOff; either is ignored, without
#            a word, where the other one belongs.
# Output:    blob files written anew of 8, nothing said: 2
#            blob files written anew of 8, CutOff 0 said: 2
#            blob files written anew of 8, Cutoff 0 said: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rocksdb-native@3.18.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { readdirSync } from "node:fs"
import RocksDB from "rocksdb-native"

const files = 8
const blobs = (path) => readdirSync(path).filter((name) => name.endsWith(".blob"))

/** Fills that many blob files with rows that stay in use, compacts, and counts which of them are gone. */
const emptied = async (path, options) => {
  const family = new RocksDB.ColumnFamily("rows", {
    enableBlobFiles: true,
    minBlobSize: 1_000,
    blobFileSize: 1 << 28,
    blobGarbageCollectionAgeCutOff: 0
  })
  const database = new RocksDB(path, { columnFamilies: [family] })
  await database.ready()
  const rows = database.columnFamily("rows")
  const fill = async (file) => {
    const batch = rows.write()
    batch.tryPut("a", `small ${file}`)
    for (let row = 0; row < 10; row++) batch.tryPut(`b${file}-${row}`, Buffer.alloc(5_000, file))
    batch.tryPut("z", `small ${file}`)
    await batch.flush()
    batch.destroy()
    await rows.flush()
  }
  for (let file = 0; file < files; file++) await fill(file)
  const before = blobs(path)
  assert.equal(before.length, files)
  // One more table with small rows only, so that there is something to compact.
  const batch = rows.write()
  batch.tryPut("a", "last")
  batch.tryPut("z", "last")
  await batch.flush()
  batch.destroy()
  await rows.compactRange("a", "zz", options)
  const after = new Set(blobs(path))
  for (let file = 0; file < files; file++) assert.equal((await rows.get(`b${file}-9`)).byteLength, 5_000)
  await database.close()
  return before.filter((name) => !after.has(name)).length
}

const said = [
  ["nothing said", {}],
  ["CutOff 0 said", { blobGarbageCollectionAgeCutOff: 0 }],
  ["Cutoff 0 said", { blobGarbageCollectionAgeCutoff: 0 }]
]
const seen = []
for (const [i, [what, options]] of said.entries()) {
  const count = await emptied(`./database-${i}`, options)
  console.log(`blob files written anew of ${files}, ${what}: ${count}`)
  seen.push(count)
}
assert.deepEqual(seen, [2, 2, 0])
JS
node_modules/.bin/node finding.mjs
