#!/usr/bin/env bash
# level-ttl: a value that is written without a time to live is deleted at the time of the value before it.
#
# Versions:  level-ttl 3.1.1, level-mem 6.0.1, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a value has the time to live that it is written with, and one without a time lasts, as after `SET` in
#            Redis or a put without a lease in etcd. Its page says that the last put counts.
# Happens:   a put with a time replaces that of the key, and a put without one leaves it, `ttl: 0` too: what was written
#            to stay is gone when the old value would have been. So it is for a key that a `batch` deletes and a later
#            put makes again, days later if the time was that long. `del` alone forgets the time. No option turns a
#            time off, and only a put with another time, or `del` before the put, helps.
# Setup:     a value with a time of 1 s, then what each line says, and what is there at once and after the time.
# Output:    put: kept, then nothing
#            put with ttl 0: kept, then nothing
#            put in a batch: kept, then nothing
#            deleted in a batch, put: kept, then nothing
#            deleted by del, put: kept, then kept
#            never with a time: kept, then kept
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error level-ttl@3.1.1 level-mem@6.0.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import levelMem from "level-mem"
import levelTtl from "level-ttl"
import assert from "node:assert/strict"
import { setTimeout as pause } from "node:timers/promises"
import { promisify } from "node:util"

const db = levelTtl(levelMem(), { checkFrequency: 20 })
const [put, del, batch, get] = ["put", "del", "batch", "get"].map((name) => promisify(db[name].bind(db)))
const ways = {
  put: (key) => put(key, "kept"),
  "put with ttl 0": (key) => put(key, "kept", { ttl: 0 }),
  "put in a batch": (key) => batch([{ type: "put", key, value: "kept" }]),
  "deleted in a batch, put": async (key) => {
    await batch([{ type: "del", key }])
    await put(key, "kept")
  },
  "deleted by del, put": async (key) => {
    await del(key)
    await put(key, "kept")
  }
}
const read = (key) => get(key).then(String, () => "nothing")

for (const [key, way] of Object.entries(ways)) {
  await put(key, "first", { ttl: 1000 })
  await way(key)
}
const last = "never with a time"
await put(last, "kept")
const keys = [...Object.keys(ways), last]
const before = await Promise.all(keys.map(read))
// The times end in the order of the keys: wait until that of the last one has ended, or for 20 seconds.
for (let times = 0; times < 400 && (await read("deleted in a batch, put")) !== "nothing"; times++) await pause(50)
await pause(200)
const seen = []
for (const [index, key] of keys.entries()) seen.push(`${key}: ${before[index]}, then ${await read(key)}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "put: kept, then nothing",
  "put with ttl 0: kept, then nothing",
  "put in a batch: kept, then nothing",
  "deleted in a batch, put: kept, then nothing",
  "deleted by del, put: kept, then kept",
  "never with a time: kept, then kept"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
