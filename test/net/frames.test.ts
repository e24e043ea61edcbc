/** What is written and read past the interpreter of schemas is byte for byte what that makes and takes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Rpc, RpcSerialization } from "effect/rpc"
import type { RpcGroup } from "effect/rpc"
import type { RequestEncoded } from "effect/rpc/RpcMessage"
import { clientShapes } from "../../src/protocol/CallShapes.ts"
import { ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { NotLeader, Overloaded } from "../../src/FlareDbError.ts"
import { Frames, notificationId } from "../../src/net/Frames.ts"
import { ShapedCodec } from "../../src/net/ShapedCodec.ts"
import { PeerRpcs } from "../../src/protocol/PeerRpcs.ts"

const serialization = Effect.runSync(
  Effect.provide(RpcSerialization.RpcSerialization, RpcSerialization.layerSchemaBinary({ maxFrameSize: "unbounded" }))
)
const tags = ["client.Write", "client.Read", "peer.Deliver"]
const frames = new Frames(serialization, tags)
const usual = (message: object): Uint8Array => serialization.makeUnsafe().encode(message) as Uint8Array
const parsed = (frame: Uint8Array): unknown => serialization.makeUnsafe().decode(frame)[0]

const Size = Schema.Union([
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 })),
  Schema.Int.check(Schema.isBetween({ minimum: 16_300, maximum: 16_500 }))
])
const Byte = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
const bytesOf = (size: number, seed: number): Uint8Array => new Uint8Array(size).map((_, i) => i * seed + size)

/** Names of calls of every kind that a client may choose. */
const Id = Schema.Union([
  Schema.Int.check(Schema.isBetween({ minimum: -300, maximum: 300 })),
  Schema.Int.check(Schema.isBetween({ minimum: -Number.MAX_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })),
  Schema.Literals([-8_191, -8_192, 2 ** 31, 2 ** 31 - 1, -(2 ** 31), 0.5, Number.MAX_VALUE]),
  Schema.String.check(Schema.isMaxLength(12))
])
const runs = { arbitrary: { runs: 300 } }

describe("frames", () => {
  const Tag = Schema.Literals([...tags, "client.Status"])
  it.prop("of calls are what the serialization makes", [Id, Tag, Size, Byte], ([id, tag, size, seed]) => {
    const payload = bytesOf(size, seed)
    const request = { _tag: "Request", id, tag, payload, headers: [] } as unknown as RequestEncoded
    const frame = frames.encode(request)
    assert.deepStrictEqual(Uint8Array.from(frame), Uint8Array.from(usual(request)))
    assert.deepEqual(plain(frames.decode(frame)), plain(parsed(frame)))
  }, runs)

  const NotificationId = Schema.Union([Schema.Literal(notificationId), Id])
  it.prop("of notifications are what the serialization makes", [NotificationId, Size, Byte], ([id, size, seed]) => {
    const payload = bytesOf(size, seed)
    const request = {
      _tag: "Request",
      id,
      tag: "peer.Deliver",
      payload,
      headers: [],
      isNotification: true
    } as unknown as RequestEncoded
    const frame = frames.encode(request)
    assert.deepStrictEqual(Uint8Array.from(frame), Uint8Array.from(usual(request)))
    assert.deepEqual(plain(frames.decode(frame)), plain(parsed(frame)))
  }, runs)

  it("of calls with more than a payload go the usual way", () => {
    const base = { _tag: "Request", id: -1, tag: "client.Write", payload: new Uint8Array(3), headers: [] }
    const more = [
      { headers: [["a", "b"]] },
      { discard: true },
      { traceId: "t", spanId: "s", sampled: true },
      { sampled: false },
      { isNotification: true }
    ]
    for (const extra of more) {
      const request = { ...base, ...extra } as unknown as RequestEncoded
      const frame = frames.encode(request)
      assert.deepStrictEqual(Uint8Array.from(frame), Uint8Array.from(usual(request)))
      assert.deepEqual(plain(frames.decode(frame)), plain(parsed(frame)))
    }
  })

  it.prop("of answers are what the serialization makes", [Id, Size, Byte], ([requestId, size, seed]) => {
    const answer = { _tag: "Exit", requestId, exit: bytesOf(size, seed) } as never
    const frame = frames.encode(answer)
    assert.deepStrictEqual(Uint8Array.from(frame), Uint8Array.from(usual(answer)))
    assert.deepEqual(plain(frames.decode(frame)), plain(parsed(frame)))
  }, runs)

  it("of the known kinds take the short way", () => {
    const request = { _tag: "Request", id: -5, tag: "client.Write", payload: new Uint8Array(3), headers: [] } as never
    assert.isDefined(frames.decodeShort(usual(request)))
    assert.isDefined(frames.decodeShort(usual({ _tag: "Exit", requestId: -5, exit: new Uint8Array(9) })))
    const notification = {
      _tag: "Request",
      id: notificationId,
      tag: "peer.Deliver",
      payload: new Uint8Array(3),
      headers: [],
      isNotification: true
    }
    assert.isDefined(frames.decodeShort(usual(notification)))
  })

  const Flip = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 255 }))
  it.prop("that are damaged are read as the serialization reads them", [Size, Schema.Natural, Flip, Schema.Boolean], ([
    size,
    at,
    flip,
    exit
  ]) => {
    const payload = bytesOf(size, 1)
    const message = exit
      ? { _tag: "Exit", requestId: -7, exit: payload }
      : { _tag: "Request", id: -7, tag: "client.Write", payload, headers: [] }
    const frame = Uint8Array.from(usual(message))
    const place = at % Math.min(frame.byteLength, 40)
    frame[place] = (frame[place] as number) ^ flip
    const short = frames.decodeShort(frame)
    if (short !== undefined) assert.deepEqual(plain(short), plain(parsed(frame)))
  }, { arbitrary: { runs: 1_000 } })
})

