#!/usr/bin/env bash
# skeleton-rendezvous: the 32nd site, and the 48th, move nearly all keys, and any other one hardly any.
#
# Versions:  skeleton-rendezvous 1.1.3, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  rendezvous hashing moves to a new site the keys that it is to have, one in n, and no others; the skeleton
#            makes that faster, and a bit less exact.
# Happens:   sites stand in clusters of 16 by the order of their names, and the number of clusters goes into the hash of
#            a key. Where one more site makes one more cluster, 97 of 100 keys change their site, as with a hash modulo
#            n: caches start cold and locks change hands at one time. It goes back as it came when the site leaves, so
#            that a single restart costs it twice. `targetClusterSize` moves the place where that happens.
# Setup:     4000 keys, placed on n sites and on one more, for all n up to 66.
# Output:    to 31 sites: 3 of 100 keys move
#            to 32 sites: 97 of 100 keys move
#            to 33 sites: 3 of 100 keys move
#            to 48 sites: 98 of 100 keys move
#            to 64 sites: 43 of 100 keys move
#            more than twice as many as it should: 32, 48, 64
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error skeleton-rendezvous@1.1.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import Hasher from "skeleton-rendezvous"

const keys = Array.from({ length: 4000 }, (_, index) => `key${index}`)
const place = (count) => {
  const hasher = new Hasher({ sites: Array.from({ length: count }, (_, index) => `node-${index + 10}`) })
  return keys.map((key) => hasher.findSite(key))
}
const moved = new Map()
let before = place(2)
for (let count = 3; count <= 66; count++) {
  const after = place(count)
  const others = after.filter((site, index) => site !== before[index])
  moved.set(count, others.length / keys.length)
  before = after
}
const seen = [31, 32, 33, 48, 64].map((count) =>
  `to ${count} sites: ${Math.round(100 * moved.get(count))} of 100 keys move`
)
const many = Array.from(moved.keys()).filter((count) => moved.get(count) > 2 / count)
seen.push(`more than twice as many as it should: ${many.join(", ")}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "to 31 sites: 3 of 100 keys move",
  "to 32 sites: 97 of 100 keys move",
  "to 33 sites: 3 of 100 keys move",
  "to 48 sites: 98 of 100 keys move",
  "to 64 sites: 43 of 100 keys move",
  "more than twice as many as it should: 32, 48, 64"
], "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
