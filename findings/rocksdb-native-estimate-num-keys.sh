#!/usr/bin/env bash
# RocksDB: `estimate-num-keys` goes up when a range is deleted.
#
# Versions:  rocksdb-native 3.18.1 (RocksDB 10.5.1), Node.js 24.21.0. Seen 2026-11-28.
# Expected:  an estimate that lags, and goes down after a deletion, as it does after single deletes.
# Happens:   every range deletion is an entry and is counted as one more key, however much it deletes. A store that
#            trims its log with `deleteRange` reports more and more keys while it shrinks, until a compaction.
# Output:    100 keys in a table: 100
#            a range of 99 of them deleted: 101
#            the same range deleted twice more: 103
#            flushed: 99
#            compacted: 1
#            keys there really: 1
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

const db = new RocksDB("./db")
await db.ready()
const seen = []
const look = async (what) => {
  const estimate = Number(await db.getProperty("rocksdb.estimate-num-keys"))
  console.log(`${what}: ${estimate}`)
  seen.push(estimate)
}

for (let row = 100; row < 200; row++) await db.put(`key${row}`, "value")
await db.flush()
await look("100 keys in a table")
await db.deleteRange("key100", "key199")
await look("a range of 99 of them deleted")
await db.deleteRange("key100", "key199")
await db.deleteRange("key100", "key199")
await look("the same range deleted twice more")
await db.flush()
await look("flushed")
await db.compactRange()
await look("compacted")

const keys = []
for await (const { key } of db.iterator()) keys.push(key.toString())
console.log(`keys there really: ${keys.length}`)
await db.close()
assert.deepEqual(keys, ["key199"])
assert.deepEqual(seen, [100, 101, 103, 99, 1], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
