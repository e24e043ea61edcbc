/** An answer that takes long to come through a slow link is a sign of life, and silence is none. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import type { AddressInfo, Socket } from "node:net"
import { createServer } from "node:net"
import { ClientConnection } from "../../src/net/ClientProtocol.ts"

const host = "127.0.0.1"

/** The length of a frame of 1,000 bytes, as `FrameReader.ts` has it. */
const beginning = Uint8Array.of(0xe8, 0x07)

/** Until what was written to a connection within this process has been read. */
const turns = Effect.promise(() => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve))))

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
    const connection = yield* ClientConnection.make({ host, port, openTimeoutMs: 600_000 })
    const socket = yield* Deferred.await(accepted)
    yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
    const write = (bytes: Uint8Array) =>
      Effect.andThen(Effect.promise(() => new Promise<void>((resolve) => socket.write(bytes, () => resolve()))), turns)

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
