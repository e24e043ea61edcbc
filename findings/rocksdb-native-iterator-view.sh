#!/usr/bin/env bash
# rocksdb-native: an iterator's view is fixed at its first read, not when it is made.
#
# Versions:  rocksdb-native 3.18.1, classic-level 3.0.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  as in RocksDB itself and in classic-level: the iterator sees the database as it was at the call that made
#            it.
# Happens:   the native iterator is opened by the first read of the stream. What was written between `iterator()` and
#            that read is seen. From then on the view is fixed. An iterator handed on to be read later is no snapshot.
# Output:    classic-level, put between making and reading: a
#            rocksdb-native, put between making and reading: a b
#            rocksdb-native, put after the first read: a b
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
const look = (what, keys) => {
  console.log(`${what}: ${keys.join(" ")}`)
  seen.push(keys.join(" "))
}

const level = new ClassicLevel("./level")
await level.put("a", "1")
const levelKeys = level.keys()
await level.put("b", "2")
look("classic-level, put between making and reading", await levelKeys.all())
await level.close()

const rocks = new RocksDB("./rocks")
await rocks.ready()
await rocks.put("a", "1")
const rest = async (rows, keys) => {
  for (let row = await rows.next(); !row.done; row = await rows.next()) keys.push(row.value.key.toString())
  return keys
}

const unread = rocks.iterator()
await rocks.put("b", "2")
look("rocksdb-native, put between making and reading", await rest(unread[Symbol.asyncIterator](), []))

// One row a read, so that the rest cannot come from what the first read brought.
const begun = rocks.iterator({}, { capacity: 1 })[Symbol.asyncIterator]()
const first = (await begun.next()).value.key.toString()
await rocks.put("c", "3")
look("rocksdb-native, put after the first read", await rest(begun, [first]))
await rocks.close()

assert.deepEqual(seen, ["a", "a b", "a b"], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
