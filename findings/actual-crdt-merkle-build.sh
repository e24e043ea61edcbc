#!/usr/bin/env bash
# @actual-app/crdt: the Merkle trie that `merkle.build` makes of timestamps is empty, so that any two replicas agree.
#
# Versions:  @actual-app/crdt 3.1.3, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `build(timestamps)` gives the trie that holds them. `insert` is there for one more: its description says
#            that it "mutates" the trie.
# Happens:   `insert` leaves the trie alone and gives a new one, which `build` drops. What `build` gives is empty, of
#            whatever timestamps, and `diff` of two such tries is null, "in sync", for replicas that lack each other's
#            messages: they exchange nothing, for ever. So does whoever believes the description of `insert`. Folding
#            with `insert` works, as long as no message comes twice: what is inserted a second time is taken out of the
#            hash again, so that a trie with a message twice equals the one without it.
# Setup:     a replica with three messages, a minute apart, and others without the last one, or with it twice.
# Output:    build, the last one missing: in sync
#            insert without its result, the last one missing: in sync
#            fold, the last one missing: from 12:00 on
#            fold, in another order: in sync
#            fold, the last one twice: from 12:03 on
#            fold, the last one twice or not at all: in sync
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @actual-app/crdt@3.1.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { merkle, Timestamp } from "@actual-app/crdt"
import assert from "node:assert/strict"

const [first, second, last] = [1, 2, 3].map((minute) =>
  Timestamp.parse(`2026-12-01T12:0${minute}:00.000Z-0000-0123456789ABCDEF`)
)
const all = [first, second, last]
const compare = (one, two) => {
  const since = merkle.diff(one, two)
  return since === null ? "in sync" : `from ${new Date(since).toISOString().slice(11, 16)} on`
}
const mutate = (timestamps) => {
  const trie = merkle.emptyTrie()
  for (const timestamp of timestamps) merkle.insert(trie, timestamp)
  return trie
}
const fold = (timestamps) => timestamps.reduce(merkle.insert, merkle.emptyTrie())
const seen = [
  `build, the last one missing: ${compare(merkle.build(all), merkle.build([first, second]))}`,
  `insert without its result, the last one missing: ${compare(mutate(all), mutate([first, second]))}`,
  `fold, the last one missing: ${compare(fold(all), fold([first, second]))}`,
  `fold, in another order: ${compare(fold(all), fold([last, first, second]))}`,
  `fold, the last one twice: ${compare(fold(all), fold([...all, last]))}`,
  `fold, the last one twice or not at all: ${compare(fold([...all, last]), fold([first, second]))}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "build, the last one missing: in sync",
  "insert without its result, the last one missing: in sync",
  "fold, the last one missing: from 12:00 on",
  "fold, in another order: in sync",
  "fold, the last one twice: from 12:03 on",
  "fold, the last one twice or not at all: in sync"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
