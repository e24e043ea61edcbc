/** The limits of a port, over real sockets: who is closed, who is not, and what the log says of it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, References, Schema } from "effect"
import { RpcSerialization } from "effect/rpc"
import type { Socket } from "node:net"
import { connect } from "node:net"
import { clientProtocolVersion } from "../../src/protocol/ClientRpcs.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { Limits } from "../../src/config/Limits.ts"
import { defaultLimits } from "../../src/config/Limits.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import type { Waiting } from "../../src/node/Waiting.ts"
import { linesPerWindow } from "../../src/net/ProtocolViolations.ts"
import * as ClientServer from "../../src/server/ClientServer.ts"
import { eventually } from "../Eventually.ts"

const host = "127.0.0.1"

interface Line {
  readonly text: string
  readonly fields: Readonly<Record<string, unknown>>
}

/**
 * A client port in front of a cluster of one in memory, and what it logs as a warning. `waiting` is what its status says
 * that it waits for.
 */
const serve = Effect.fnUntraced(function*(limits: Partial<Limits>, waiting?: string) {
  const lines: Array<Line> = []
  const logging = Layer.merge(
    Logger.layer([
      Logger.make(({ fiber, message }) => {
        lines.push({ text: String(message), fields: fiber.getRef(References.CurrentLogAnnotations) })
      })
    ]),
    Layer.succeed(References.MinimumLogLevel, "Warn")
  )
  let asked = 0
  const counted = Layer.effect(
    RaftNode,
    Effect.map(
      RaftNode,
      (node) =>
        RaftNode.of({
          ...node,
          status: Effect.map(node.status, (status) => {
            asked++
            return waiting === undefined ? status : { ...status, waiting: { text: waiting } as Waiting }
          })
        })
    )
  )
  const server = ClientServer.layer({
    clusterId: "test",
    nodeId: 1,
    listen: { host, port: 0 },
    maxOperations: 10_000,
    limits: { ...defaultLimits, ...limits }
  }).pipe(Layer.provide(counted), Layer.provide(FlareDb.layerMemory), Layer.provide(logging))
  const { port } = Context.get(yield* Layer.build(Layer.fresh(server)), ClientServer.ClientAddress)
  const violations = (violation: string) => lines.filter(({ fields }) => fields["violation"] === violation)
  return { port, lines, violations, asked: () => asked }
})

interface Stranger {
  readonly socket: Socket
  readonly closed: Effect.Effect<void>
  isClosed: boolean
}

/** Somebody who connects and sends bytes. */
const stranger = (port: number, bytes?: Uint8Array): Effect.Effect<Stranger, Error> =>
  Effect.callback((resume) => {
    const socket = connect(port, host)
    const own: Stranger = {
      socket,
      isClosed: false,
      closed: eventually("the port closes the connection", () => own.isClosed)
    }
    socket.on("error", () => undefined)
    socket.on("close", () => {
      own.isClosed = true
    })
    socket.once("connect", () => {
      if (bytes !== undefined) socket.write(bytes)
      resume(Effect.succeed(own))
    })
    socket.resume()
  })

const serialization = Effect.runSync(
  Effect.provide(RpcSerialization.RpcSerialization, RpcSerialization.layerSchemaBinary())
)

const hello = serialization.makeUnsafe().encode({
  _tag: "Request",
  id: "hello",
  tag: "client.Hello",
  payload: Schema.encodeUnknownSync(serialization.codecFor(Schema.Struct({ protocolVersion: Schema.Natural })))({
    protocolVersion: clientProtocolVersion
  }),
  headers: []
}) as Uint8Array

/** Calls that are longer than they need to be, as the binary serialization writes them. */
const statusCalls = (count: number): ReadonlyArray<Uint8Array> => {
  const { encode } = serialization.makeUnsafe()
  const payload = Schema.encodeUnknownSync(serialization.codecFor(Schema.Void))(undefined)
  const headers = [["padding", "p".repeat(4_000)]]
  return Array.from(
    { length: count },
    (_, id) => encode({ _tag: "Request", id, tag: "client.Status", payload, headers } as never) as Uint8Array
  )
}

/** A length, as frames begin with it. */
const length = (value: number): Array<number> =>
  value < 128 ? [value] : [0x80 | (value % 128), ...length(Math.floor(value / 128))]

