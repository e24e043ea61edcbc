#!/usr/bin/env bash
# rwlock: when one of those that wait gives up after its timeout, another one loses its turn, and all later ones too.
#
# Versions:  rwlock 5.0.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  who waits with `timeout` leaves the queue when it is over, and the others keep their places.
# Happens:   the first in the queue is taken out, whoever that is. A caller that stands before the one that gave up is
#            neither called nor told, though it has no timeout itself. The one that gave up stays in its place, where it
#            is passed a lock that it no longer takes, so that nobody behind it gets one either. A lock is that busy for
#            the length of a timeout only under load, and then the process stands still for good.
# Setup:     "A" has the lock for 200 ms, "B" waits, and "C" waits behind it, 50 ms at most; then come "D" and "E".
#            Beside it the same with a timeout of a minute, which nobody reaches.
# Output:    with a timeout of 50 ms: A has it, C gave up
#            with a timeout of a minute: A has it, B has it, C has it, D has it, E reads
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rwlock@5.0.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"
import ReadWriteLock from "rwlock"

const look = async (timeout) => {
  const lock = new ReadWriteLock()
  const events = []
  const take = (what) => (release) => {
    events.push(what)
    release()
  }
  let releaseA
  lock.writeLock((release) => {
    events.push("A has it")
    releaseA = release
  })
  lock.writeLock(take("B has it"))
  lock.writeLock(take("C has it"), { timeout, timeoutCallback: () => events.push("C gave up") })
  await sleep(200)
  releaseA()
  lock.writeLock(take("D has it"))
  lock.readLock(take("E reads"))
  await sleep(200)
  return events.join(", ")
}
const seen = [
  `with a timeout of 50 ms: ${await look(50)}`,
  `with a timeout of a minute: ${await look(60_000)}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "with a timeout of 50 ms: A has it, C gave up",
  "with a timeout of a minute: A has it, B has it, C has it, D has it, E reads"
], "the behaviour has changed")
// The timer of a minute is still there.
process.exit()
JS
timeout 30 node_modules/.bin/node finding.mjs
