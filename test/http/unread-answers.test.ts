/** A caller that does not take its answer does not keep a connection, nor the memory of the answer. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Logger, References } from "effect"
import type { ClientRequest } from "node:http"
import { request } from "node:http"
import { createConnection } from "node:net"
import { KeyValue } from "../../src/client/KeyValue.ts"

import { eventually } from "../Eventually.ts"
import { host, port } from "./api/ApiPort.ts"
import { open } from "./api/EventSource.ts"

const maxFrameMs = 1_500

it.live("a connection whose answer is not taken is closed, and one that waits for its answer is not", () =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const { ask, port: to } = yield* port({ limits: { maxFrameMs } }).pipe(
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])),
      Effect.provideService(References.MinimumLogLevel, "Warn")
    )
    for (let i = 0; i < 8; i++) {
      yield* ask(`/v1/keys/big${i}`, { method: "PUT", body: new Uint8Array(1024 * 1024) })
    }
    // It is answered with headers, and then with nothing for much longer than that.
    let ended = false
    const watching = yield* Effect.acquireRelease(
      Effect.callback<ClientRequest>((resume) => {
        const sent = request({ host, port: to, path: "/v1/watch?prefix=none&heartbeatMs=60000" }, (response) => {
          response.resume().on("close", () => {
            ended = true
          })
          resume(Effect.succeed(sent))
        })
        sent.on("error", (error) => resume(Effect.die(error))).end()
      }),
      (sent) => Effect.sync(() => sent.destroy())
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const socket = createConnection(
          { host, port: to },
          () => socket.write("GET /v1/scan?prefix=big HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(4))
        )
        return socket.on("error", () => undefined).pause()
      }),
      (socket) => Effect.sync(() => socket.destroy())
    )
    const closed = () => lines.filter((line) => line.includes("closed a connection: nothing of")).length
    yield* eventually("the reader that takes nothing is gone", () => closed() === 1)
    assert.isFalse(ended || watching.destroyed)
  }).pipe(Effect.scoped))

it.live("while much was answered and not taken, nothing more is read, and there is room again afterwards", () =>
  Effect.gen(function*() {
    const { ask, port: to } = yield* port({ limits: { maxPendingAnswerBytes: 1024 * 1024 } })
    for (let i = 0; i < 8; i++) {
      yield* ask(`/v1/keys/big${i}`, { method: "PUT", body: new Uint8Array(1024 * 1024) })
    }
    const reader = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const socket = createConnection(
          { host, port: to },
          () => socket.write("GET /v1/scan?prefix=big HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64))
        )
        return socket.on("error", () => undefined).pause()
      }),
      (socket) => Effect.sync(() => socket.destroy())
    )
    const full = { tag: "Overloaded", limit: "maxPendingAnswerBytes" }
    yield* eventually(
      "the API has no room",
      Effect.map(ask("/v1/keys/none"), ({ json }) => (json as typeof full).limit === full.limit)
    )
    assert.deepInclude((yield* ask("/v1/keys/none")).json, full)
    assert.strictEqual((yield* ask("/livez")).status, 200)
    reader.destroy()
    yield* eventually("there is room again", Effect.map(ask("/v1/keys/none"), ({ status }) => status === 404))
  }).pipe(Effect.scoped))

it.live("what watches do not take has the same bound, and they go on behind it", () =>
  Effect.gen(function*() {
    const maximum = 512 * 1024
    const { ask, context, port: to } = yield* port({ limits: { maxPendingAnswerBytes: maximum } })
    const kv = Context.get(context, KeyValue)
    const watches = yield* Effect.all(Array.from({ length: 4 }, () => open(to, "/v1/watch?prefix=large")))
    for (const watch of watches) {
      assert.strictEqual((yield* watch.next).event, "began")
      watch.stall()
    }
    const value = new Uint8Array(1024 * 1024).fill(120)
    const puts = 7
    let most = 0
    for (let i = 0; i < puts; i++) {
      yield* kv.put(`large/${i}`, value)
      // Each watch has as long to add what it would add.
      for (let look = 0; look < 4; look++) {
        const { json } = yield* ask("/v1/keys/none")
        if (json.tag === "Overloaded") most = Math.max(most, json.current)
      }
    }
    assert.isAtLeast(most, maximum)
    assert.isBelow(most, maximum + 2 * value.byteLength)
    for (const watch of watches) watch.goOn()
    for (const watch of watches) {
      const seen: Array<string> = []
      while (seen.length < puts) {
        for (const { key } of (yield* watch.next).data.events) seen.push(key)
      }
      assert.deepStrictEqual(seen, Array.from({ length: puts }, (_, i) => `large/${i}`))
    }
  }).pipe(Effect.scoped), 60_000)
