#!/usr/bin/env bash
# effect/rpc on Node.js: a `Schema.Uint8Array` arrives as a Buffer, so that `slice()` does not copy it.
#
# Versions:  effect 4.1.0, @effect/platform-node 4.1.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  the schema says Uint8Array, whose `slice()` is a copy: `value.slice()` is what one keeps.
# Happens:   over a socket with the binary serialization the value is a view into what was received with it, and is a
#            Buffer, whose `slice()` is one more view. Keeping 100 bytes "copied" like that keeps all replies of that
#            read in memory. `new Uint8Array(value)` copies. `RpcTest` hands over the handler's own array, so that a
#            unit test sees the copy that production does not make.
# Output:    RpcTest: Uint8Array, slice() shares memory: false
#            socket: Buffer, slice() shares memory: true
#            50 replies of 100 bytes: the last one holds on to 5900 bytes     (varies with what is read at once)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 @effect/platform-node@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer, RpcTest } from "effect/rpc"
import assert from "node:assert/strict"

const Group = RpcGroup.make(Rpc.make("Read", { success: Schema.Uint8Array }))
const handlers = Group.toLayer({ Read: () => Effect.succeed(new Uint8Array(100)) })
const server = RpcServer.layer(Group).pipe(
  Layer.provide(handlers),
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide(NodeSocketServer.layer({ path: "./server.sock" })),
  Layer.provide(RpcSerialization.layerSchemaBinary())
)
const client = RpcClient.layerProtocolSocket().pipe(
  Layer.provide(NodeSocket.layerNet({ path: "./server.sock" })),
  Layer.provide(RpcSerialization.layerSchemaBinary())
)

const look = (where, bytes) => {
  const seen = [bytes.constructor.name, bytes.slice().buffer === bytes.buffer]
  console.log(`${where}: ${seen[0]}, slice() shares memory: ${seen[1]}`)
  return seen
}

const inMemory = await Effect.runPromise(
  Effect.flatMap(RpcTest.makeClient(Group), (calls) => calls.Read()).pipe(Effect.provide(handlers), Effect.scoped)
)
assert.deepEqual(look("RpcTest", inMemory), ["Uint8Array", false], "the behaviour has changed")

const replies = await Effect.runPromise(
  Effect.flatMap(RpcClient.make(Group), (calls) =>
    Effect.all(Array.from({ length: 50 }, () => calls.Read()), { concurrency: "unbounded" })).pipe(
      Effect.provide(client),
      Effect.provide(server),
      Effect.scoped
    )
)
assert.deepEqual(look("socket", replies[0]), ["Buffer", true], "the behaviour has changed")
const held = replies.at(-1).buffer.byteLength
console.log(`50 replies of 100 bytes: the last one holds on to ${held} bytes`)
assert.ok(held > 1000, "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
