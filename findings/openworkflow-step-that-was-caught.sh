#!/usr/bin/env bash
# openworkflow: a step whose error was caught is run again after its fallback, when the workflow wakes up.
#
# Versions:  openworkflow 0.10.1, @opentelemetry/api 1.9.1, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a durable workflow goes the same way each time that it is replayed. The page on retries says of a step
#            whose error is caught that it is recorded as failed, that the workflow goes on with a fallback, and that
#            no retry is triggered.
# Happens:   that holds up to the next pause. Only steps that succeeded are kept: after a sleep, a signal, a failed step
#            or a restart, the workflow is run from its beginning, and the step that failed is executed again. When it
#            succeeds this time, the `catch` is not gone through, and what comes after goes by the other result. So an
#            order is paid by invoice, as a fallback, and by card as well.
# Setup:     a workflow that pays by card, by invoice where that fails, sleeps and sends. The card fails once. The
#            backend is SQLite in memory.
# Output:    without a sleep: card 1, invoice, send; the result is invoice
#            with a sleep: card 1, invoice, card 2, send; the result is card
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error openworkflow@0.10.1 @opentelemetry/api@1.9.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { OpenWorkflow } from "openworkflow"
import { BackendSqlite } from "openworkflow/sqlite"

const backend = BackendSqlite.connect(":memory:")
const client = new OpenWorkflow({ backend })
const done = { sleep: [], none: [] }
const order = client.defineWorkflow({ name: "order" }, async ({ input, step }) => {
  const steps = done[input]
  const byCard = () => {
    const attempt = steps.filter((name) => name.startsWith("card")).length + 1
    steps.push(`card ${attempt}`)
    if (attempt === 1) throw new Error("the terminal is not reachable")
    return "card"
  }
  const byInvoice = () => {
    steps.push("invoice")
    return "invoice"
  }
  let paid
  try {
    paid = await step.run({ name: "card" }, byCard)
  } catch {
    paid = await step.run({ name: "invoice" }, byInvoice)
  }
  if (input === "sleep") await step.sleep("until the morning", "300ms")
  await step.run({ name: "send" }, () => steps.push("send"))
  return paid
})
const worker = client.newWorker({ concurrency: 1 })
await worker.start()
const run = async (input) => (await order.run(input)).result({ timeoutMs: 30_000 })
const seen = [
  `without a sleep: ${await run("none").then((paid) => `${done.none.join(", ")}; the result is ${paid}`)}`,
  `with a sleep: ${await run("sleep").then((paid) => `${done.sleep.join(", ")}; the result is ${paid}`)}`
]
await worker.stop()
await backend.stop()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "without a sleep: card 1, invoice, send; the result is invoice",
  "with a sleep: card 1, invoice, card 2, send; the result is card"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
