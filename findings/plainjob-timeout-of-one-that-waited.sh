#!/usr/bin/env bash
# plainjob: the timeout of a job counts from when it was due, so that one that has waited runs twice at a time.
#
# Versions:  plainjob 0.0.14, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `timeout`, 30 minutes by default, is for "job timeout handling: re-queue jobs if a worker dies": a job that
#            has been running for longer than that is given to another worker.
# Happens:   what is compared with it is the time at which the job was due; when it began is not stored. A job that has
#            stood behind others for 30 minutes is queued again at the next look, within a minute of its begin, while
#            its worker is at it, and again each minute. So a backlog, the time when workers are busiest, has each free
#            one run what another is running.
# Setup:     two workers and three jobs of 700 ms, due at once, of which the third has to wait, with a timeout of a
#            second and a look each 20 ms; then the same with a timeout of 10 s. The connection is SQLite of Node.js,
#            with the methods of better-sqlite3 that plainjob uses.
# Output:    timeout 1 s: job 1 ran 1, job 2 ran 1, job 3 ran 2, 2 of one job at a time
#            timeout 10 s: job 1 ran 1, job 2 ran 1, job 3 ran 1, 1 of one job at a time
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
const connect = (name) => {
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
  return better({
    name,
    pragma: (text) => database.exec(`PRAGMA ${text}`),
    transaction,
    exec: (text) => database.exec(text),
    prepare: (text) => database.prepare(text),
    close: () => database.close()
  })
}
const look = async (seconds) => {
  const queue = defineQueue({
    connection: connect(":memory:"),
    logger: quiet,
    timeout: seconds * 1000,
    maintenanceInterval: 20
  })
  const runs = new Map([[1, 0], [2, 0], [3, 0]])
  const running = new Map()
  let most = 0
  const report = async ({ id }) => {
    runs.set(id, runs.get(id) + 1)
    running.set(id, (running.get(id) ?? 0) + 1)
    most = Math.max(most, running.get(id))
    await sleep(700)
    running.set(id, running.get(id) - 1)
  }
  queue.addMany("report", [{}, {}, {}])
  const workers = [1, 2].map(() => defineWorker("report", report, { queue, logger: quiet, pollIntervall: 20 }))
  const started = workers.map((worker) => worker.start())
  while (queue.countJobs({ status: JobStatus.Done }) < 3) await sleep(20)
  await Promise.all(workers.map((worker) => worker.stop()))
  await Promise.all(started)
  queue.close()
  const counts = Array.from(runs, ([id, count]) => `job ${id} ran ${count}`)
  return `timeout ${seconds} s: ${counts.join(", ")}, ${most} of one job at a time`
}
const seen = [await look(1), await look(10)]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "timeout 1 s: job 1 ran 1, job 2 ran 1, job 3 ran 2, 2 of one job at a time",
  "timeout 10 s: job 1 ran 1, job 2 ran 1, job 3 ran 1, 1 of one job at a time"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node --no-warnings finding.mjs