const use = <A, E>(port: number, work: Effect.Effect<A, E, KeyValue>, requestTimeoutMs = 50_000) =>
  work.pipe(Effect.provide(Layer.fresh(RemoteClient.layer({ endpoints: [{ host, port }], requestTimeoutMs }))))

const put = Effect.flatMap(KeyValue, (kv) => kv.put("key", "value"))

describe("a port", () => {
  it.live("closes a connection that makes no call in time, and one whose call does not end", () =>
    Effect.gen(function*() {
      const { violations, port } = yield* serve({ maxHandshakeMs: 300, maxFrameMs: 600 })
      const silent = yield* stranger(port)
      const slow = yield* stranger(port, Uint8Array.from([...length(1_000), 1]))
      const drip = setInterval(() => slow.socket.write(Uint8Array.of(1)), 20)
      yield* Effect.all([silent.closed, slow.closed])
      clearInterval(drip)
      yield* eventually("two lines of connections without a Hello", () => violations("no-handshake").length === 2)
      const [line] = violations("no-handshake")
      assert.match(line?.text ?? "", /^client port: closed a connection: no Hello within maxHandshakeMs \(300\)/)
      assert.deepInclude(line?.fields, { port: "client" })
      assert.match(String(line?.fields["remote"]), /^127\.0\.0\.1:\d+$/)
    }))

  it.live("leaves a client alone that speaks now and then", () =>
    Effect.gen(function*() {
      const { lines, port } = yield* serve({ maxHandshakeMs: 1_500, maxFrameMs: 1_500 })
      yield* use(port, Effect.andThen(put, Effect.andThen(Effect.sleep(2_000), put)))
      assert.deepStrictEqual(lines, [])
    }))

  it.live("refuses a frame over its limit by its length alone", () =>
    Effect.gen(function*() {
      const { violations, port } = yield* serve({})
      const large = yield* stranger(port, Uint8Array.from(length(2 ** 32)))
      yield* large.closed
      yield* eventually("a line of the frame", () => violations("oversized-frame").length === 1)
      assert.match(violations("oversized-frame")[0]?.text ?? "", /frames here have at most \d+/)
    }))

  it.live("closes the oldest of the connections whose unfinished calls are too much", () =>
    Effect.gen(function*() {
      const { violations, port } = yield* serve({ maxUnfinishedBytes: 1_000 })
      const half = Uint8Array.from([...length(10_000), ...new Uint8Array(600)])
      const first = yield* stranger(port, half)
      yield* use(port, put)
      const second = yield* stranger(port, half)
      yield* first.closed
      assert.isFalse(second.isClosed)
      yield* eventually("a line of the unfinished call", () => violations("unfinished-frames").length === 1)
      second.socket.destroy()
    }))

  it.live("has silent connections give way to clients, and tells clients beyond the limit that they are", () =>
    Effect.gen(function*() {
      const { violations, port } = yield* serve({ maxClientConnections: 1 })
      const strangers = yield* Effect.forEach(Array.from({ length: 200 }), () => stranger(port), { concurrency: 20 })
      yield* use(
        port,
        Effect.gen(function*() {
          yield* put
          const error = yield* Effect.flip(use(port, put, 500))
          assert.strictEqual(error._tag, "Unavailable")
          assert.match(error.message, /overloaded: maxClientConnections is at 1 of 1; retry after a pause/)
          yield* put
        })
      )
      // Its place is free again.
      yield* use(port, put)
      yield* eventually("most strangers are closed", () => strangers.filter(({ isClosed }) => isClosed).length > 100)
      assert.isAtMost(violations("too-many-connections").length, linesPerWindow)
      for (const { socket } of strangers) socket.destroy()
    }))

  it.live("asks no more of a client that does not read its answers", () =>
    Effect.gen(function*() {
      const calls = 10_000
      const { asked, port } = yield* serve({}, "w".repeat(4_000))
      yield* use(
        port,
        Effect.gen(function*() {
          const deaf = connect(port, host)
          deaf.on("error", () => undefined)
          deaf.pause()
          deaf.write(hello)
          // As many bytes of answers as of calls, 40 MB: more than fit into the buffers of a socket.
          for (const call of statusCalls(calls)) deaf.write(call)
          let before = -1
          while (asked() > before) {
            before = asked()
            // Others are served meanwhile.
            yield* put
            yield* Effect.sleep(500)
          }
          assert.isAbove(before, 0)
          assert.isBelow(before, calls)
          deaf.destroy()
        })
      )
    }))
})
