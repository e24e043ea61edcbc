#!/usr/bin/env bash
# etcd: the lock `job` of the npm client and the lock `job` of etcdctl do not exclude each other.
#
# Versions:  Debian etcd-server and etcd-client 3.4.23-4+b4 (bookworm, amd64), etcd3 1.1.2 (npm), Node.js 24.21.0. Seen
#            2026-11-29.
# Expected:  both call it a lock of etcd and take a name, so a script with `etcdctl lock job` and a service with
#            `client.lock("job")` take turns.
# Happens:   etcd stores keys, and a lock is what its client makes of them. etcdctl queues up keys `job/LEASE` and waits
#            for the older ones; etcd3 creates the key `job`, and fails at once when it is there. Neither looks at the
#            other's key, so both hold it. Each excludes its own kind.
# Output:    etcd3 holds it: etcdctl takes it
#            etcd3 holds it: etcd3 is refused
#            etcdctl holds it: etcd3 takes it
#            both hold it, with the keys job and job/LEASE
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in etcd-server etcd-client; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.4.23-4+b4"
  dpkg -x "$package"_*.deb .
done
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error etcd3@1.1.2 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:24141 PATH="$folder/usr/bin:$PATH"
etcd --data-dir data --listen-client-urls "$ETCDCTL_ENDPOINTS" --advertise-client-urls "$ETCDCTL_ENDPOINTS" \
  --listen-peer-urls http://127.0.0.1:24142 --initial-advertise-peer-urls http://127.0.0.1:24142 \
  --initial-cluster default=http://127.0.0.1:24142 2>etcd.log &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "ready to serve client requests" etcd.log

cat >finding.mjs <<'JS'
import { Etcd3, EtcdLockFailedError } from "etcd3"
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { once } from "node:events"
import { promisify } from "node:util"

const client = new Etcd3({ hosts: process.env.ETCDCTL_ENDPOINTS })
const seen = []
const look = (what, found) => {
  console.log(`${what} ${found}`)
  seen.push(found)
}
const etcd3 = async () => {
  try {
    return [await client.lock("job").acquire(), "takes it"]
  } catch (error) {
    assert.ok(error instanceof EtcdLockFailedError, error)
    return [undefined, "is refused"]
  }
}

const [first] = await etcd3()
const { stdout } = await promisify(execFile)("etcdctl", ["lock", "job", "echo", "takes it"], { timeout: 30_000 })
look("etcd3 holds it: etcdctl", stdout.trim())
look("etcd3 holds it: etcd3", (await etcd3())[1])
await first.release()

// Without a command `etcdctl lock` prints its key when it has the lock, and keeps it until it is told to stop.
const holder = execFile("etcdctl", ["lock", "job"])
await once(holder.stdout, "data")
const [second, found] = await etcd3()
look("etcdctl holds it: etcd3", found)
const keys = await client.getAll().prefix("job").keys()
look("both hold it, with the keys", keys.map((key) => key.replace(/\/.*/, "/LEASE")).join(" and "))
await second.release()
holder.kill()
await once(holder, "exit")
client.close()
assert.deepEqual(seen, ["takes it", "is refused", "takes it", "job and job/LEASE"], "the behaviour has changed")
JS
timeout 90 node_modules/.bin/node finding.mjs
