#!/usr/bin/env bash
# NATS JetStream: a message id is taken for the whole stream, and that of a job that is done is still taken.
#
# Versions:  Debian nats-server 2.9.10-1+b3 (bookworm, amd64), nats 2.29.3 (npm), Node.js 24.21.0. Seen 2026-11-30.
# Expected:  `msgID` keeps a message that is published again from being stored twice. An id is one of its subject, as a
#            producer that numbers its own messages has it, and a job that is out of the queue has no duplicate in it.
# Happens:   the id stands for one message of the stream, whatever subject and content. Two producers of one stream that
#            count from 1 lose what the other has sent already. For 2 minutes the id stays taken when the message is
#            gone, and the answer names a sequence under which there is nothing: a job that failed and is given out
#            again under its id is in no queue. Each `publish` resolves; only `duplicate: true` tells.
# Setup:     a work queue for `jobs.>`. Each line is what is published, with which id, the answer, and how many messages
#            the queue then has.
# Output:    jobs.mail 1 "to Ann": sequence 1, duplicate false, stored 1
#            jobs.pay 1 "5 EUR": sequence 1, duplicate true, stored 1
#            a worker takes "to Ann": stored 0
#            jobs.mail 1 "to Ann": sequence 1, duplicate true, stored 0
#            jobs.mail 1-again "to Ann": sequence 2, duplicate false, stored 1
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root nats-server=2.9.10-1+b3
dpkg -x nats-server_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error nats@2.29.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
usr/sbin/nats-server -js -a 127.0.0.1 -p 24225 -sd "$folder/data" >nats.log 2>&1 &
server=$!
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
await grep "Server is ready" nats.log

cat >finding.mjs <<'JS'
import { AckPolicy, connect, RetentionPolicy } from "nats"
import assert from "node:assert/strict"

const connection = await connect({ servers: "127.0.0.1:24225" })
const manager = await connection.jetstreamManager()
const client = connection.jetstream()
await manager.streams.add({ name: "jobs", subjects: ["jobs.>"], retention: RetentionPolicy.Workqueue })
await manager.consumers.add("jobs", { durable_name: "worker", ack_policy: AckPolicy.Explicit })

const seen = []
const stored = async () => `stored ${(await manager.streams.info("jobs")).state.messages}`
const publish = async (subject, msgID, text) => {
  const { duplicate, seq } = await client.publish(subject, text, { msgID })
  seen.push(`${subject} ${msgID} "${text}": sequence ${seq}, duplicate ${duplicate}, ${await stored()}`)
}
await publish("jobs.mail", "1", "to Ann")
await publish("jobs.pay", "1", "5 EUR")
const job = await (await client.consumers.get("jobs", "worker")).next()
await job.ackAck()
seen.push(`a worker takes "${job.string()}": ${await stored()}`)
await publish("jobs.mail", "1", "to Ann")
await publish("jobs.mail", "1-again", "to Ann")
await connection.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'jobs.mail 1 "to Ann": sequence 1, duplicate false, stored 1',
  'jobs.pay 1 "5 EUR": sequence 1, duplicate true, stored 1',
  'a worker takes "to Ann": stored 0',
  'jobs.mail 1 "to Ann": sequence 1, duplicate true, stored 0',
  'jobs.mail 1-again "to Ann": sequence 2, duplicate false, stored 1'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
