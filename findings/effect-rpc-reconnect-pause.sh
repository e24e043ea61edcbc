#!/usr/bin/env bash
# effect/rpc: the pause before a reconnect grows over the life of a client, however well it went in between.
#
# Versions:  effect 4.1.0, @effect/platform-node 4.1.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  the default back-off (500 ms, then half as much again each time, 5 s at most) starts again after a
#            connection that worked, as gRPC's does.
# Happens:   it counts all reconnects since the client was made. A client that lost five connections in a month waits
#            for 3.8 s at the sixth loss, with a server that is up all the time. A constant `retryPolicy` helps.
# Setup:     a server behind a relay; each connection answers 20 calls before the relay cuts it.
# Output:    20 calls answered, connection cut, back after 0.5 s      (the last digit varies)
#            20 calls answered, connection cut, back after 0.8 s
#            20 calls answered, connection cut, back after 1.1 s
#            20 calls answered, connection cut, back after 1.7 s
#            20 calls answered, connection cut, back after 2.5 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 @effect/platform-node@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { Effect, Layer, Schedule, Schema } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import assert from "node:assert/strict"
import { once } from "node:events"
import net from "node:net"

const Group = RpcGroup.make(Rpc.make("Ping", { success: Schema.String }))
const server = RpcServer.layer(Group).pipe(
  Layer.provide(Group.toLayer({ Ping: () => Effect.succeed("pong") })),
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide(NodeSocketServer.layer({ path: "./server.sock" })),
  Layer.provide(RpcSerialization.layerNdjson)
)
const client = RpcClient.layerProtocolSocket().pipe(
  Layer.provide(NodeSocket.layerNet({ path: "./relay.sock" })),
  Layer.provide(RpcSerialization.layerNdjson)
)

let accepted
const relay = net.createServer((connection) => {
  accepted = connection
  const upstream = net.connect("./server.sock")
  connection.pipe(upstream).pipe(connection)
  connection.on("error", () => {}).on("close", () => upstream.destroy())
  upstream.on("error", () => {})
})
relay.listen("./relay.sock")
await once(relay, "listening")

const pauses = await Effect.runPromise(
  Effect.gen(function*() {
    const { Ping } = yield* RpcClient.make(Group)
    const ping = Effect.retry(Ping(), Schedule.spaced("10 millis"))
    const pauses = []
    while (pauses.length < 5) {
      yield* Effect.repeat(ping, { times: 19 })
      const cut = performance.now()
      const again = once(relay, "connection")
      accepted.destroy()
      yield* Effect.promise(() => again)
      pauses.push((performance.now() - cut) / 1000)
      console.log(`20 calls answered, connection cut, back after ${pauses.at(-1).toFixed(1)} s`)
    }
    return pauses
  }).pipe(Effect.provide(client), Effect.provide(server), Effect.scoped)
)
relay.close()
assert.ok(pauses.at(-1) > 3 * pauses[0], "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
