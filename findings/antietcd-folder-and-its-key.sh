#!/usr/bin/env bash
# antietcd: deleting all keys under `jobs/` deletes the key `jobs` as well, and a listing is in no order of keys.
#
# Versions:  antietcd 1.3.1, Node.js 24.21.0, Debian etcd-server 3.4.23-4+b4 (bookworm, amd64). Seen 2026-12-01.
# Expected:  a replacement for etcd in the calls that its page lists. A range that is no folder it refuses, so a range
#            that it takes is that of etcd: from `jobs/` to `jobs0` is what begins with `jobs/`, in the order of keys.
# Happens:   keys are kept as a tree along their slashes, and a range takes a part of the tree, with its root: the key
#            `jobs`, which is no part of the range, is read with it and is deleted with it. A slash at the end, or two
#            in a row, are not kept, so that `jobs/` and `jobs` are one key. A listing is in the order in which the
#            keys were made, small numbers first: where a worker takes the first key of a queue, a priority that
#            the names begin with has no effect.
# Setup:     the same calls to both servers over JSON, and the keys that a range gives in the order that it gives them.
# Output:    from jobs/ to jobs0, etcd: jobs/10 jobs/9 jobs/a jobs/b
#            from jobs/ to jobs0, antietcd: jobs jobs/9 jobs/10 jobs/b jobs/a
#            left after its deletion, etcd: jobs jobsx
#            left after its deletion, antietcd: jobsx
#            put to x/, then x, etcd: nothing
#            put to x/, then x, antietcd: x
set -euo pipefail
folder=$(mktemp -d)
servers=
trap '{ kill -KILL $servers; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root etcd-server=3.4.23-4+b4
dpkg -x etcd-server_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error antietcd@1.3.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
declare -A at=([etcd]=http://127.0.0.1:24195 [antietcd]=http://127.0.0.1:24197)
usr/bin/etcd --data-dir data --listen-client-urls "${at[etcd]}" --advertise-client-urls "${at[etcd]}" \
  --listen-peer-urls http://127.0.0.1:24196 --initial-advertise-peer-urls http://127.0.0.1:24196 \
  --initial-cluster default=http://127.0.0.1:24196 >etcd.log 2>&1 </dev/null &
servers+=" $!"
node_modules/.bin/node node_modules/antietcd/antietcd-app.js --ip 127.0.0.1 --port 24197 >antietcd.log 2>&1 </dev/null &
servers+=" $!"

cat >finding.mjs <<'JS'
import { setTimeout as pause } from "node:timers/promises"

const [name, url] = process.argv.slice(2)
const encoded = (text) => Buffer.from(text).toString("base64")
const call = async (path, key, fields = {}) => {
  const body = { key: encoded(key) }
  for (const [field, text] of Object.entries(fields)) body[field] = encoded(text)
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
  const answer = await fetch(`${url}/v3/kv/${path}`, options)
  if (!answer.ok) throw new Error(`${path} ${key}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}
const range = async (key, end) => {
  const { kvs = [] } = await call("range", key, end === undefined ? {} : { range_end: end })
  return kvs.map((kv) => Buffer.from(kv.key, "base64").toString()).join(" ") || "nothing"
}
// Waits a minute at most.
for (let times = 0; times < 300 && !(await range("jobs").catch(() => "")); times++) await pause(200)

for (const key of ["jobs", "jobs/b", "jobs/a", "jobs/10", "jobs/9", "jobsx"]) await call("put", key, { value: "v" })
console.log(`from jobs/ to jobs0, ${name}: ${await range("jobs/", "jobs0")}`)
await call("deleterange", "jobs/", { range_end: "jobs0" })
const left = []
for (const key of ["jobs", "jobs/a", "jobs/b", "jobsx"]) left.push(await range(key))
console.log(`left after its deletion, ${name}: ${left.filter((key) => key !== "nothing").join(" ")}`)
await call("put", "x/", { value: "v" })
console.log(`put to x/, then x, ${name}: ${await range("x")}`)
JS
for name in etcd antietcd; do
  timeout 90 node_modules/.bin/node finding.mjs "$name" "${at[$name]}"
done | LC_ALL=C sort -s -t, -k1,1 | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
from jobs/ to jobs0, etcd: jobs/10 jobs/9 jobs/a jobs/b
from jobs/ to jobs0, antietcd: jobs jobs/9 jobs/10 jobs/b jobs/a
left after its deletion, etcd: jobs jobsx
left after its deletion, antietcd: jobsx
put to x/, then x, etcd: nothing
put to x/, then x, antietcd: x
EXPECTED
