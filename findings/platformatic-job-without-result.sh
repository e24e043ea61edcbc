#!/usr/bin/env bash
# @platformatic/job-queue: a job whose handler returns nothing is run again until its tries are over, and has failed.
#
# Versions:  @platformatic/job-queue 0.5.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a handler that ends without an error has done its job. Most jobs, such as sending a mail, have no result.
# Happens:   the result is made JSON and then bytes, which fails for `undefined`, and that is taken for a failure of the
#            handler: the job is run again, three times in all, so that the mail is sent three times, and it ends in the
#            list of failed ones. `null` is a result.
# Setup:     a queue in memory, `maxRetries: 3`, for each line another handler; "runs" counts its calls.
# Output:    returns null: completed, 1 run
#            returns nothing: failed, 3 runs, The first argument must be of type string or an instance of Buffer…
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @platformatic/job-queue@0.5.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { MemoryStorage, Queue } from "@platformatic/job-queue"
import assert from "node:assert/strict"
import { once } from "node:events"

const run = async (handler) => {
  const queue = new Queue({ storage: new MemoryStorage(), maxRetries: 3, blockTimeout: 1 })
  let runs = 0
  queue.execute(async () => {
    runs += 1
    return handler()
  })
  await queue.start()
  const ended = Promise.race([
    once(queue, "completed").then(() => "completed"),
    once(queue, "failed").then(([, error]) => ["failed", error])
  ])
  await queue.enqueue("mail-1", { to: "someone" })
  const [state, error] = [await ended].flat()
  await queue.stop()
  const reason = (error?.cause ?? error)?.message.match(/The first .* of Buffer/)?.[0]
  return `${state}, ${runs} ${runs === 1 ? "run" : "runs"}${reason === undefined ? "" : `, ${reason}…`}`
}
const seen = [`returns null: ${await run(() => null)}`, `returns nothing: ${await run(() => undefined)}`]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "returns null: completed, 1 run",
  "returns nothing: failed, 3 runs, The first argument must be of type string or an instance of Buffer…"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
