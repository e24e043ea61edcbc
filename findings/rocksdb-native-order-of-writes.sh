#!/usr/bin/env bash
# rocksdb-native: two writes in flight are applied in either order.
#
# Versions:  rocksdb-native 3.18.1, Node.js 24.21.0. Seen 2026-11-28, on two cores.
# Expected:  one process, one database handle, one write-ahead log: writes are applied in the order of the calls, and
#            what awaiting adds is to know when.
# Happens:   each write is a job of libuv's thread pool, and two threads race for RocksDB's writer queue. Now and then
#            the first of two puts to one key is the one that stays. Both promises resolve. With a pool of one thread it
#            does not happen, so a machine or container set up that way hides it.
# Setup:     5,000 rounds of two calls without an await between them, then a look at which value stayed.
# Output:    4 threads, put: the first call won in 68 of 5000 rounds      (the number varies)
#            4 threads, batches: the first call won in 88 of 5000 rounds  (the number varies)
#            1 threads, put: the first call won in 0 of 5000 rounds
#            1 threads, batches: the first call won in 0 of 5000 rounds
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

const threads = Number(process.env.UV_THREADPOOL_SIZE)
const rounds = 5000
const db = new RocksDB(`./with-${threads}`)
await db.ready()

const write = async (value) => {
  const batch = db.write()
  batch.tryPut("key", value)
  await batch.flush()
  batch.destroy()
}
const put = (value) => db.put("key", value)

const firstWon = async (name, call) => {
  let count = 0
  for (let round = 0; round < rounds; round++) {
    await Promise.all([call("first"), call("second")])
    if ((await db.get("key")).toString() === "first") count++
  }
  console.log(`${threads} threads, ${name}: the first call won in ${count} of ${rounds} rounds`)
  return count > 0
}

assert.equal(await firstWon("put", put), threads > 1, "the behaviour has changed")
assert.equal(await firstWon("batches", write), threads > 1, "the behaviour has changed")
await db.close()
JS
UV_THREADPOOL_SIZE=4 node_modules/.bin/node finding.mjs
UV_THREADPOOL_SIZE=1 node_modules/.bin/node finding.mjs
