#!/usr/bin/env bash
# StatsD: a gauge that is sent as -3 goes down by 3, each time that it is sent.
#
# Versions:  statsd 0.9.0 on Node.js 22.19.0 (it does not start on 24), hot-shots 17.1.1 and lynx 0.2.0 on Node.js
#            24.21.0. Seen 2026-11-30.
# Expected:  `gauge(name, value)` of a client sets the value. A clock that is 3 ms behind is at -3, and stays there
#            however often it is sent.
# Happens:   in the protocol a number with a sign is a change, and the clients write the value as it is. What measures
#            a difference (of two clocks, of a balance, of a temperature) runs away from zero as long as it is below,
#            and jumps back with the first value that is not. A graph of it looks like a real drift. To set a value
#            below zero, a zero has to be sent first, and whoever reads between the two sees it.
# Setup:     the drift of a clock is sent as 5, -3, -3, -3 and 2; the numbers are what the server has after each.
# Output:    hot-shots: 5, 2, -1, -4, 2
#            lynx: 5, 2, -1, -4, 2
#            hot-shots, zero first: 5, -3, -3, -3, 2
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
platform=$(node -p 'process.platform + "-" + process.arch')
npm install --no-audit --no-fund --ignore-scripts --loglevel=error statsd@0.9.0 hot-shots@17.1.1 lynx@0.2.0 \
  "node@npm:node-$platform@24.21.0" "node-22@npm:node-$platform@22.19.0" >/dev/null
cat >config.js <<'JSON'
{ port: 24221, address: "127.0.0.1", mgmt_port: 24222, mgmt_address: "127.0.0.1", backends: [], flushInterval: 600000 }
JSON
node_modules/node-22/bin/node node_modules/statsd/stats.js config.js >statsd.log 2>&1 &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "server is up" statsd.log

cat >finding.mjs <<'JS'
import HotShots from "hot-shots"
import Lynx from "lynx"
import assert from "node:assert/strict"
import { connect } from "node:net"
import { setTimeout } from "node:timers/promises"

const values = [5, -3, -3, -3, 2]

/** What the server answers on its port for those who manage it, up to its last line. */
const ask = (command) =>
  new Promise((done, fail) => {
    let text = ""
    const socket = connect(24222, "127.0.0.1", () => socket.write(`${command}\n`))
    socket.setEncoding("utf8").on("error", fail).on("data", (data) => {
      text += data
      if (!text.includes("END")) return
      socket.destroy()
      done(text)
    })
  })
/** How many packets have come; each value is in one of its own. */
const packets = async () => Number(/packets_received'?: (\d+)/.exec(await ask("counters"))[1])
const gauge = async (name) => Number(new RegExp(`\\b${name}: (-?\\d+)`).exec(await ask("gauges"))[1])

let sent = await packets()
const send = async (client, name, value) => {
  client.gauge(name, value)
  sent += 1
  while (await packets() < sent) await setTimeout(20)
}
const run = async (client, name, zeroFirst) => {
  const found = []
  for (const value of values) {
    if (zeroFirst && value < 0) await send(client, name, 0)
    await send(client, name, value)
    found.push(await gauge(name))
  }
  client.close()
  return found.join(", ")
}
const hotShots = () => new HotShots({ host: "127.0.0.1", port: 24221 })
const seen = [
  `hot-shots: ${await run(hotShots(), "drift_a", false)}`,
  `lynx: ${await run(new Lynx("127.0.0.1", 24221), "drift_b", false)}`,
  `hot-shots, zero first: ${await run(hotShots(), "drift_c", true)}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "hot-shots: 5, 2, -1, -4, 2",
  "lynx: 5, 2, -1, -4, 2",
  "hot-shots, zero first: 5, -3, -3, -3, 2"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
