#!/usr/bin/env bash
# etcd3 (npm): a transaction over two keys conflicts each time, though nobody else is there, when one is older.
#
# Versions:  etcd3 1.1.2 (npm), Debian etcd-server 3.4.23-4+b4 (bookworm, amd64), Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `stm().transact(…)` fails with a conflict when another client has changed one of its keys meanwhile, and
#            is tried again then. Alone in the cluster it commits at once, as the transfer between two accounts that
#            the documentation of `SoftwareTransaction` shows.
# Happens:   with the isolation that is the default, a key that is written must not have changed after the oldest of
#            the keys that were read had changed; the library for Go has it compared with the revision at which they
#            were read. Two accounts that were put one after the other are at different revisions: the transfer
#            conflicts on each of its four tries, and on all later ones, until something else has written both keys at
#            once. With `isolation: 1`, or where only keys are written that are new or the oldest of those read, it
#            commits.
# Setup:     one client and nobody else. `a` is put before `b`, `config` before `job`. 1 is `Serializable`.
# Output:    transfer from a to b: STMConflictError
#            the same as serializable: done
#            the same again, both being of one revision: done
#            after another put of b: STMConflictError
#            read config, write job: STMConflictError
#            read config, write a new key: done
#            read b, write b: done
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
usr/bin/etcd --data-dir data --listen-client-urls http://127.0.0.1:24242 \
  --advertise-client-urls http://127.0.0.1:24242 --listen-peer-urls http://127.0.0.1:24243 \
  --initial-advertise-peer-urls http://127.0.0.1:24243 --initial-cluster default=http://127.0.0.1:24243 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

cat >finding.mjs <<'JS'
import { Etcd3 } from "etcd3"
import assert from "node:assert/strict"

const client = new Etcd3({ hosts: "127.0.0.1:24242" })
const transact = (options, body) =>
  client.stm(options).transact(body).then(() => "done", (error) => error.constructor.name)
const transfer = (options) =>
  transact(options, async (tx) => {
    const [a, b] = [await tx.get("a").number(), await tx.get("b").number()]
    await tx.put("a").value(a - 1)
    await tx.put("b").value(b + 1)
  })
await client.put("a").value(10)
await client.put("b").value(10)
const seen = [
  `transfer from a to b: ${await transfer()}`,
  `the same as serializable: ${await transfer({ isolation: 1 })}`,
  `the same again, both being of one revision: ${await transfer()}`
]
await client.put("b").value(50)
seen.push(`after another put of b: ${await transfer()}`)
await client.put("config").value("fast")
await client.put("job").value("waiting")
const write = (key) =>
  transact(undefined, async (tx) => {
    const config = await tx.get("config").string()
    await tx.put(key).value(`started ${config}`)
  })
seen.push(`read config, write job: ${await write("job")}`)
seen.push(`read config, write a new key: ${await write("another job")}`)
const increment = transact(undefined, async (tx) => {
  await tx.put("b").value(await tx.get("b").number() + 1)
})
seen.push(`read b, write b: ${await increment}`)
client.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "transfer from a to b: STMConflictError",
  "the same as serializable: done",
  "the same again, both being of one revision: done",
  "after another put of b: STMConflictError",
  "read config, write job: STMConflictError",
  "read config, write a new key: done",
  "read b, write b: done"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
