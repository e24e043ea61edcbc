/** Backups and hashes of a node over real sockets: what is refused, what ends, and what is freed then. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as FlareDb from "../../src/FlareDb.ts"
import { KnownCluster } from "../../src/client/connection/KnownCluster.ts"
import type { ConnectState } from "../../src/client/connection/StateConnection.ts"
import { make as connectState } from "../../src/client/connection/StateConnection.ts"
import { maxBackupIdleMs } from "../../src/protocol/StateRpcs.ts"
import { BackupDecoder } from "../../src/protocol/BackupFile.ts"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import * as ClientServer from "../../src/server/ClientServer.ts"
import { StateServer } from "../../src/server/StateServer.ts"

/** A client of its own each time, because each test has a cluster of its own. */
const connect: ConnectState = (endpoint) =>
  connectState({ connectTimeoutMs: 1_000, cluster: new KnownCluster() })(endpoint)

const server = ClientServer.layer({
  clusterId: "memory",
  nodeId: 1,
  listen: { host: "127.0.0.1", port: 0 },
  maxOperations: 1_000
}).pipe(Layer.provideMerge(FlareDb.layerMemory))

const decode = (pieces: ReadonlyArray<Uint8Array>) => {
  const decoder = new BackupDecoder()
  for (const piece of pieces) {
    const parts = decoder.take(piece)
    if (parts instanceof CodecError) throw new Error(parts.message)
  }
  const totals = decoder.end()
  if (totals instanceof CodecError) throw new Error(totals.message)
  return { header: decoder.header, totals }
}

const fill = Effect.gen(function*() {
  const kv = yield* KeyValue
  const value = new Uint8Array(100_000).fill(7)
  yield* Effect.forEach(Array.from({ length: 60 }, (_, i) => `key ${i}`), (key) => kv.put(key, value), {
    concurrency: 8
  })
})

it.live("a backup is one moment of everything acknowledged, in pieces of at most 256 KiB", () =>
  Effect.gen(function*() {
    yield* fill
    const connection = yield* connect(yield* ClientServer.ClientAddress)
    const pieces = yield* Stream.runCollect(connection.backup)
    assert.isTrue(pieces.every((piece) => piece.byteLength <= 256 * 1024))
    const { header, totals } = decode(pieces)
    assert.deepInclude(header, { clusterId: "memory", nodeId: 1, machine: "key-value", revision: 60 })
    assert.isAbove(totals.bytes, 60 * 100_000)
  }).pipe(Effect.provide(Layer.fresh(server))))

it.live("one backup at a time; the place is free again when its client is gone, or has all of it", () =>
  Effect.gen(function*() {
    yield* fill
    const address = yield* ClientServer.ClientAddress
    const refused = Effect.scoped(
      Effect.flatMap(connect(address), ({ backup }) => Effect.result(Stream.runHead(backup)))
    )
    yield* Effect.scoped(
      Effect.gen(function*() {
        const pull = yield* Stream.toPull((yield* connect(address)).backup)
        yield* pull
        const second = yield* refused
        assert(Result.isFailure(second))
        assert.deepInclude(second.failure, { _tag: "Overloaded", limit: "maxBackups", maximum: 1 })
      })
    )
    // The node hears of the end of a connection a little later.
    let again = yield* refused
    while (Result.isFailure(again)) again = yield* Effect.andThen(Effect.sleep(5), refused)
  }).pipe(Effect.provide(Layer.fresh(server))))

it.live("a state is hashed behind the command that was named; the place is free afterwards", () =>
  Effect.gen(function*() {
    yield* fill
    const node = yield* RaftNode
    const address = yield* ClientServer.ClientAddress
    for (const token of [1, 2]) {
      const marker = encodeCommand({ _tag: "Checkpoint", token })
      const { hashState } = yield* connect(address)
      const steps = yield* Stream.runCollect(
        Stream.tap(
          hashState(marker),
          (step) => step._tag === "Armed" ? Effect.asVoid(node.propose([marker])) : Effect.void
        )
      )
      const last = steps[steps.length - 1]
      assert.strictEqual(steps[0]?._tag, "Armed")
      assert(last?._tag === "Hashed")
      assert.match(last.digest, /^[0-9a-f]{64}$/)
      assert.strictEqual(last.revision, 60)
      assert.isAbove(last.rows, 120)
    }
  }).pipe(Effect.provide(Layer.fresh(server))))

it.live("a command that cannot be one is refused", () =>
  Effect.gen(function*() {
    // A node that has answered a read knows its cluster.
    yield* (yield* KeyValue).get("key")
    const { hashState } = yield* connect(yield* ClientServer.ClientAddress)
    for (const marker of [new Uint8Array(0), new Uint8Array(100_000)]) {
      const refused = yield* Effect.flip(Stream.runDrain(hashState(marker)))
      assert.deepInclude(refused, { _tag: "InvalidArgument", field: "marker" })
    }
  }).pipe(Effect.provide(Layer.fresh(server))))

it.effect("a backup that nobody takes any more is given up, and its place is free", () =>
  Effect.gen(function*() {
    const { backup } = yield* StateServer
    const filling = yield* Effect.forkScoped(fill)
    while (filling.pollUnsafe() === undefined) yield* TestClock.adjust(10)
    yield* Fiber.join(filling)
    const whileTimePasses = <A, E>(work: Effect.Effect<A, E>) =>
      Effect.raceFirst(work, Effect.forever(Effect.andThen(TestClock.adjust(10), Effect.yieldNow)))
    yield* Effect.scoped(
      Effect.gen(function*() {
        const pull = yield* Stream.toPull(backup)
        yield* whileTimePasses(pull)
        // Slow is not gone.
        yield* TestClock.adjust(maxBackupIdleMs / 2)
        yield* pull
        yield* TestClock.adjust(maxBackupIdleMs * 2)
        const gone = yield* Effect.flip(pull)
        assert.deepInclude(gone, { _tag: "Unavailable" })
      })
    )
    assert.isTrue(Option.isSome(yield* whileTimePasses(Stream.runHead(backup))))
  }).pipe(
    Effect.provide(
      Layer.fresh(StateServer.layer({ clusterId: "memory", nodeId: 1 }).pipe(Layer.provideMerge(FlareDb.layerMemory)))
    )
  ))
