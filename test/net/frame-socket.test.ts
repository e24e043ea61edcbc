/** When frames leave: in one packet at the end of a go of the program, or at once for a caller that holds up the thread. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { AddressInfo } from "node:net"
import { connect, createServer } from "node:net"
import { flushAll, FrameSocket } from "../../src/net/FrameSocket.ts"

/** A connection to a port that takes everything. */
const connected = Effect.acquireRelease(
  Effect.callback<{ readonly socket: ReturnType<typeof connect>; readonly close: () => void }>((resume) => {
    const server = createServer((other) => other.resume()).listen(0, "127.0.0.1", () => {
      const socket = connect((server.address() as AddressInfo).port, "127.0.0.1", () =>
        resume(Effect.succeed({
          socket,
          close: () => {
            socket.destroy()
            server.close()
          }
        })))
    })
  }),
  ({ close }) => Effect.sync(close)
)

it.live("what is flushed is with the system before the caller goes on", () =>
  Effect.gen(function*() {
    const { socket } = yield* connected
    const frames = new FrameSocket(socket, () => undefined)
    frames.write(Uint8Array.of(1, 2))
    frames.write(Uint8Array.of(3))
    assert.strictEqual(socket.bytesWritten, 0, "it gathers")
    flushAll()
    assert.deepStrictEqual([socket.bytesWritten, socket.writableLength], [3, 0])
    flushAll()
    assert.strictEqual(socket.bytesWritten, 3, "nothing leaves twice")
    frames.write(Uint8Array.of(4))
    yield* Effect.callback<void>((resume) => process.nextTick(() => resume(Effect.void)))
    assert.strictEqual(socket.bytesWritten, 4)
  }).pipe(Effect.scoped))
