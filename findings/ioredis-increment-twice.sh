#!/usr/bin/env bash
# ioredis: an `incr` whose answer is lost with the connection runs twice, and the caller is not told.
#
# Versions:  ioredis 5.11.1, redis 6.3.1 (npm), Debian redis-tools (the server's program) and redis-server
#            5:7.0.15-1~deb12u10 (bookworm, amd64), Node.js 24.21.0. Seen 2026-11-30.
# Expected:  when the connection breaks after a command was sent, nobody knows whether it ran. The call fails, and who
#            made it decides whether it may run again, as a `get` may and an `incr` or an `rpush` may not.
# Happens:   all commands without an answer are sent again on the next connection, whatever they do. The promise
#            resolves with the answer of the second run. So a ticket is skipped, a job is in the list twice, and a count
#            is too high, each time that the server or a proxy before it goes down. `maxRetriesPerRequest: 0` has the
#            call fail, as the other client does. That is a setting of a whole client, so that calls that must not
#            run twice want one of their own.
# Setup:     a proxy before the server breaks the connection when it has passed on the first `INCR` and its answer is
#            there. Each line is what the call gave, and what the server then has.
# Output:    ioredis: gave 2, server has 2
#            ioredis, maxRetriesPerRequest 0: failed, server has 1
#            redis: failed, server has 1
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
npm install --no-audit --no-fund --ignore-scripts --loglevel=error ioredis@5.11.1 redis@6.3.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" usr/bin/redis-server \
  --bind 127.0.0.1 --port 24224 --save "" --dir "$folder" >redis.log 2>&1 &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "Ready to accept connections" redis.log

cat >finding.mjs <<'JS'
import Redis from "ioredis"
import assert from "node:assert/strict"
import { connect, createServer } from "node:net"
import { createClient } from "redis"

const direct = new Redis(24224, "127.0.0.1")
/** Passes all on to the server, and breaks the first connection over which an INCR is answered. */
const proxy = async () => {
  let broken = false
  const server = createServer((client) => {
    const upstream = connect(24224, "127.0.0.1")
    let asked = false
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    client.on("error", end).on("close", end).on("data", (data) => {
      if (/\bincr\b/i.test(String(data))) asked = true
      upstream.write(data)
    })
    upstream.on("error", end).on("close", end).on("data", (data) => {
      if (!asked || broken) return client.write(data)
      broken = true
      end()
    })
  })
  await new Promise((done) => server.listen(0, "127.0.0.1", done))
  return server
}
/** The call of a client that is connected to the port, and how to end it. */
const withIoredis = (options) => async (port) => {
  const client = new Redis(port, "127.0.0.1", options)
  client.on("error", () => {})
  await client.ping()
  return { call: () => client.incr("ticket"), end: () => client.disconnect() }
}
const withRedis = async (port) => {
  const client = createClient({ url: `redis://127.0.0.1:${port}` })
  client.on("error", () => {})
  await client.connect()
  return { call: () => client.incr("ticket"), end: () => client.destroy() }
}
const run = async (open) => {
  await direct.del("ticket")
  const server = await proxy()
  const { call, end } = await open(server.address().port)
  const gave = await call().then((value) => `gave ${value}`, () => "failed")
  end()
  server.close()
  return `${gave}, server has ${await direct.get("ticket")}`
}
const seen = [
  `ioredis: ${await run(withIoredis({}))}`,
  `ioredis, maxRetriesPerRequest 0: ${await run(withIoredis({ maxRetriesPerRequest: 0 }))}`,
  `redis: ${await run(withRedis)}`
]
direct.disconnect()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "ioredis: gave 2, server has 2",
  "ioredis, maxRetriesPerRequest 0: failed, server has 1",
  "redis: failed, server has 1"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
