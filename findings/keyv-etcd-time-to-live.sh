#!/usr/bin/env bash
# @keyv/etcd: with a `ttl`, all keys go at one time, and when it has passed nothing can be stored any more.
#
# Versions:  @keyv/etcd 2.1.1, keyv 5.6.0, etcd3 1.1.2, Debian etcd-server 3.4.23-4+b4 (bookworm, amd64), Node.js
#            24.21.0. Seen 2026-11-30.
# Expected:  `ttl` is how long a value is kept after it was set, as with every other store of Keyv.
# Happens:   one lease is made with the adapter, for all values. They are gone when it ends, the one set a moment ago
#            with the one that was set first. From then on each `set` fails, for as long as the process lives: it
#            gives `false`, and an event `error`. A cache of an hour works for an hour after each deployment, and what
#            is behind it then gets all the load. A `ttl` given to `set`, or to Keyv, does not have this.
# Setup:     a `ttl` of 3 s. `a` is set at once; `b` when etcd says that a second of the lease is left; `c` when `a`
#            is gone.
# Output:    a, b: set true true
#            a is gone: b is gone too
#            c, after that: set false, requested lease not found
#            c, by an adapter without ttl: set true
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root etcd-server=3.4.23-4+b4
dpkg -x etcd-server_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @keyv/etcd@2.1.1 keyv@5.6.0 etcd3@1.1.2 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
usr/bin/etcd --data-dir data --listen-client-urls http://127.0.0.1:24212 \
  --advertise-client-urls http://127.0.0.1:24212 --listen-peer-urls http://127.0.0.1:24213 \
  --initial-advertise-peer-urls http://127.0.0.1:24213 --initial-cluster default=http://127.0.0.1:24213 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

cat >finding.mjs <<'JS'
import KeyvEtcd from "@keyv/etcd"
import { Etcd3 } from "etcd3"
import { Keyv } from "keyv"
import assert from "node:assert/strict"
import { setTimeout } from "node:timers/promises"

const url = "127.0.0.1:24212"
const etcd = new Etcd3({ hosts: url })
const eventually = async (holds) => {
  while (!await holds()) await setTimeout(50)
}
const cacheOf = (options) => {
  const errors = []
  const cache = new Keyv({ store: new KeyvEtcd(url, options) })
  cache.on("error", ({ message }) => errors.push(message))
  return { cache, errors }
}
const isThere = (key) => etcd.get(`keyv:${key}`).exists()

const { cache, errors } = cacheOf({ ttl: 3000 })
const a = await cache.set("a", 1)
const { leases: [lease] } = await etcd.leaseClient.leaseLeases()
await eventually(async () => Number((await etcd.leaseClient.leaseTimeToLive({ ID: lease.ID })).TTL) <= 1)
const b = await cache.set("b", 1)
await eventually(async () => !await isThere("a"))
const seen = [`a, b: set ${a} ${b}`, `a is gone: b is ${await isThere("b") ? "there" : "gone too"}`]
const c = await cache.set("c", 1)
seen.push(`c, after that: set ${c}, ${/requested lease not found/.exec(errors.at(-1))}`)
seen.push(`c, by an adapter without ttl: set ${await cacheOf({}).cache.set("c", 1)}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "a, b: set true true",
  "a is gone: b is gone too",
  "c, after that: set false, requested lease not found",
  "c, by an adapter without ttl: set true"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
