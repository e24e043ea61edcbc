#!/usr/bin/env bash
# node:https: from the second connection to a server on, `getPeerCertificate()` is empty.
#
# Versions:  Node.js 24.21.0, any openssl. Seen 2026-11-30.
# Expected:  a client sees the server's certificate on each connection. A check that says how many days a certificate
#            has left works for as long as it runs.
# Happens:   the agent keeps TLS sessions, also without keep-alive, and a connection that resumes one has no certificate
#            to show: `getPeerCertificate()` is `{}`, and `getPeerX509Certificate()` undefined, while `authorized` stays
#            true. The days left are a number once and NaN from then on, which is never below a threshold: the alert
#            cannot fire. After a restart of the check it looks right again. An agent with `maxCachedSessions: 0` helps.
# Setup:     a certificate of 30 days, asked for three times, each on a connection of its own.
# Output:    default agent: resumed false, authorized true, days left 30
#            default agent: resumed true, authorized true, days left NaN
#            default agent: resumed true, authorized true, days left NaN
#            maxCachedSessions 0: resumed false, authorized true, days left 30      (three times)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out certificate.pem -days 30 \
  -subj "/CN=server" -addext "subjectAltName=IP:127.0.0.1" 2>/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import https from "node:https"

const cert = readFileSync("certificate.pem")
const server = https.createServer({ key: readFileSync("key.pem"), cert }, (_, response) => response.end("ok"))
server.listen(0, "127.0.0.1")
await once(server, "listening")

const seen = []
const look = async (what, options) => {
  const agent = new https.Agent({ keepAlive: false, ...options })
  for (let i = 0; i < 3; i++) {
    const request = https.get({ host: "127.0.0.1", port: server.address().port, ca: cert, agent })
    const [response] = await once(request, "response")
    const { socket } = response
    const left = Math.round((new Date(socket.getPeerCertificate().valid_to) - Date.now()) / 86_400_000)
    assert.equal(socket.getPeerX509Certificate() === undefined, Number.isNaN(left))
    const line = `${what}: resumed ${socket.isSessionReused()}, authorized ${socket.authorized}, days left ${left}`
    console.log(line)
    seen.push(line)
    response.resume()
    await once(response, "close")
  }
}
await look("default agent", {})
await look("maxCachedSessions 0", { maxCachedSessions: 0 })
server.close()
server.closeAllConnections()

const whole = "resumed false, authorized true, days left 30"
const resumed = "resumed true, authorized true, days left NaN"
assert.deepEqual(seen, [
  ...[whole, resumed, resumed].map((line) => `default agent: ${line}`),
  ...[whole, whole, whole].map((line) => `maxCachedSessions 0: ${line}`)
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
