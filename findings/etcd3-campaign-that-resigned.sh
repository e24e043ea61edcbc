#!/usr/bin/env bash
# etcd3 (npm): a candidate that has resigned is told that it is elected when its turn would have come.
#
# Versions:  etcd3 1.1.2 (npm), Debian etcd-server 3.4.23-4+b4 (bookworm, amd64), Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `resign()` takes a candidate out of the election, and it hears nothing more of it. It says so itself: the
#            promise of `wait()` never ends when one resigns before.
# Happens:   the candidate goes on waiting for the key before its own, and emits "elected" when that is deleted, without
#            a look whether its own key is still there. A process that steps back before it stops, or while it is not
#            ready, begins the work of the leader beside the one that is elected: both have the event, and `leader()`
#            names the other. `proclaim()` of it fails, which is what one can ask before the work.
# Setup:     "A" is elected, "B" waits and resigns, "C" waits, then "A" resigns. The events, in order of names.
# Output:    before A resigns: A elected
#            after it: A elected, B elected, C elected
#            the promise of B: kept
#            leader: C
#            B proclaims: NotCampaigningError
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root etcd-server=3.4.23-4+b4
dpkg -x etcd-server_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error etcd3@1.1.2 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
usr/bin/etcd --data-dir data --listen-client-urls http://127.0.0.1:24235 \
  --advertise-client-urls http://127.0.0.1:24235 --listen-peer-urls http://127.0.0.1:24236 \
  --initial-advertise-peer-urls http://127.0.0.1:24236 --initial-cluster default=http://127.0.0.1:24236 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

cat >finding.mjs <<'JS'
import { Etcd3 } from "etcd3"
import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"

const client = new Etcd3({ hosts: "127.0.0.1:24235" })
const election = client.election("jobs", 30)
const events = []
const candidate = (name) => {
  const campaign = election.campaign(name)
  campaign.on("elected", () => events.push(`${name} elected`))
  campaign.on("error", (error) => events.push(`${name} ${error.name}`))
  return campaign
}
// In the election stands who has a key there.
const standing = async (count) => {
  while (await client.getAll().prefix("election/jobs/").count() !== count) await sleep(20)
}
const a = candidate("A")
await a.wait()
const b = candidate("B")
await standing(2)
// Long enough for it to watch the key before its own.
await sleep(1000)
let promise = "open"
b.wait().then(() => promise = "kept", () => promise = "broken")
await b.resign()
await standing(1)
const c = candidate("C")
await standing(2)
await sleep(1000)
const before = [...events].sort().join(", ")
const elected = c.wait()
await a.resign()
await elected
await sleep(1000)
const seen = [
  `before A resigns: ${before}`,
  `after it: ${[...events].sort().join(", ")}`,
  `the promise of B: ${promise}`,
  `leader: ${await election.leader()}`,
  `B proclaims: ${await b.proclaim("B again").then(() => "done", (error) => error.constructor.name)}`
]
await c.resign()
client.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "before A resigns: A elected",
  "after it: A elected, B elected, C elected",
  "the promise of B: kept",
  "leader: C",
  "B proclaims: NotCampaigningError"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
