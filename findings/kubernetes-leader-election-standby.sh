#!/usr/bin/env bash
# @codedependant/kubernetes-leader-election: when the leader stops, a standby that has waited for a while does not
# take over, and there is no leader any more.
#
# Versions:  @codedependant/kubernetes-leader-election 1.0.1, @kubernetes/client-node 1.4.0, Node.js 24.21.0.
#            Seen 2026-12-01.
# Expected:  of the electors with one lease, one is the leader. When it stops and gives up the lease, or dies and the
#            lease runs out, another one takes it: that is what a second pod is for.
# Happens:   an elector tries three times within the length of a lease from its start, and then no more. What it
#            watches makes it lead only if the lease has its own name, or is deleted. After 20 s each pod has given
#            up, and when the leader is gone nobody asks for the lease again, until a pod is restarted. A test that
#            stops the leader soon after both have started passes. The first lease has no `leaseDurationSeconds`
#            either: its field is misspelt, and an API server drops it.
# Setup:     a server for one lease, with its versions and its watch. Two electors with leases of 4 s; the leader stops
#            0.5 s after the second one has started, or when that one has tried three times. "asked" is what the other
#            one asks the server for in the 10 s after the stop; then the lease is deleted.
# Output:    the leader stops soon: asked more than once, the other one leads
#            the leader stops later: asked never, nobody leads, after a deletion the other one leads
#            first lease: acquireTime, holderIdentity, renewTime
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @codedependant/kubernetes-leader-election@1.0.1 \
  @kubernetes/client-node@1.4.0 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import election from "@codedependant/kubernetes-leader-election"
import assert from "node:assert/strict"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { setTimeout as pause } from "node:timers/promises"

// The part of an API server that keeps leases by name.
const leases = new Map()
const watchers = new Set()
let version = 0
const tell = (type, lease) => {
  for (const watcher of watchers) watcher.write(`${JSON.stringify({ type, object: lease })}\n`)
}
const remove = (name) => {
  const lease = leases.get(name)
  leases.delete(name)
  tell("DELETED", lease)
}
const asked = new Map()
const first = new Map()
const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://server")
  const answer = (code, body) => {
    response.writeHead(code, { "content-type": "application/json" })
    response.end(JSON.stringify(code < 300 ? body : { kind: "Status", code }))
  }
  let text = ""
  for await (const chunk of request) text += chunk
  if (searchParams.has("watch")) {
    response.writeHead(200, { "content-type": "application/json" })
    response.flushHeaders()
    watchers.add(response)
    for (const lease of leases.values()) response.write(`${JSON.stringify({ type: "ADDED", object: lease })}\n`)
    return
  }
  const given = text === "" ? undefined : JSON.parse(text)
  const name = given?.metadata.name ?? pathname.split("/").at(-1)
  asked.set(name, (asked.get(name) ?? 0) + 1)
  const lease = leases.get(name)
  if (given === undefined) return answer(lease === undefined ? 404 : 200, lease)
  // A create needs that there is none yet, and a change the version that is there.
  if (given.metadata.resourceVersion !== lease?.metadata.resourceVersion) return answer(409)
  // A field that a lease does not have is dropped.
  delete given.spec.leaseDurationSec
  if (lease === undefined && !first.has(name)) first.set(name, Object.keys(given.spec))
  given.metadata.resourceVersion = String(++version)
  leases.set(name, given)
  tell(lease === undefined ? "ADDED" : "MODIFIED", given)
  answer(lease === undefined ? 201 : 200, given)
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const cluster = { server: `http://127.0.0.1:${server.address().port}`, "insecure-skip-tls-verify": true }
const config = { clusters: [{ name: "c", cluster }], users: [{ name: "u", user: {} }], "current-context": "x" }
const contexts = [{ name: "x", context: { cluster: "c", user: "u" } }]
writeFileSync("config", JSON.stringify({ apiVersion: "v1", kind: "Config", ...config, contexts }))
process.env.KUBECONFIG = "config"
process.env.KUBERNETES_SERVICE_HOST = "127.0.0.1"

// until HOLDS SECONDS: whether it comes to hold within that time.
const until = async (holds, seconds) => {
  for (let times = 0; times < seconds * 20 && !holds(); times++) await pause(50)
  return holds()
}
const times = { lease_duration_sec: 4, renew_interval_ms: 100 }
const run = async (name, when) => {
  const make = (identity) => new election.Elector({ identity, lease_name: name, auto_close: false, ...times })
  const leader = make("leader")
  await leader.start()
  assert.ok(await until(() => leader.current_leader, 20))
  const other = make("other")
  await other.start()
  await when()
  assert.ok(leader.current_leader && !other.current_leader)
  await leader.stop()
  const before = asked.get(name)
  const leads = await until(() => other.current_leader, 10)
  const calls = asked.get(name) - before
  if (leads) return `asked ${calls > 1 ? "more than once" : calls}, the other one leads`
  remove(name)
  const after = (await until(() => other.current_leader, 20)) ? "the other one leads" : "nobody leads"
  return `asked ${calls === 0 ? "never" : calls}, nobody leads, after a deletion ${after}`
}
const [soon, later] = await Promise.all([run("soon", () => pause(500)), run("later", () => pause(6000))])
const seen = [
  `the leader stops soon: ${soon}`,
  `the leader stops later: ${later}`,
  `first lease: ${first.get("later").join(", ")}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "the leader stops soon: asked more than once, the other one leads",
  "the leader stops later: asked never, nobody leads, after a deletion the other one leads",
  "first lease: acquireTime, holderIdentity, renewTime"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
