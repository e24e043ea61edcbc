#!/usr/bin/env bash
# @event-driven-io/emmett: read from a snapshot on, a stream has the version of how many events were read.
#
# Versions:  @event-driven-io/emmett 0.42.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `currentStreamVersion` is the version of the stream, whatever part of it is read, so that it is what an
#            append takes as `expectedStreamVersion`. `readStream` does that.
# Happens:   `aggregateStream` of the store in memory gives the number of the events that it went through. With `from`,
#            as after a snapshot, or with `maxCount`, that is less than the version, and an append that expects it is
#            refused, though nobody else has written, at each retry too. From the start all is right, so that a test
#            sees it once there is a snapshot.
# Setup:     a stream of three events, read as a whole and from the second on; then an append that expects the version.
# Output:    readStream: version 3
#            readStream from 1: version 3
#            aggregateStream: version 3
#            aggregateStream from 1: version 2
#            append: Expected version 2 does not match current 3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @event-driven-io/emmett@0.42.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { getInMemoryEventStore } from "@event-driven-io/emmett"
import assert from "node:assert/strict"

const store = getInMemoryEventStore()
const event = { type: "added", data: { count: 1 } }
await store.appendToStream("stock", [event, event, event])

const from = 1n
const sum = { evolve: (state, { data }) => state + data.count, initialState: () => 0 }
const version = ({ currentStreamVersion }) => `version ${currentStreamVersion}`
const aggregated = await store.aggregateStream("stock", { ...sum, read: { from } })
const appended = await store
  .appendToStream("stock", [event], { expectedStreamVersion: aggregated.currentStreamVersion })
  .then(() => "done", (error) => error.message)
const seen = [
  `readStream: ${version(await store.readStream("stock"))}`,
  `readStream from 1: ${version(await store.readStream("stock", { from }))}`,
  `aggregateStream: ${version(await store.aggregateStream("stock", sum))}`,
  `aggregateStream from 1: ${version(aggregated)}`,
  `append: ${appended}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "readStream: version 3",
  "readStream from 1: version 3",
  "aggregateStream: version 3",
  "aggregateStream from 1: version 2",
  "append: Expected version 2 does not match current 3"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
