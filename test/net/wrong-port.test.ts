/** What a client is told that is pointed at a port which is not the client port of a node. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, References } from "effect"
import type { AddressInfo, Socket } from "node:net"
import { createServer } from "node:net"
import * as TcpConnection from "../../src/client/connection/TcpConnection.ts"
import { otherProtocol } from "../../src/net/WrongPort.ts"
import { NodeId } from "../../src/raft/Types.ts"
import * as RpcTransport from "../../src/transport/rpc/RpcTransport.ts"

const host = "127.0.0.1"
const ports =
  "by default nodes have ports 7001 to 7003 for clients, 7101 to 7103 for each other and 7201 to 7203 for HTTP"

/** The port of a program that says what `talk` does. */
const program = Effect.fnUntraced(function*(talk: (socket: Socket) => void) {
  const server = createServer((socket) => {
    socket.on("error", () => undefined)
    talk(socket)
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => server.listen(0, host, resolve))),
    () => Effect.sync(() => server.close())
  )
  return (server.address() as AddressInfo).port
})

/** What a connection to it says. The limit is long: none of them is to be waited for. */
const problemAt = (port: number) =>
  Effect.map(
    Effect.flip(Effect.scoped(TcpConnection.make({ connectTimeoutMs: 50_000 })({ host, port }))),
    ({ message }) => message
  )

describe("a client at another port", () => {
  it.live.each<readonly [string, (socket: Socket) => void, string]>([
    [
      "that speaks HTTP",
      (socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
      `what answers there speaks HTTP; ${ports}`
    ],
    [
      "whose program speaks first and waits",
      (socket) => socket.write("SSH-2.0-OpenSSH_9.6\r\n"),
      `another program answers there: it says "SSH-2.0-OpenSSH_9.6"; ${ports}`
    ],
    [
      "whose program says what is wrong",
      (socket) => socket.once("data", () => socket.end("-ERR unknown command `x`, with args beginning with: \r\n")),
      `another program answers there: it says "-ERR unknown command \`x\`, with args begi"; ${ports}`
    ],
    [
      "that speaks TLS",
      (socket) => socket.once("data", () => socket.write(Uint8Array.of(0x15, 3, 1, 0, 2, 2, 10))),
      "what answers there speaks TLS, and was called without; see --certs-dir"
    ],
    [
      "that is closed",
      (socket) => socket.once("data", () => socket.end()),
      `the connection was closed without an answer: the node is stopping or full, or another program listens there; ${ports}`
    ]
  ])("%s learns so at once", ([, talk, problem]) =>
    Effect.gen(function*() {
      const port = yield* program(talk)
      assert.strictEqual(yield* problemAt(port), `${host}:${port}: ${problem}`)
    }).pipe(Effect.scoped))

  it.live("of a node, that of its peers, learns so at once", () =>
    Effect.gen(function*() {
      let port = 0
      yield* Layer.build(Layer.fresh(RpcTransport.layer({
        clusterId: "orders",
        nodeId: NodeId(2),
        listen: { host, port: 0 },
        peers: [{ id: NodeId(1), host, port: 1 }],
        onListening: (address) =>
          Effect.sync(() => {
            port = address.port
          })
      })))
      assert.strictEqual(yield* problemAt(port), `${host}:${port}: this is the peer port of a node; ${ports}`)
    }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))
})

describe("the first bytes of a port", () => {
  it("are another protocol's only when they can be no frame", () => {
    for (const bytes of [[], [0x21], [0x48, 0x54, 0x54], [0x22, 0x21, 0xa7, 0x1f], [0x16], [0x16, 0x21, 0xa7, 0x1f]]) {
      assert.isUndefined(otherProtocol(Uint8Array.from(bytes)), bytes.join())
    }
  })
})