const payloadOf = (group: RpcGroup.Any, tag: string) => {
  const rpc = (group as unknown as typeof ClientRpcs).requests.get(tag) as Rpc.Any as Rpc.AnyWithProps
  const shapes = clientShapes[tag]
  return {
    short: new ShapedCodec(serialization.codecFor, rpc.payloadSchema, shapes?.payload ?? []),
    usual: serialization.codecFor(rpc.payloadSchema) as Schema.Codec<unknown, unknown>,
    shortExit: new ShapedCodec(serialization.codecFor, Rpc.exitSchema(rpc), shapes?.exit ?? []),
    usualExit: serialization.codecFor(Rpc.exitSchema(rpc)) as Schema.Codec<unknown, unknown>
  }
}

describe("payloads", () => {
  const payloads: ReadonlyArray<readonly [RpcGroup.Any, string, (bytes: Uint8Array) => object]> = [
    [ClientRpcs, "client.Write", (commands) => ({ commands })],
    [PeerRpcs, "peer.Deliver", (messages) => ({ messages })],
    ...(["linearizable", "stale"] as const).flatMap((consistency) =>
      (["leader", "any"] as const).map((from) =>
        [ClientRpcs, "client.Read", (queries: Uint8Array) => ({ consistency, from, queries })] as const
      )
    )
  ]
  for (const [group, tag, of] of payloads) {
    const { short, usual } = payloadOf(group, tag)
    it.prop(
      `of ${tag} ${JSON.stringify(of(new Uint8Array(0)))} are what their schema makes`,
      [Size, Byte],
      ([size, seed]) => {
        const payload = bytesOf(size, seed)
        assert.isAtLeast(short.shapes, 1)
        const encoded = short.encode(of(payload)) as Uint8Array
        assert.deepStrictEqual(
          Uint8Array.from(encoded),
          Uint8Array.from(Schema.encodeUnknownSync(usual)(of(payload)) as Uint8Array)
        )
        assert.deepEqual(plain(short.decode(encoded)), plain(of(payload)))
      },
      runs
    )
  }

  it("that are none of the call are refused as ever", () => {
    const { short } = payloadOf(ClientRpcs, "client.Read")
    assert.throws(() => short.decode(new Uint8Array([1, 2, 3])))
    assert.throws(() => short.encode({ consistency: "hazy", from: "leader", queries: new Uint8Array(1) }))
    assert.throws(() => short.encode({ consistency: "stale", from: "leader", queries: "text" }))
  })

  it("of answers are what their schema makes, with failures and without", () => {
    const { shortExit, usualExit } = payloadOf(ClientRpcs, "client.Write")
    const failures = [{ slot: 3, error: new NotLeader({ nodeId: 2 }) }]
    const same = (exit: Exit.Exit<unknown, unknown>) => {
      const encoded = shortExit.encode(exit) as Uint8Array
      assert.deepStrictEqual(
        Uint8Array.from(encoded),
        Uint8Array.from(Schema.encodeUnknownSync(usualExit)(exit) as Uint8Array)
      )
      assert.deepEqual(plain(shortExit.decode(encoded)), plain(Schema.decodeUnknownSync(usualExit)(encoded)))
    }
    for (const size of [0, 1, 127, 128, 300, 16_400]) {
      const replies = bytesOf(size, 3)
      same(Exit.succeed({ replies, failures: [] }))
      same(Exit.succeed({ replies, failures }))
    }
    same(Exit.fail(new Overloaded({ limit: "x", current: 1, maximum: 2 })))
    same(Exit.die("a bug"))
  })
})

/** Views of bytes are compared by what is in them. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex")
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  if (value instanceof Error || Object.getPrototypeOf(value) !== Object.prototype) return JSON.stringify(value)
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]))
}
