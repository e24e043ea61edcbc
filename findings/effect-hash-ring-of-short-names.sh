#!/usr/bin/env bash
# effect: in a `HashRing` of nodes with short names, one node has most of the keys and another one hardly any.
#
# Versions:  effect 4.1.0, hashring 3.2.0 (npm), Node.js 24.21.0. Seen 2026-12-01.
# Expected:  each node is at 128 points of the ring, so that of three nodes each has about a third of the keys, whatever
#            they are called, and one of twice the weight has twice as many.
# Happens:   the points are hashes of the name and a number, by a hash that is made for tables: for names of a letter
#            or a digit they lie in few places. Of nodes 0, 1 and 2 the first one has one key of ten thousand, and the
#            last one most; of a to e, two have next to none. More points help little, and of a, b and c the first one
#            has fewer keys than the second, with twice its weight. Names of some length, as of a host and a port, are
#            right, so it shows where nodes have ids. `getShards` is right, as it evens out what each node has: hash a
#            key to a shard, and take the node of the shard.
# Setup:     how many of 10000 keys (hashes of numbers) each node has, in the order of the names.
# Output:    0 1 2: effect 1 2104 7895, hashring 3301 2926 3773
#            0 1 2, base weight 1024: effect 407 2907 6686, hashring 3301 2926 3773
#            a b c d e: effect 2101 7687 180 20 12, hashring 2324 2044 1920 1793 1919
#            eu us ap: effect 1080 2056 6864, hashring 3124 3309 3567
#            10.0.0.1:7001 10.0.0.2:7001 10.0.0.3:7001: effect 3428 3087 3485, hashring 3490 3172 3338
#            a b c, weights 2 1 1: effect 2159 7686 155
#            300 shards of 0 1 2: effect 100 100 100
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 hashring@3.2.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { HashRing, PrimaryKey } from "effect"
import NpmHashRing from "hashring"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"

const keys = Array.from({ length: 10_000 }, (_, index) => createHash("sha256").update(String(index)).digest("hex"))
const node = (name) => ({ name, [PrimaryKey.symbol]: () => name })
const counted = (names, found) => {
  const counts = new Map(names.map((name) => [name, 0]))
  for (const name of found) counts.set(name, counts.get(name) + 1)
  return [...counts.values()].join(" ")
}
const byEffect = (names, options, weights = []) => {
  const ring = HashRing.make(options)
  for (const [index, name] of names.entries()) HashRing.add(ring, node(name), { weight: weights[index] ?? 1 })
  return ring
}
const shares = (names, ring) => counted(names, keys.map((key) => HashRing.get(ring, key).name))
const look = (names, options) => {
  const npm = new NpmHashRing(names)
  const byNpm = counted(names, keys.map((key) => npm.get(key)))
  return `effect ${shares(names, byEffect(names, options))}, hashring ${byNpm}`
}
const indexes = ["0", "1", "2"]
const letters = ["a", "b", "c"]
const addresses = ["10.0.0.1:7001", "10.0.0.2:7001", "10.0.0.3:7001"]
const shards = HashRing.getShards(byEffect(indexes), 300)
const seen = [
  `0 1 2: ${look(indexes)}`,
  `0 1 2, base weight 1024: ${look(indexes, { baseWeight: 1024 })}`,
  `a b c d e: ${look([...letters, "d", "e"])}`,
  `eu us ap: ${look(["eu", "us", "ap"])}`,
  `${addresses.join(" ")}: ${look(addresses)}`,
  `a b c, weights 2 1 1: effect ${shares(letters, byEffect(letters, {}, [2, 1, 1]))}`,
  `300 shards of 0 1 2: effect ${counted(indexes, shards.map(({ name }) => name))}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "0 1 2: effect 1 2104 7895, hashring 3301 2926 3773",
  "0 1 2, base weight 1024: effect 407 2907 6686, hashring 3301 2926 3773",
  "a b c d e: effect 2101 7687 180 20 12, hashring 2324 2044 1920 1793 1919",
  "eu us ap: effect 1080 2056 6864, hashring 3124 3309 3567",
  "10.0.0.1:7001 10.0.0.2:7001 10.0.0.3:7001: effect 3428 3087 3485, hashring 3490 3172 3338",
  "a b c, weights 2 1 1: effect 2159 7686 155",
  "300 shards of 0 1 2: effect 100 100 100"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
