#!/usr/bin/env bash
# p-queue and bottleneck: with a timeout for jobs, more of them run at a time than the limit allows.
#
# Versions:  p-queue 9.3.5, bottleneck 2.19.5, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a limit of one at a time is what protects the thing behind it. A job that takes too long is given up for
#            its caller, and the next one begins when it has really ended.
# Happens:   the timeout ends the wait, not the job, and its place is given away at once. A database that has become
#            slow gets more and more queries at a time from a queue that was to spare it: as many as the time of a job
#            goes into the timeout, and one. A job that must not run twice at a time does. Neither counts those that
#            still run. A job that stops by itself (a signal, a timeout of the driver) keeps to the limit.
# Setup:     six jobs, each as long as the test lets it, with a limit of one and a timeout of 50 ms. The most that
#            were running at a time, when all callers were told.
# Output:    p-queue, no timeout: 1 at a time
#            p-queue, timeout: 6 at a time, waiting or running by its own count: 0
#            bottleneck, no expiration: 1 at a time
#            bottleneck, expiration: 6 at a time, waiting or running by its own count: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error p-queue@9.3.5 bottleneck@2.19.5 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import Bottleneck from "bottleneck"
import assert from "node:assert/strict"
import PQueue from "p-queue"

// Runs six jobs, which end when `isSlow` says no, or when all callers were told.
const look = async (name, isSlow, add, count) => {
  let running = 0
  let most = 0
  const { promise: allTold, resolve } = Promise.withResolvers()
  const job = async () => {
    running++
    most = Math.max(most, running)
    await (isSlow ? allTold : new Promise(setImmediate))
    running--
  }
  await Promise.allSettled(Array.from({ length: 6 }, () => add(job)))
  const counted = isSlow ? `, waiting or running by its own count: ${count()}` : ""
  resolve()
  return `${name}: ${most} at a time${counted}`
}
const plain = new PQueue({ concurrency: 1 })
const timed = new PQueue({ concurrency: 1, timeout: 50 })
const limiter = new Bottleneck({ maxConcurrent: 1 })
const pending = () => {
  const { RECEIVED, QUEUED, RUNNING, EXECUTING } = limiter.counts()
  return RECEIVED + QUEUED + RUNNING + EXECUTING
}
const seen = [
  await look("p-queue, no timeout", false, (job) => plain.add(job)),
  await look("p-queue, timeout", true, (job) => timed.add(job), () => timed.size + timed.pending),
  await look("bottleneck, no expiration", false, (job) => limiter.schedule(job)),
  await look("bottleneck, expiration", true, (job) => limiter.schedule({ expiration: 50 }, job), pending)
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "p-queue, no timeout: 1 at a time",
  "p-queue, timeout: 6 at a time, waiting or running by its own count: 0",
  "bottleneck, no expiration: 1 at a time",
  "bottleneck, expiration: 6 at a time, waiting or running by its own count: 0"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
