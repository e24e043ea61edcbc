#!/usr/bin/env bash
# aedes: a shared subscription is granted, and nobody gets its messages.
#
# Versions:  aedes 1.2.0, mqtt 5.16.0 (npm), Debian mosquitto 2.0.11-1.2+deb12u2 (bookworm, amd64), Node.js 24.21.0.
#            Seen 2026-11-30.
# Expected:  workers that subscribe to `$share/workers/jobs` get one job each in turn, as with other brokers of MQTT. A
#            broker that does not have this refuses the subscription: the answer has a code for that (128).
# Happens:   aedes answers that it is granted, with the level that was asked for, and takes the whole for the name of a
#            topic, to which nobody publishes. The publisher is told that the job has arrived, as the broker has it. So
#            no side sees an error, and the jobs are gone. Who tests against this broker, as it runs within Node.js,
#            and runs another, finds out; who embeds it has to look at `$share` in `authorizeSubscribe`.
# Setup:     two workers, and four jobs one after the other, each of them acknowledged. `end` is published last, and
#            without sharing, so that all that comes has come.
# Output:    aedes: granted 1 1, acknowledged 1 2 3 4, received nothing
#            mosquitto: granted 1 1, acknowledged 1 2 3 4, received 1 2 3 4
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in mosquitto=2.0.11-1.2+deb12u2 libdlt2 libwrap0 libnsl2 libtirpc3; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error aedes@1.2.0 mqtt@5.16.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
printf 'listener 24223 127.0.0.1\nallow_anonymous true\n' >mosquitto.conf
LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu:$folder/lib/x86_64-linux-gnu" \
  usr/sbin/mosquitto -c mosquitto.conf >mosquitto.log 2>&1 &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep " running" mosquitto.log

cat >finding.mjs <<'JS'
import { Aedes } from "aedes"
import mqtt from "mqtt"
import assert from "node:assert/strict"
import { createServer } from "node:net"

const jobs = ["1", "2", "3", "4"]

const run = async (url) => {
  const granted = []
  const acknowledged = []
  const received = []
  const ends = []
  const clients = []
  const connect = async () => {
    const client = await mqtt.connectAsync(url)
    clients.push(client)
    return client
  }
  for (let worker = 0; worker < 2; worker++) {
    const client = await connect()
    ends.push(
      new Promise((done) =>
        client.on("message", (topic, message) => topic === "end" ? done() : received.push(String(message)))
      )
    )
    const [{ qos }] = await client.subscribeAsync("$share/workers/jobs", { qos: 1 })
    granted.push(qos)
    await client.subscribeAsync("end", { qos: 1 })
  }
  const publisher = await connect()
  for (const job of jobs) {
    await publisher.publishAsync("jobs", job, { qos: 1 })
    acknowledged.push(job)
  }
  await publisher.publishAsync("end", "", { qos: 1 })
  await Promise.all(ends)
  for (const client of clients) await client.endAsync()
  return `granted ${granted.join(" ")}, acknowledged ${acknowledged.join(" ")}, ` +
    `received ${received.toSorted().join(" ") || "nothing"}`
}

const broker = await Aedes.createBroker()
const server = createServer(broker.handle)
await new Promise((done) => server.listen(0, "127.0.0.1", done))
const seen = [
  `aedes: ${await run(`mqtt://127.0.0.1:${server.address().port}`)}`,
  `mosquitto: ${await run("mqtt://127.0.0.1:24223")}`
]
server.close()
broker.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "aedes: granted 1 1, acknowledged 1 2 3 4, received nothing",
  "mosquitto: granted 1 1, acknowledged 1 2 3 4, received 1 2 3 4"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
