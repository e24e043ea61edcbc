#!/usr/bin/env bash
# @godaddy/terminus: a health check that gives `false` is answered with 200 and "ok".
#
# Versions:  @godaddy/terminus 4.12.1, @cloudnative/health 2.1.2, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a check is a function for the question whether the process is healthy, and `return client.isConnected()`
#            answers it. What such a function gives is looked at.
# Happens:   only a check that throws has failed. `false` is health for both libraries, an `Error` that is given rather
#            than thrown is too, and so is `{ ok: false }`, which terminus puts beside its "ok" into one answer. A
#            balancer goes on sending requests to a node that says it cannot serve them, and a rolling update goes on
#            to the next one. With `verbatim` terminus answers 200 and no more than `{"ok":false}`.
# Setup:     a server with checks that end in each of the ways, and the same checks for readiness of the other library.
# Output:    false: terminus 200 {"status":"ok"}, @cloudnative/health UP
#            an object: terminus 200 {"status":"ok","info":{"ok":false},"details":{"ok":false}}, @cloudnative/health UP
#            an error given: terminus 200 {"status":"ok","info":{},"details":{}}, @cloudnative/health UP
#            an error thrown: terminus 503 {"status":"error"}, @cloudnative/health DOWN
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  @godaddy/terminus@4.12.1 @cloudnative/health@2.1.2 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import health from "@cloudnative/health"
import terminus from "@godaddy/terminus"
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"

const checks = {
  false: async () => false,
  "an object": async () => ({ ok: false }),
  "an error given": async () => new Error("not connected"),
  "an error thrown": async () => {
    throw new Error("not connected")
  }
}
const seen = []
for (const [name, check] of Object.entries(checks)) {
  const server = createServer((_, response) => response.end("the app"))
  terminus.createTerminus(server, { healthChecks: { "/health": check } })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/health`)
  const text = await answer.text()
  server.close()

  const checker = new health.HealthChecker()
  checker.registerReadinessCheck(new health.ReadinessCheck(name, check))
  const { status } = await checker.getReadinessStatus()
  seen.push(`${name}: terminus ${answer.status} ${text}, @cloudnative/health ${status}`)
}
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'false: terminus 200 {"status":"ok"}, @cloudnative/health UP',
  'an object: terminus 200 {"status":"ok","info":{"ok":false},"details":{"ok":false}}, @cloudnative/health UP',
  'an error given: terminus 200 {"status":"ok","info":{},"details":{}}, @cloudnative/health UP',
  'an error thrown: terminus 503 {"status":"error"}, @cloudnative/health DOWN'
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
