#!/usr/bin/env bash
# @microsoft/fetch-event-source: a comment that keeps the connection alive is a message with empty data.
#
# Versions:  @microsoft/fetch-event-source 2.0.1, eventsource 4.1.1, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a line that begins with a colon is a comment. Servers send one now and then, with an empty line behind
#            it, so that proxies do not close a quiet connection; a listener does not notice.
# Happens:   `onmessage` is called with empty data for each. `JSON.parse(message.data)` throws there, and what
#            `onmessage` throws ends the connection, which is opened again after a pause. So what is to keep it alive
#            ends it, and each time the events between two connections are lost, if nothing goes on after an id. With
#            a server that sends no comments, as in a test, it works. `if (message.data === "") return` helps.
# Setup:     a server that sends a comment and an event each 50 ms, and a listener that reads JSON, until it has read
#            three events or the third connection is made.
# Output:    eventsource: 3 events, connections 1
#            fetch-event-source: 0 events, connections 3
#            fetch-event-source, empty data left out: 3 events, connections 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  @microsoft/fetch-event-source@2.0.1 eventsource@4.1.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { fetchEventSource } from "@microsoft/fetch-event-source"
import { EventSource } from "eventsource"
import assert from "node:assert/strict"
import { createServer } from "node:http"

// The library takes two things from a browser.
globalThis.window = globalThis
globalThis.document = { removeEventListener: () => {} }

let connections = 0
let onConnection = () => {}
const server = createServer((_, response) => {
  connections++
  response.writeHead(200, { "content-type": "text/event-stream" })
  const ticks = setInterval(() => response.write(": keep alive\n\n" + 'data: {"n":1}\n\n'), 50)
  response.on("close", () => clearInterval(ticks))
  onConnection()
})
await new Promise((done) => server.listen(0, "127.0.0.1", done))
const url = `http://127.0.0.1:${server.address().port}/`

const look = async (name, start) => {
  connections = 0
  let events = 0
  const stop = new AbortController()
  await new Promise((done) => {
    const end = () => events === 3 || connections === 3 ? done() : undefined
    onConnection = end
    const listen = (data) => {
      JSON.parse(data)
      events++
      end()
    }
    start(listen, stop.signal)
  })
  stop.abort()
  return `${name}: ${events} events, connections ${connections}`
}
const withFetch = (isLeftOut) => (listen, signal) => {
  const onmessage = ({ data }) => isLeftOut(data) || listen(data)
  void fetchEventSource(url, { signal, onmessage, openWhenHidden: true, onerror: () => 100 })
}
const seen = [
  await look("eventsource", (listen, signal) => {
    const source = new EventSource(url)
    source.onmessage = ({ data }) => listen(data)
    signal.addEventListener("abort", () => source.close())
  }),
  await look("fetch-event-source", withFetch(() => false)),
  await look("fetch-event-source, empty data left out", withFetch((data) => data === ""))
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "eventsource: 3 events, connections 1",
  "fetch-event-source: 0 events, connections 3",
  "fetch-event-source, empty data left out: 3 events, connections 1"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
