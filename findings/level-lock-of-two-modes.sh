#!/usr/bin/env bash
# level-lock: two readers of a key exclude each other, and a reader and a writer do not.
#
# Versions:  level-lock 1.0.1, read-write-mutexify 2.1.0, memory-level 3.1.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  "in-memory advisory read/write locks", with modes "r", "w" and "rw", and advisory as those of `flock`, to
#            which its page compares them: any number of readers, or one writer.
# Happens:   "r" and "w" are two locks that have nothing to do with each other, each of which one caller can have. A
#            second reader is refused, as if the key were being written, while a writer goes ahead under the reader's
#            eyes. What should be read as it was all the while needs "rw", and so does the writer that must not disturb
#            it, which makes it a mutex.
# Setup:     who gets the lock beside somebody who has it, with read-write-mutexify for comparison.
# Output:    beside r: r refused, w given, rw refused
#            beside w: r given, w refused, rw refused
#            beside rw: r refused, w refused, rw refused
#            read-write-mutexify, beside a reader: reader given, writer refused
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error level-lock@1.0.1 read-write-mutexify@2.1.0 \
  memory-level@3.1.0 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import lock from "level-lock"
import { MemoryLevel } from "memory-level"
import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"
import Mutex from "read-write-mutexify"

const database = new MemoryLevel()
const modes = ["r", "w", "rw"]
const beside = (held) => {
  const release = lock(database, "jobs/1", held)
  const given = modes.map((mode) => {
    const unlock = lock(database, "jobs/1", mode)
    unlock?.()
    return `${mode} ${unlock ? "given" : "refused"}`
  })
  release()
  return `beside ${held}: ${given.join(", ")}`
}
const mutex = new Mutex()
await mutex.read.lock()
const given = (locking) => Promise.race([locking.then(() => "given"), sleep(100, "refused")])
const seen = [
  ...modes.map(beside),
  `read-write-mutexify, beside a reader: reader ${await given(mutex.read.lock())}, writer ${
    await given(mutex.write.lock())
  }`
]
await database.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "beside r: r refused, w given, rw refused",
  "beside w: r given, w refused, rw refused",
  "beside rw: r refused, w refused, rw refused",
  "read-write-mutexify, beside a reader: reader given, writer refused"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
