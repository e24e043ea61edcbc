/** Watches over real sockets: consumers and connections that stop cost the node no more than its bound, and nobody else anything. */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Latch, Layer, References, Scope, Stream } from "effect"
import type { Socket } from "node:net"
import { createConnection, createServer } from "node:net"
import type { Endpoint } from "../../src/client/connection/Endpoint.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import * as TcpConnection from "../../src/client/connection/TcpConnection.ts"
import { Watch } from "../../src/client/Watch.ts"
import type { Limits } from "../../src/config/Limits.ts"
import { freePorts } from "../FreePorts.ts"
import { prefixRange } from "../../src/bytes/KeyRange.ts"
import { KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { partBytes } from "../../src/kv/FeedPart.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import type { ListenError } from "../../src/net/Listening.ts"
import * as ClientServer from "../../src/server/ClientServer.ts"
import { WatchServer } from "../../src/server/WatchServer.ts"
import type { TestNode } from "../../src/testing/TestCluster.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"
import { eventually } from "../Eventually.ts"

const host = "127.0.0.1"

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

/** A client port in front of a node, until the scope closes. */
const listen = (
  { node, watches }: Pick<TestNode, "node" | "watches">,
  options: { readonly port?: number; readonly idleTimeoutMs?: number } = {}
): Effect.Effect<Endpoint, ListenError, Scope.Scope> => {
  const server = ClientServer.layer({
    clusterId: "test",
    nodeId: 1,
    listen: { host, port: options.port ?? 0 },
    maxOperations: 10_000,
    idleTimeoutMs: options.idleTimeoutMs
  }).pipe(Layer.provide([Layer.succeed(RaftNode, node), Layer.succeed(WatchServer, watches)]))
  return quiet(
    Effect.map(Layer.build(Layer.fresh(server)), (built) => ({
      host,
      port: Context.get(built, ClientServer.ClientAddress).port
    }))
  )
}

/** A node of its own. */
const start = (limits: Partial<Limits> = {}) =>
  quiet(Effect.flatMap(TestCluster.make({ voters: 1, limits }), (cluster) => cluster.leader()))

const serve = Effect.fnUntraced(function*(limits: Partial<Limits> = {}, idleTimeoutMs?: number) {
  const node = yield* start(limits)
  const endpoint = yield* listen(node, idleTimeoutMs === undefined ? {} : { idleTimeoutMs })
  return { endpoint, counts: node.watches.counts }
})

const client = (endpoint: Endpoint) => Layer.fresh(RemoteClient.layer({ endpoints: [endpoint] }))

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

const value = new Uint8Array(partBytes / 4).fill(7)

/** Puts as many values as fill `parts` parts. */
const fill = (parts: number) =>
  Effect.flatMap(
    KeyValue,
    (kv) => Effect.forEach(upTo(parts * 4), (i) => kv.put(`hot/${i}`, value), { concurrency: 16, discard: true })
  )

it.live(
  "a consumer that stops costs one part and delays nobody; when it goes on it has missed nothing",
  () =>
    Effect.gen(function*() {
      const { endpoint, counts } = yield* serve()
      yield* Effect.gen(function*() {
        const watch = yield* Watch
        const parts = 40
        const gate = yield* Latch.make(false)
        const began = yield* Deferred.make<void>()
        const told: Array<number> = []
        const slow = yield* Effect.forkScoped(
          Stream.runForEach(
            Stream.take(watch.changes({ prefix: "hot/" }, { fromRevision: 1, buffer: 1 }), parts * 4),
            ({ revision }) =>
              Effect.andThen(
                Effect.sync(() => told.push(revision)),
                Effect.andThen(Deferred.succeed(began, undefined), gate.await)
              )
          )
        )
        const fast = yield* Effect.forkScoped(
          Stream.runCollect(Stream.take(watch.changes({ prefix: "hot/" }, { fromRevision: 1 }), parts * 4))
        )
        yield* fill(parts)
        yield* Deferred.await(began)
        const all = yield* Fiber.join(fast)
        assert.deepStrictEqual(all.map(({ revision }) => revision), upTo(parts * 4))
        assert.deepStrictEqual(told, [1])
        assert.isAtMost(counts().unconfirmedBytes, 2 * (partBytes + value.byteLength + 1_024))
        const kv = yield* KeyValue
        yield* kv.put("elsewhere", "1")
        yield* gate.open
        yield* Fiber.join(slow)
        assert.deepStrictEqual(told, upTo(parts * 4))
      }).pipe(Effect.provide(client(endpoint)))
      yield* eventually("nothing is watched", () => counts().watches === 0 && counts().unconfirmedBytes === 0)
    }),
  60_000
)

/** A way to a node that can stop to move, in both directions. */
const proxy = Effect.fnUntraced(function*(target: Endpoint): Effect.fn.Return<
  { readonly endpoint: Endpoint; readonly stop: Effect.Effect<void> },
  never,
  Scope.Scope
> {
  const sockets: Array<Socket> = []
  const server = createServer((near) => {
    const far = createConnection(target)
    for (const socket of [near, far]) {
      sockets.push(socket)
      socket.on("error", () => undefined)
    }
    near.pipe(far)
    far.pipe(near)
  })
  const port = yield* Effect.callback<number>((resume) => {
    server.listen(0, host, () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
  )
  const stop = Effect.sync(() => {
    for (const socket of sockets) {
      socket.unpipe()
      socket.pause()
    }
  })
  return { endpoint: { host, port }, stop }
})

it.live(
  "a connection that does not move holds no more than its share, and is closed with its watches in the end",
  () =>
    Effect.gen(function*() {
      const maxWatchBytes = 16 * partBytes
      const { endpoint, counts } = yield* serve({ maxWatchBytes }, 5_000)
      yield* Effect.provide(fill(8), client(endpoint))
      const way = yield* proxy(endpoint)
      const connection = yield* TcpConnection.make({ connectTimeoutMs: 1_000 })(way.endpoint)
      const request = {
        ranges: KeyRanges.of(prefixRange(new Uint8Array(0))),
        from: 1,
        previous: false,
        only: undefined
      }
      const watches = yield* Effect.forEach(upTo(100), () => connection.watch(request))
      const asked = yield* Effect.forEach(
        watches,
        (watch) => Effect.forkScoped(watch.next(33, 60_000), { startImmediately: true })
      )
      // Calls are taken in the order in which they come: those before this one are being served.
      yield* connection.status
      yield* way.stop

      // A hundred watches want to be told of a part each, and nobody takes it. Another client has its own as if nothing were.
      yield* Effect.gen(function*() {
        const watch = yield* Watch
        const other = yield* Effect.forkScoped(
          Stream.runDrain(Stream.take(watch.changes({ prefix: "hot/" }, { fromRevision: 33 }), 16))
        )
        yield* fill(4)
        yield* Fiber.join(other)
      }).pipe(Effect.provide(client(endpoint)))
      // The other client is gone, and the node may not know it yet.
      yield* eventually("a hundred watches", () => counts().watches === 100)
      const stuck = counts()
      assert.isAbove(stuck.unconfirmedBytes, 0)
      assert.isAtMost(stuck.unconfirmedBytes, maxWatchBytes / 4 + partBytes + value.byteLength)

      yield* eventually("nothing is watched", () => counts().watches === 0 && counts().unconfirmedBytes === 0)
      // By itself the client may have noticed meanwhile that nothing answers.
      for (const fiber of asked) {
        const exit = fiber.pollUnsafe()
        assert.isTrue(exit === undefined || Exit.isFailure(exit), "nothing came through")
      }
    }),
  60_000
)

it.live(
  "a connection that says something every second is not closed, however little it is",
  () =>
    Effect.gen(function*() {
      const { endpoint, counts } = yield* serve({}, 3_000)
      yield* Effect.gen(function*() {
        const watch = yield* Watch
        const told = yield* Effect.forkScoped(Stream.runCollect(Stream.take(watch.changes({ prefix: "" }), 1)))
        yield* eventually("one watch", () => counts().watches === 1)
        yield* Effect.sleep(4_500)
        assert.strictEqual(counts().watches, 1)
        yield* (yield* KeyValue).put("a", "1")
        assert.strictEqual((yield* Fiber.join(told)).length, 1)
      }).pipe(Effect.provide(client(endpoint)))
    }),
  60_000
)

it.live("goes on when the port was closed in good order and is there again", () =>
  Effect.gen(function*() {
    const node = yield* start()
    const scope = yield* Scope.make()
    const [port = 0] = yield* freePorts(1)
    const endpoint = yield* Scope.provide(listen(node, { port }), scope)
    yield* Effect.gen(function*() {
      const watch = yield* Watch
      const told = yield* Effect.forkScoped(Stream.runCollect(Stream.take(watch.changes({ prefix: "" }), 2)))
      yield* eventually("one watch", () => node.watches.counts().watches === 1)
      yield* node.put("a", "1")
      yield* Scope.close(scope, Exit.void)
      yield* node.put("a", "2")
      yield* listen(node, { port })
      assert.deepStrictEqual((yield* Fiber.join(told)).map(({ revision }) => revision), [1, 2])
    }).pipe(Effect.provide(client(endpoint)))
  }), 60_000)
