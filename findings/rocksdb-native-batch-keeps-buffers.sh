#!/usr/bin/env bash
# rocksdb-native: a batch keeps the caller's buffers and reads them when it is flushed.
#
# Versions:  rocksdb-native 3.18.1, classic-level 3.0.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  RocksDB's own WriteBatch copies keys and values at the call, so one scratch buffer can serve a whole batch;
#            classic-level copies too.
# Happens:   the batch holds on to the buffers. A scratch buffer for keys makes every row of the batch the last one, and
#            a value changed after an unawaited `put` is stored as changed.
# Output:    classic-level, three keys through one buffer: k1 k2 k3
#            rocksdb-native, three keys through one buffer: k3
#            rocksdb-native, value changed after put(): new
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rocksdb-native@3.18.1 classic-level@3.0.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { ClassicLevel } from "classic-level"
import RocksDB from "rocksdb-native"

const seen = []
const look = (what, found) => {
  console.log(`${what}: ${found}`)
  seen.push(found)
}
const scratch = Buffer.from("k0")
const putThree = (put) => {
  for (const digit of ["1", "2", "3"]) {
    scratch.write(digit, 1)
    put(scratch, "value")
  }
}

const level = new ClassicLevel("./level", { keyEncoding: "buffer" })
await level.open()
const levelBatch = level.batch()
putThree((key, value) => levelBatch.put(key, value))
await levelBatch.write()
look("classic-level, three keys through one buffer", (await level.keys().all()).map(String).join(" "))
await level.close()

const rocks = new RocksDB("./rocks")
await rocks.ready()
const batch = rocks.write()
putThree((key, value) => batch.tryPut(key, value))
await batch.flush()
batch.destroy()
const keys = []
for await (const { key } of rocks.iterator()) keys.push(key.toString())
look("rocksdb-native, three keys through one buffer", keys.join(" "))

const value = Buffer.from("old")
const stored = rocks.put("value", value)
value.write("new")
await stored
look("rocksdb-native, value changed after put()", (await rocks.get("value")).toString())
await rocks.close()

assert.deepEqual(seen, ["k1 k2 k3", "k3", "new"], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
