#!/usr/bin/env bash
# better-queue: of two waiting tasks with the same `id` the first is never run, and its callback says that it was.
#
# Versions:  better-queue 3.8.12, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  what is pushed is run, once, in order. `id` is a field of the task like any other: the order, the user or
#            the file that there is something to do for.
# Happens:   a field named `id` is taken for the id of the task, without any option. A task whose id waits already
#            replaces the one that waits, and the callbacks of both are called with the result of the later one. As
#            long as nothing waits all tasks run, so that a test and a quiet day do not show it. `id: false` does not
#            turn it off; the `id` of a field that no task has does.
# Setup:     create 7, pay 7, ship 8 and cancel 7 are pushed. Each line is what ran, and whose result the callback of
#            each was given, in the order of the calls.
# Output:    together: ran cancel, ship; told cancel, cancel, its own, its own
#            one by one: ran create, pay, ship, cancel; told its own, its own, its own, its own
#            together, id false: ran cancel, ship; told cancel, cancel, its own, its own
#            together, id of no field: ran create, pay, ship, cancel; told its own, its own, its own, its own
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error better-queue@3.8.12 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import Queue from "better-queue"
import assert from "node:assert/strict"

const tasks = [
  { id: 7, op: "create" },
  { id: 7, op: "pay" },
  { id: 8, op: "ship" },
  { id: 7, op: "cancel" }
]
const run = async (options, oneByOne) => {
  const ran = []
  const told = []
  const queue = new Queue(({ op }, done) => {
    ran.push(op)
    done(null, op)
  }, options)
  const push = (task) =>
    new Promise((done) =>
      queue.push(task, (_, result) => {
        told.push(task.op === result ? "its own" : result)
        done()
      })
    )
  const pushed = []
  for (const task of tasks) {
    pushed.push(push(task))
    if (oneByOne) await pushed.at(-1)
  }
  await Promise.all(pushed)
  return `ran ${ran.join(", ")}; told ${told.join(", ")}`
}
const seen = [
  `together: ${await run({}, false)}`,
  `one by one: ${await run({}, true)}`,
  `together, id false: ${await run({ id: false }, false)}`,
  `together, id of no field: ${await run({ id: "none" }, false)}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "together: ran cancel, ship; told cancel, cancel, its own, its own",
  "one by one: ran create, pay, ship, cancel; told its own, its own, its own, its own",
  "together, id false: ran cancel, ship; told cancel, cancel, its own, its own",
  "together, id of no field: ran create, pay, ship, cancel; told its own, its own, its own, its own"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
