#!/usr/bin/env bash
# @node-idempotency/core: once the time of a key is over, all requests that come with it at a time run.
#
# Versions:  @node-idempotency/core 1.0.11, @node-idempotency/storage-adapter-memory 1.0.2, Node.js 24.21.0.
#            Seen 2026-12-01.
# Expected:  of requests with one key that come at a time, one runs and the others are refused or wait: the library
#            calls itself free of races. A key whose time is over is a new key.
# Happens:   the store in memory says of a key whose time is over that it exists, and then that it has no value. The
#            library lets the request run, and does not mark it as one that is in progress. So do all others that come
#            at that moment, and one that comes while the first runs marks itself, and runs beside it. A client that has
#            one key for an order of each month, and sends it again after a timeout, pays twice. A new key is right,
#            which is what a test uses.
# Setup:     three requests with one key, at a time or one after the other without an answer: each runs, is refused as
#            one is in progress, or is given the answer of the first.
# Output:    new key, at a time: runs, refused, refused
#            then, answered: answer, answer, answer
#            time over, at a time: runs, runs, runs
#            time over again, one after the other: runs, runs, refused
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @node-idempotency/core@1.0.11 \
  @node-idempotency/storage-adapter-memory@1.0.2 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Idempotency, IdempotencyErrorCodes } from "@node-idempotency/core"
import { MemoryStorageAdapter } from "@node-idempotency/storage-adapter-memory"
import assert from "node:assert/strict"
import { setTimeout as pause } from "node:timers/promises"

const cacheTTLMS = 2000
const idempotency = new Idempotency(new MemoryStorageAdapter(), { cacheTTLMS })
const request = { method: "POST", path: "/pay", headers: { "idempotency-key": "2026-12" }, body: { amount: 5 } }
const one = () =>
  idempotency.onRequest(request).then(
    (answer) => answer === undefined ? "runs" : answer.body,
    ({ code }) => code === IdempotencyErrorCodes.REQUEST_IN_PROGRESS ? "refused" : code
  )
const atATime = async () => (await Promise.all([one(), one(), one()])).join(", ")
const over = () => pause(cacheTTLMS + 500)

const seen = [`new key, at a time: ${await atATime()}`]
await idempotency.onResponse(request, { body: "answer" })
seen.push(`then, answered: ${await atATime()}`)
await over()
seen.push(`time over, at a time: ${await atATime()}`)
await idempotency.onResponse(request, { body: "answer" })
await over()
seen.push(`time over again, one after the other: ${await one()}, ${await one()}, ${await one()}`)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "new key, at a time: runs, refused, refused",
  "then, answered: answer, answer, answer",
  "time over, at a time: runs, runs, runs",
  "time over again, one after the other: runs, runs, refused"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
