/** An answer that takes long to come through a slow link is a sign of life, and silence is none. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { AddressInfo, Socket } from "node:net"
import { createServer } from "node:net"
import { ClientConnection } from "../../src/net/ClientProtocol.ts"
import { eventually } from "../Eventually.ts"

const host = "127.0.0.1"

/** The length of a frame of 1,000 bytes, as `FrameReader.ts` has it. */
const beginning = Uint8Array.of(0xe8, 0x07)

/** The sockets that this process connects with while it is in use. */
const dialled = Effect.gen(function*() {
  const sockets: Array<Socket> = []
  const add = (message: unknown) => void sockets.push((message as { readonly socket: Socket }).socket)
  subscribe("net.client.socket", add)
  yield* Effect.addFinalizer(() => Effect.sync(() => void unsubscribe("net.client.socket", add)))
  return sockets
})

it.effect("a connection with a frame that comes a byte a second lasts, and is lost once nothing comes", () =>
  Effect.gen(function*() {
    const accepted = yield* Deferred.make<Socket>()
    const server = createServer((socket) => {
      socket.on("error", () => undefined)
      Deferred.doneUnsafe(accepted, Effect.succeed(socket))
    })
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => server.listen(0, host, resolve))),
      () => Effect.sync(() => server.close())
    )
    const { port } = server.address() as AddressInfo
    const sockets = yield* dialled
    const connection = yield* ClientConnection.make({ host, port, openTimeoutMs: 600_000 })
    const [client] = sockets
    const socket = yield* Deferred.await(accepted)
    yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
    let written = 0
    /** Writes, and waits until it has been read. */
    const write = (bytes: Uint8Array) =>
      Effect.gen(function*() {
        written += bytes.byteLength
        yield* Effect.promise(() => new Promise<void>((resolve) => socket.write(bytes, () => resolve())))
        yield* TestClock.withLive(eventually("it is read", () => client?.bytesRead === written))
      })

    const problem = () => connection.error?.reason
    yield* write(beginning)
    for (let i = 0; i < 20; i++) {
      yield* TestClock.adjust(1_000)
      yield* write(Uint8Array.of(0))
    }
    assert.isUndefined(problem())
    for (let i = 0; i < 6; i++) yield* TestClock.adjust(1_000)
    assert.include(String(problem()), "SocketReadError")
  }).pipe(Effect.scoped))
