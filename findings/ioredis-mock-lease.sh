#!/usr/bin/env bash
# ioredis-mock: `expire … NX` replaces the time, and scripts give back what Redis cannot: true, false and fractions.
#
# Versions:  ioredis-mock 8.13.1, ioredis 5.11.1 (npm), Debian redis-tools (the server's program) and redis-server
#            5:7.0.15-1~deb12u10 (bookworm, amd64), Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a server made for tests says that it does not have a command or an option, as this one does of `XGROUP` and
#            of `ZADD … GT`, or does what the real one does.
# Happens:   what leases, locks and limits stand on passes in the test and is another thing with Redis. An option of
#            `EXPIRE` is accepted and ignored, so that a lease that should keep its end is prolonged. Redis cuts the
#            fraction off a number of a script, so that 3.7 tokens are 3, and has neither true nor false: `=== true`
#            is never so. An `INCR` of a text that is no number is an error there, and null here, or a fraction.
# Setup:     the same calls of ioredis to Redis and to the mock.
# Output:    expire 100, then expire 200 NX: redis [0,100], mock [1,200]
#            script, 3.7 tokens: redis 3, mock 3.7
#            script, holder is the caller: redis 1, mock true
#            script, holder is another: redis null, mock false
#            incr of "1.5": redis refused, mock 2.5
#            incr of "none": redis refused, mock null
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 \
  libatomic1 libhiredis0.14 libjemalloc2 liblua5.1-0 liblzf1 lua-bitop lua-cjson; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error ioredis@5.11.1 ioredis-mock@8.13.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" usr/bin/redis-server \
  --bind 127.0.0.1 --port 24226 --save "" --dir "$folder" >redis.log 2>&1 &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "Ready to accept connections" redis.log

cat >finding.mjs <<'JS'
import Redis from "ioredis"
import Mock from "ioredis-mock"
import assert from "node:assert/strict"

const redis = new Redis(24226, "127.0.0.1")
const mock = new Mock()
const isHolder = "return redis.call('get', KEYS[1]) == ARGV[1]"

const text = (call, client) => call(client).then((value) => JSON.stringify(value), () => "refused")
const look = async (what, call) => `${what}: redis ${await text(call, redis)}, mock ${await text(call, mock)}`
const seen = [
  await look("expire 100, then expire 200 NX", async (client) => {
    await client.set("lease", "worker-1")
    await client.expire("lease", 100)
    return [await client.expire("lease", 200, "NX"), await client.ttl("lease")]
  }),
  await look("script, 3.7 tokens", (client) => client.eval("return 3.7", 0)),
  await look("script, holder is the caller", (client) => client.eval(isHolder, 1, "lease", "worker-1")),
  await look("script, holder is another", (client) => client.eval(isHolder, 1, "lease", "worker-2")),
  await look("incr of \"1.5\"", async (client) => {
    await client.set("count", "1.5")
    return client.incr("count")
  }),
  await look("incr of \"none\"", async (client) => {
    await client.set("count", "none")
    return client.incr("count")
  })
]
redis.disconnect()
mock.disconnect()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "expire 100, then expire 200 NX: redis [0,100], mock [1,200]",
  "script, 3.7 tokens: redis 3, mock 3.7",
  "script, holder is the caller: redis 1, mock true",
  "script, holder is another: redis null, mock false",
  "incr of \"1.5\": redis refused, mock 2.5",
  "incr of \"none\": redis refused, mock null"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
