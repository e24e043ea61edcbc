#!/usr/bin/env bash
# @keyv/etcd: `clear()` of the namespace "job" deletes what is in "jobs" too.
#
# Versions:  @keyv/etcd 2.1.1, keyv 5.6.0, etcd3 1.1.2 (npm), Debian etcd-server 3.4.23-4+b4 (bookworm, amd64),
#            Node.js 24.21.0. Seen 2026-12-01.
# Expected:  the keys of a namespace begin with it and a colon, and reading, writing and going through a namespace keep
#            to that. Clearing it deletes these and no others.
# Happens:   `clear` deletes all keys that begin with the name, without the colon: those of every namespace whose name
#            goes on from there, and keys that another program has in etcd. The namespace that one has without naming
#            any is "keyv".
# Setup:     namespaces "job" and "jobs" with a key each, and `job-nodes`, which another program has put there.
# Output:    etcd has job-nodes job:a jobs:b, and "job" goes through a
#            "job" is cleared: etcd has nothing
#            value in "jobs": undefined
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root etcd-server=3.4.23-4+b4
dpkg -x etcd-server_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @keyv/etcd@2.1.1 keyv@5.6.0 etcd3@1.1.2 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
usr/bin/etcd --data-dir data --listen-client-urls http://127.0.0.1:24237 \
  --advertise-client-urls http://127.0.0.1:24237 --listen-peer-urls http://127.0.0.1:24238 \
  --initial-advertise-peer-urls http://127.0.0.1:24238 --initial-cluster default=http://127.0.0.1:24238 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

cat >finding.mjs <<'JS'
import KeyvEtcd from "@keyv/etcd"
import { Etcd3 } from "etcd3"
import Keyv from "keyv"
import assert from "node:assert/strict"

const hosts = "127.0.0.1:24237"
const client = new Etcd3({ hosts })
const stored = async () => [...await client.getAll().keys()].sort().join(" ") || "nothing"
const job = new Keyv({ namespace: "job", store: new KeyvEtcd(hosts) })
const jobs = new Keyv({ namespace: "jobs", store: new KeyvEtcd(hosts) })
await client.put("job-nodes").value("3")
await job.set("a", 1)
await jobs.set("b", 2)
const through = []
for await (const [key] of job.iterator()) through.push(key)
const seen = [`etcd has ${await stored()}, and "job" goes through ${through.join(" ")}`]
await job.clear()
seen.push(`"job" is cleared: etcd has ${await stored()}`, `value in "jobs": ${await jobs.get("b")}`)
await Promise.all([job.disconnect(), jobs.disconnect()])
client.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'etcd has job-nodes job:a jobs:b, and "job" goes through a',
  '"job" is cleared: etcd has nothing',
  'value in "jobs": undefined'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
