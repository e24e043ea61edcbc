#!/usr/bin/env bash
# event-source-plus: of an event with several lines of data only the last line is left.
#
# Versions:  event-source-plus 0.1.15, eventsource-encoder 1.0.2, fetch-sse 1.2.1, eventsource 4.1.1,
#            Node.js 24.21.0. Seen 2026-12-01.
# Expected:  the standard for server-sent events has no other way for a text of several lines than one `data:` for each,
#            which the client puts together again with line ends in between. Encoders write it so by themselves.
# Happens:   each `data:` replaces the one before it. There is no error: a log comes with its last line, and JSON that
#            was written with an indent as "}", so that a client sees nothing wrong until somebody writes such JSON.
#            It keeps no space at the beginning of a text either.
# Setup:     eventsource-encoder writes two events, and three clients read them from a server.
# Output:    event-source-plus: "line 2", "}"
#            fetch-sse: "line 1\nline 2", "{\n \"a\": 1\n}"
#            eventsource: "line 1\nline 2", "{\n \"a\": 1\n}"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  event-source-plus@0.1.15 eventsource-encoder@1.0.2 fetch-sse@1.2.1 eventsource@4.1.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { EventSourcePlus } from "event-source-plus"
import { EventSource } from "eventsource"
import { encode } from "eventsource-encoder"
import { fetchEventData } from "fetch-sse"
import assert from "node:assert/strict"
import { createServer } from "node:http"

const texts = ["line 1\nline 2", JSON.stringify({ a: 1 }, undefined, 1)]
const server = createServer((_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  for (const data of texts) response.write(encode({ data }))
})
await new Promise((done) => server.listen(0, "127.0.0.1", done))
const url = `http://127.0.0.1:${server.address().port}/`

/** Starts a client with a function that takes what it reads, and ends it when both events have come. */
const read = (start) =>
  new Promise((done) => {
    const found = []
    const stop = start(({ data }) => {
      found.push(JSON.stringify(data))
      if (found.length < texts.length) return
      stop()
      done(found.join(", "))
    })
  })
const seen = [
  `event-source-plus: ${await read((onMessage) => {
    const controller = new EventSourcePlus(url).listen({ onMessage })
    return () => controller.abort()
  })}`,
  `fetch-sse: ${await read((take) => {
    const controller = new AbortController()
    const onMessage = (event) => event && take(event)
    fetchEventData(url, { method: "GET", signal: controller.signal, onMessage, onError: () => {} }).catch(() => {})
    return () => controller.abort()
  })}`,
  `eventsource: ${await read((onMessage) => {
    const source = new EventSource(url)
    source.onmessage = onMessage
    return () => source.close()
  })}`
]
server.close()
server.closeAllConnections()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'event-source-plus: "line 2", "}"',
  'fetch-sse: "line 1\\nline 2", "{\\n \\"a\\": 1\\n}"',
  'eventsource: "line 1\\nline 2", "{\\n \\"a\\": 1\\n}"'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
