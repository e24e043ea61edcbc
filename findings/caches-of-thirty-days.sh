#!/usr/bin/env bash
# memory-cache and expiry-map: what should be kept for 30 days is gone after a millisecond.
#
# Versions:  memory-cache 0.2.0, expiry-map 2.0.0, @isaacs/ttlcache 2.1.5, node-cache 5.1.2, quick-lru 7.3.0,
#            lru-cache 11.5.3, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a cache for sessions or tokens that keeps something for 24 days keeps it for 30 days too.
# Happens:   a timer of Node.js takes less than 2^31 ms, which is 24.8 days, and a longer one runs after 1 ms.
#            memory-cache and expiry-map then remove what they hold, so that nothing is ever found: tests with a short
#            time pass, and in production each session is gone at once, or each lookup goes to what the cache should
#            spare. lru-cache with `ttlAutopurge` keeps it, and starts a timer again each millisecond, for each entry
#            and as long as it is kept. All three leave a warning of Node.js. The others are right.
# Setup:     an entry for 24 and one for 30 days, each in a cache of its own, after 100 ms; for lru-cache also the
#            number of timers for the entry until then.
# Output:    memory-cache: 24 days kept, 30 days gone
#            expiry-map: 24 days kept, 30 days gone
#            @isaacs/ttlcache: 24 days kept, 30 days kept
#            node-cache: 24 days kept, 30 days kept
#            quick-lru: 24 days kept, 30 days kept
#            lru-cache: 24 days kept, 30 days kept
#            timers of lru-cache: 24 days 1, 30 days more than 5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error memory-cache@0.2.0 expiry-map@2.0.0 \
  @isaacs/ttlcache@2.1.5 node-cache@5.1.2 quick-lru@7.3.0 lru-cache@11.5.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { TTLCache } from "@isaacs/ttlcache"
import ExpiryMap from "expiry-map"
import { LRUCache } from "lru-cache"
import memoryCache from "memory-cache"
import NodeCache from "node-cache"
import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"
import QuickLRU from "quick-lru"

/** Each makes a cache whose entries are kept for `time` milliseconds, and has `set` and `get`. */
const caches = {
  "memory-cache": (time) => {
    const cache = new memoryCache.Cache()
    return { set: (key, value) => cache.put(key, value, time), get: (key) => cache.get(key) }
  },
  "expiry-map": (time) => new ExpiryMap(time),
  "@isaacs/ttlcache": (time) => new TTLCache({ ttl: time }),
  "node-cache": (time) => new NodeCache({ stdTTL: time / 1000 }),
  "quick-lru": (time) => new QuickLRU({ maxSize: 10, maxAge: time }),
  "lru-cache": (time) => new LRUCache({ max: 10, ttl: time, ttlAutopurge: true })
}
const day = 24 * 60 * 60 * 1000
const startTimer = globalThis.setTimeout
const timers = new Map()
globalThis.setTimeout = (callback, time, ...rest) => {
  // How much time a timer is for tells whose it is: lru-cache starts one for what is left.
  const days = Math.round(time / day)
  timers.set(days, (timers.get(days) ?? 0) + 1)
  return startTimer(callback, time, ...rest)
}
const look = async (make, days) => {
  timers.clear()
  const cache = make(days * day)
  cache.set("session", "a")
  await sleep(100)
  return { found: `${days} days ${cache.get("session") === "a" ? "kept" : "gone"}`, timers: timers.get(days) ?? 0 }
}

const seen = []
let ofLruCache
for (const [name, make] of Object.entries(caches)) {
  const [short, long] = [await look(make, 24), await look(make, 30)]
  seen.push(`${name}: ${short.found}, ${long.found}`)
  if (name === "lru-cache") ofLruCache = [short.timers, long.timers]
}
seen.push(`timers of lru-cache: 24 days ${ofLruCache[0]}, 30 days ${ofLruCache[1] > 5 ? "more than 5" : "few"}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "memory-cache: 24 days kept, 30 days gone",
  "expiry-map: 24 days kept, 30 days gone",
  "@isaacs/ttlcache: 24 days kept, 30 days kept",
  "node-cache: 24 days kept, 30 days kept",
  "quick-lru: 24 days kept, 30 days kept",
  "lru-cache: 24 days kept, 30 days kept",
  "timers of lru-cache: 24 days 1, 30 days more than 5"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node --no-warnings finding.mjs
