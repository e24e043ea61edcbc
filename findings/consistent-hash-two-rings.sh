#!/usr/bin/env bash
# consistent-hash: two rings of the same nodes put most keys on different nodes, as does a ring after a restart.
#
# Versions:  consistent-hash 1.2.2, hashring 3.2.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  where a key lives follows from the names of the nodes. Each process that makes a ring of them finds a key
#            at the same node, and a further node takes its share of the keys and leaves all others where they are.
# Happens:   by default each node is put at random points of the ring. Two processes agree on a third of the keys of
#            three nodes, which is what guessing gives, and a restart is a new ring. A test within one process does
#            not show it. With `distribution: "uniform"` the points are the same each time, but they follow from the
#            order in which nodes were added, and are laid out anew for each: most keys that a sixth node moves go
#            from one old node to another. hashring does what one expects of both.
# Setup:     10000 keys. Each number is how many of them have another node: in a ring that is made again, in one whose
#            nodes are added in the opposite order, and after a sixth node, in brackets those between the five old ones.
# Output:    consistent-hash: most made again
#            consistent-hash, uniform: 0 made again, 6679 other order, 4286 sixth node (2631 between old ones)
#            hashring: 0 made again, 0 other order, 1497 sixth node (0 between old ones)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error consistent-hash@1.2.2 hashring@3.2.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import ConsistentHash from "consistent-hash"
import HashRing from "hashring"
import assert from "node:assert/strict"

const keys = Array.from({ length: 10_000 }, (_, index) => `key${index}`)
const three = ["a", "b", "c"]
const five = ["n0", "n1", "n2", "n3", "n4"]

const withConsistentHash = (options) => (nodes) => {
  const ring = new ConsistentHash(options)
  for (const node of nodes) ring.add(node)
  return (key) => ring.get(key)
}
const withHashRing = (nodes) => {
  const ring = new HashRing(nodes)
  return (key) => ring.get(key)
}
const moved = (before, after) => keys.filter((key) => before(key) !== after(key))
const madeAgain = (ring) => moved(ring(three), ring(three)).length
const all = (ring) => {
  const before = ring(five)
  const after = ring([...five, "n5"])
  const bySixth = moved(before, after)
  const old = bySixth.filter((key) => after(key) !== "n5")
  const otherOrder = moved(ring(three), ring(three.toReversed())).length
  return `${madeAgain(ring)} made again, ${otherOrder} other order, ` +
    `${bySixth.length} sixth node (${old.length} between old ones)`
}
const seen = [
  `consistent-hash: ${madeAgain(withConsistentHash()) > keys.length / 2 ? "most" : "not most"} made again`,
  `consistent-hash, uniform: ${all(withConsistentHash({ distribution: "uniform" }))}`,
  `hashring: ${all(withHashRing)}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "consistent-hash: most made again",
  "consistent-hash, uniform: 0 made again, 6679 other order, 4286 sixth node (2631 between old ones)",
  "hashring: 0 made again, 0 other order, 1497 sixth node (0 between old ones)"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
