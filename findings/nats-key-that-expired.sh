#!/usr/bin/env bash
# NATS key-value store: who watches a bucket is not told of a key whose time is over.
#
# Versions:  Debian nats-server 2.9.10-1+b3 (bookworm, amd64), nats 2.29.3 (npm), Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a key that is gone is a change, whoever took it away: a watcher hears of it, as that of etcd hears a
#            delete when a lease ends, so that a list of those who are alive is kept by a watch.
# Happens:   a `delete` is told, and the end of a key's time is not: the stream drops the message, and there is
#            nothing to tell. `get` gives nothing at once. A watcher that keeps a copy keeps the key for ever; one
#            that starts later does not have it. So two watchers of one bucket disagree, and each is right by what it
#            was told.
# Setup:     a bucket with a `ttl` of 1 s. `worker-1` is put and left alone, `worker-2` is put and deleted; then
#            `marker` is put when `worker-1` is gone, so that the watcher has all that came before.
# Output:    told: PUT worker-1, PUT worker-2, DEL worker-2, PUT marker
#            get worker-1: nothing
#            copy by the watch: marker worker-1
#            keys by a new watcher: marker
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root nats-server=2.9.10-1+b3
dpkg -x nats-server_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error nats@2.29.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
usr/sbin/nats-server -js -a 127.0.0.1 -p 24214 -sd "$folder/data" >nats.log 2>&1 &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "Server is ready" nats.log

cat >finding.mjs <<'JS'
import { connect } from "nats"
import assert from "node:assert/strict"
import { setTimeout } from "node:timers/promises"

const connection = await connect({ servers: "127.0.0.1:24214" })
const bucket = await connection.jetstream().views.kv("workers", { ttl: 1000 })

const told = []
const copy = new Set()
const markerCame = Promise.withResolvers()
const watch = await bucket.watch()
const listening = (async () => {
  for await (const { operation, key } of watch) {
    told.push(`${operation} ${key}`)
    if (operation === "PUT") copy.add(key)
    else copy.delete(key)
    if (key === "marker") markerCame.resolve()
  }
})()
await bucket.put("worker-1", "")
await bucket.put("worker-2", "")
await bucket.delete("worker-2")
while (await bucket.get("worker-1")) await setTimeout(50)
await bucket.put("marker", "")
await markerCame.promise
const now = []
for await (const key of await bucket.keys()) now.push(key)
const seen = [
  `told: ${told.join(", ")}`,
  `get worker-1: ${await bucket.get("worker-1") ? "there" : "nothing"}`,
  `copy by the watch: ${[...copy].sort().join(" ")}`,
  `keys by a new watcher: ${now.join(" ")}`
]
watch.stop()
await listening
await connection.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "told: PUT worker-1, PUT worker-2, DEL worker-2, PUT marker",
  "get worker-1: nothing",
  "copy by the watch: marker worker-1",
  "keys by a new watcher: marker"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
