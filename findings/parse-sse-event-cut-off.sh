#!/usr/bin/env bash
# parse-sse: of a stream that is cut off within an event, the part that came is handed out as an event.
#
# Versions:  parse-sse 0.1.0, eventsource-parser 3.1.1, fetch-event-stream 0.1.6, eventsource 4.1.1, Node.js 24.21.0.
#            Seen 2026-11-30.
# Expected:  an event ends with an empty line. What comes after the last one when the stream ends is thrown away, as
#            the standard for server-sent events has it, and comes again after a reconnect with the last id.
# Happens:   it is an event: with the first of its lines, or with a part of a line, and with its id. `12` of `1250` is
#            a number, and a reader that goes on after that id never gets the whole. The others throw it away.
# Setup:     a server that closes the connection within the second event, as a process does that is killed. Its body
#            ends with the connection (no length, not chunked), so that for HTTP it is whole.
# Output:    parse-sse: id 7 data 100, id 8 data 12
#            eventsource-parser: id 7 data 100
#            fetch-event-stream: id 7 data 100
#            eventsource: id 7 data 100
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  parse-sse@0.1.0 eventsource-parser@3.1.1 fetch-event-stream@0.1.6 eventsource@4.1.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { EventSource } from "eventsource"
import { EventSourceParserStream } from "eventsource-parser/stream"
import { events } from "fetch-event-stream"
import assert from "node:assert/strict"
import { createServer } from "node:net"
import { parseServerSentEvents } from "parse-sse"

const whole = "id: 7\ndata: 100\n\n" + "id: 8\ndata: 1250\n\n"
const server = createServer((socket) => {
  socket.once("data", () => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    socket.end(whole.slice(0, whole.indexOf("50\n")))
  })
  socket.on("error", () => {})
})
await new Promise((done) => server.listen(0, "127.0.0.1", done))
const url = `http://127.0.0.1:${server.address().port}/`

const text = (id, data) => `id ${id} data ${data}`
const all = async (stream, idOf) => {
  const found = []
  for await (const event of stream) found.push(text(idOf(event), event.data))
  return found
}
const withEventSource = () =>
  new Promise((done) => {
    const found = []
    const source = new EventSource(url)
    source.onmessage = ({ lastEventId, data }) => found.push(text(lastEventId, data))
    source.onerror = () => {
      source.close()
      done(found)
    }
  })
const parsed = (body) => body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())

const seen = Object.entries({
  "parse-sse": await all(parseServerSentEvents(await fetch(url)), ({ lastEventId }) => lastEventId),
  "eventsource-parser": await all(parsed((await fetch(url)).body), ({ id }) => id),
  "fetch-event-stream": await all(events(await fetch(url)), ({ id }) => id),
  eventsource: await withEventSource()
}).map(([name, found]) => `${name}: ${found.join(", ")}`)
server.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "parse-sse: id 7 data 100, id 8 data 12",
  "eventsource-parser: id 7 data 100",
  "fetch-event-stream: id 7 data 100",
  "eventsource: id 7 data 100"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
