#!/usr/bin/env bash
# effect/encoding: a `retry:` field of a server-sent event stream ends the stream with a failure.
#
# Versions:  effect 4.1.0, eventsource 4.1.1, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  `retry: 500` says how long to wait before the next connection, should this one end. The stream goes on, as
#            the standard has it, and servers send the field first of all on each connection.
# Happens:   `Sse.decode`, and what HttpApiClient makes of it, fails with `Retry` at the field. What came in the same
#            chunk as the field is still given out, what comes later is not read. Who connects again after the pause
#            that the failure names meets the field again, and again: each connection is ended by its client as soon
#            as it has begun, for ever, and whether any event gets through depends on how the network cut the chunks.
#            A test that looks at the events of a stream made of one text passes.
# Setup:     a server that sends the field at the start of each connection, and behind it the events "a" and "b" that
#            come after `Last-Event-ID`; in a chunk of their own, or in that of the field. A client connects again
#            after a Retry, three connections at most.
# Output:    eventsource, chunks of their own: a b, 1 connection
#            effect, chunks of their own: nothing, 3 connections
#            eventsource, one chunk: a b, 1 connection
#            effect, one chunk: a b, 3 connections
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 eventsource@4.1.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Stream } from "effect"
import { Sse } from "effect/encoding"
import { EventSource } from "eventsource"
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import { setTimeout } from "node:timers/promises"

const events = ["id: 1\ndata: a\n\n", "id: 2\ndata: b\n\n"]
let connections = 0
let oneChunk = false
const server = createServer(async (request, response) => {
  connections++
  const rest = events.slice(Number(request.headers["last-event-id"] ?? 0)).join("")
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.write(oneChunk ? `retry: 50\n\n${rest}` : "retry: 50\n\n")
  if (oneChunk) return
  // By then a client has read what came before.
  await setTimeout(300)
  response.write(rest)
}).listen(0, "127.0.0.1")
await once(server, "listening")
const address = `http://127.0.0.1:${server.address().port}/`

const ofEventsource = () =>
  new Promise((resolve) => {
    const seen = []
    const source = new EventSource(address)
    source.onmessage = ({ data }) => {
      seen.push(data)
      if (data === "b") {
        source.close()
        resolve(seen)
      }
    }
  })

const ofEffect = async () => {
  const seen = []
  let lastEventId
  for (let connection = 1; connection <= 3; connection++) {
    const aborted = new AbortController()
    const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId }
    const { body } = await fetch(address, { headers, signal: aborted.signal })
    const failure = await Effect.runPromise(
      Stream.fromReadableStream({ evaluate: () => body, onError: (cause) => cause }).pipe(
        Stream.decodeText(),
        Stream.pipeThroughChannel(Sse.decode()),
        Stream.runForEach((event) =>
          Effect.sync(() => {
            seen.push(event.data)
            lastEventId = event.id
          })
        ),
        Effect.flip
      )
    )
    assert.equal(failure._tag, "Retry")
    aborted.abort()
    await setTimeout(50)
  }
  return seen
}

const lines = []
for (oneChunk of [false, true]) {
  for (const [name, client] of [["eventsource", ofEventsource], ["effect", ofEffect]]) {
    connections = 0
    const seen = (await client()).join(" ") || "nothing"
    const count = connections === 1 ? "1 connection" : `${connections} connections`
    lines.push(`${name}, ${oneChunk ? "one chunk" : "chunks of their own"}: ${seen}, ${count}`)
  }
}
console.log(lines.join("\n"))
assert.deepEqual(lines, [
  "eventsource, chunks of their own: a b, 1 connection",
  "effect, chunks of their own: nothing, 3 connections",
  "eventsource, one chunk: a b, 1 connection",
  "effect, one chunk: a b, 3 connections"
], "the behaviour has changed")
process.exit()
JS
node_modules/.bin/node finding.mjs
