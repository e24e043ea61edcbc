#!/usr/bin/env bash
# node:http2: the body of a response that is cut off ends like a whole one, though its length was announced.
#
# Versions:  Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a connection that ends halfway through a body is an error at the client, as it is with node:http: the body
#            is shorter than its `content-length`, and the stream was never ended.
# Happens:   a connection that ends closes its streams with the code for "cancelled", which is no error here. The stream
#            is ended, so that `for await` and `stream/consumers` give what came as the whole. That is what a proxy does
#            whose server died, or a process that is killed with nothing left to read. It is the same when the server
#            destroys the stream. The length is compared only when the server ends the body too early. A client has to
#            count by itself, or look at `rstCode`, which does not tell of a stream that was destroyed.
# Setup:     a server that announces 100,000 bytes and sends 1,000. Once the client has those, a relay between the two
#            ends the connection, or the server destroys or ends the stream.
# Output:    HTTP/1.1, connection ended: aborted
#            HTTP/2, connection ended: ended after 1000 bytes, rstCode 8
#            HTTP/2, stream destroyed: ended after 1000 bytes, rstCode 0
#            HTTP/2, stream ended: Stream closed with error code NGHTTP2_PROTOCOL_ERROR
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { once } from "node:events"
import http from "node:http"
import http2 from "node:http2"
import net from "node:net"

const listen = async (server) => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return server.address().port
}
const headers = { "content-length": "100000" }
const part = Buffer.alloc(1000)
const first = http.createServer((_, response) => response.writeHead(200, headers).write(part))
let stream
const second = http2.createServer().on("stream", (opened) => {
  stream = opened
  stream.on("error", () => {})
  stream.respond({ ":status": 200, ...headers })
  stream.write(part)
})
const ports = [await listen(first), await listen(second)]

const look = async (what, version, cut) => {
  let client
  const relay = net.createServer({ allowHalfOpen: true }, (socket) => {
    client = socket.on("error", () => {})
    const server = net.connect(ports[version - 1], "127.0.0.1").on("error", () => {})
    socket.pipe(server)
    server.pipe(socket)
  })
  const port = await listen(relay)
  const session = version === 2 ? http2.connect(`http://127.0.0.1:${port}`).on("error", () => {}) : undefined
  const body = session
    ? session.request({ ":path": "/" })
    : await new Promise((resolve) => http.get({ host: "127.0.0.1", port, agent: false }, resolve))
  let bytes = 0
  let end
  try {
    for await (const part of body) {
      bytes += part.length
      if (bytes === 1000) cut(client)
    }
    end = `ended after ${bytes} bytes, rstCode ${body.rstCode}`
  } catch (error) {
    end = error.message
  }
  session?.destroy()
  client.destroy()
  relay.close()
  console.log(`${what}: ${end}`)
  return `${what}: ${end}`
}

const seen = [
  await look("HTTP/1.1, connection ended", 1, (socket) => socket.end()),
  await look("HTTP/2, connection ended", 2, (socket) => socket.end()),
  await look("HTTP/2, stream destroyed", 2, () => stream.destroy()),
  await look("HTTP/2, stream ended", 2, () => stream.end())
]
assert.deepEqual(seen, [
  "HTTP/1.1, connection ended: aborted",
  "HTTP/2, connection ended: ended after 1000 bytes, rstCode 8",
  "HTTP/2, stream destroyed: ended after 1000 bytes, rstCode 0",
  "HTTP/2, stream ended: Stream closed with error code NGHTTP2_PROTOCOL_ERROR"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
