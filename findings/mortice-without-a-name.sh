#!/usr/bin/env bash
# mortice: two locks that are made without a name are one, and the options of the second are dropped.
#
# Versions:  mortice 3.3.1, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  the name of a lock is optional: with the same name one gets the same lock, from a worker too, and without
#            one a lock of one's own, as from any other constructor.
# Happens:   without a name it is called "lock", so that all such locks of a process are one, those within its
#            dependencies included. Two parts of a program that have nothing to do with each other wait for each other,
#            and who takes the second one while it has the first waits for itself. Of two locks with one name the first
#            one's `concurrency` holds for both, without a word.
# Setup:     one lock is held for 300 ms while the other one is asked for; then the same with names, and readers of a
#            lock that is made a second time with `concurrency: 1`.
# Output:    without names: the second one is given after the first
#            with two names: the second one is given before the first
#            readers at a time with concurrency 1, the name being new: 1
#            readers at a time with concurrency 1, the name being taken: 3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error mortice@3.3.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import mortice from "mortice"
import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"

const order = async (first, second) => {
  let released = false
  const release = await first.writeLock()
  const holding = sleep(300).then(() => {
    released = true
    release()
  })
  const releaseSecond = await second.writeLock()
  const when = released ? "after" : "before"
  releaseSecond()
  await holding
  return `the second one is given ${when} the first`
}
const readersAtATime = async (lock) => {
  let now = 0
  let most = 0
  await Promise.all([1, 2, 3].map(async () => {
    const release = await lock.readLock()
    now++
    most = Math.max(most, now)
    await sleep(50)
    now--
    release()
  }))
  return most
}
const seen = [
  `without names: ${await order(mortice(), mortice())}`,
  `with two names: ${await order(mortice({ name: "jobs" }), mortice({ name: "files" }))}`
]
const fresh = await readersAtATime(mortice({ name: "pages", concurrency: 1 }))
seen.push(`readers at a time with concurrency 1, the name being new: ${fresh}`)
mortice({ name: "blocks" })
const taken = await readersAtATime(mortice({ name: "blocks", concurrency: 1 }))
seen.push(`readers at a time with concurrency 1, the name being taken: ${taken}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "without names: the second one is given after the first",
  "with two names: the second one is given before the first",
  "readers at a time with concurrency 1, the name being new: 1",
  "readers at a time with concurrency 1, the name being taken: 3"
], "the behaviour has changed")
// The locks keep a channel to workers open.
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
