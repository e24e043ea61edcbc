#!/usr/bin/env bash
# plainjob: `worker.stop()` does not wait for the job that is running, which the shutdown of its page then cuts off.
#
# Versions:  plainjob 0.0.14, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  "await worker.stop(); // <-- finishes processing jobs", after which the page closes the queue and exits.
# Happens:   it waits for the pause between two looks into the queue, not for a job. With a job under way it is over at
#            once, the process ends in the middle of the job, and the row says "processing" until the timeout of 30
#            minutes, when another worker runs the job from its beginning. Where the process does not exit, the end of
#            the job fails over the closed database, and `worker.start()` with it. What one can wait for besides is the
#            promise of `start()`, which is over when the last job is.
# Setup:     a worker stops while its job, of 300 ms, is running. The connection is SQLite of Node.js, with the methods
#            of better-sqlite3 that plainjob uses.
# Output:    stopped while the job is running
#            the job, when the queue is opened again: processing
#            the worker: statement has been finalized
#            with start() awaited after stop(): done
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error plainjob@0.0.14 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import { better, defineQueue, defineWorker, JobStatus } from "plainjob"

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const open = (name) => {
  const database = new DatabaseSync(name)
  const transaction = (body) => {
    const immediate = (...input) => {
      database.exec("BEGIN IMMEDIATE")
      try {
        return body(...input)
      } finally {
        database.exec("COMMIT")
      }
    }
    return Object.assign(immediate, { immediate })
  }
  const connection = better({
    name,
    pragma: (text) => database.exec(`PRAGMA ${text}`),
    transaction,
    exec: (text) => database.exec(text),
    prepare: (text) => database.prepare(text),
    close: () => database.close()
  })
  return defineQueue({ connection, logger: quiet })
}
const status = (name, id) => {
  const queue = open(name)
  const job = queue.getJobById(id)
  queue.close()
  return JobStatus[job.status].toLowerCase()
}
const look = async (name, awaitStart) => {
  const queue = open(name)
  let state = "waiting"
  const report = async () => {
    state = "running"
    await sleep(300)
    state = "over"
  }
  const worker = defineWorker("report", report, { queue, logger: quiet, pollIntervall: 10 })
  const { id } = queue.add("report", {})
  const started = worker.start().then(() => "ended", (error) => error.message)
  while (state === "waiting") await sleep(10)
  await worker.stop()
  const stopped = `stopped while the job is ${state}`
  if (awaitStart) await started
  queue.close()
  return [stopped, `${status(name, id)}`, `${await started}`]
}
const [stopped, reopened, worker] = await look("one.db", false)
const [, awaited] = await look("two.db", true)
const seen = [
  stopped,
  `the job, when the queue is opened again: ${reopened}`,
  `the worker: ${worker}`,
  `with start() awaited after stop(): ${awaited}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "stopped while the job is running",
  "the job, when the queue is opened again: processing",
  "the worker: statement has been finalized",
  "with start() awaited after stop(): done"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node --no-warnings finding.mjs
