/** The client and a node's client port, with TCP between them. The node behind the port answers as the test tells it. */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Queue, References, Scope, Stream } from "effect"
import { createConnection } from "node:net"
import { clientProtocolVersion, ClientRpcs, maxBatchOperations } from "../../../src/protocol/ClientRpcs.ts"
import type { Endpoint } from "../../../src/client/connection/Endpoint.ts"
import { ClusterAdmin } from "../../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Leases } from "../../../src/client/Lease.ts"
import { Locks } from "../../../src/client/Lock.ts"
import { Mirror } from "../../../src/client/Mirror.ts"
import * as RemoteClient from "../../../src/client/RemoteClient.ts"
import * as RemoteCommands from "../../../src/client/RemoteCommands.ts"
import type { WatchEvent } from "../../../src/client/WatchNotice.ts"
import { Watch } from "../../../src/client/Watch.ts"
import { freePorts } from "../../FreePorts.ts"
import { read, write } from "../../../src/client/connection/Connection.ts"
import * as TcpConnection from "../../../src/client/connection/TcpConnection.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import { maxValueBytes } from "../../../src/kv/model/Limits.ts"
import { RaftNode } from "../../../src/node/RaftNode.ts"
import { connect } from "../../../src/net/TcpClient.ts"
import * as ClientServer from "../../../src/server/ClientServer.ts"
import { otherCluster } from "../Identities.ts"

const host = "127.0.0.1"

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

/** A cluster of one in memory. */
const newCluster = quiet(Layer.build(Layer.fresh(FlareDb.layerMemory)))

/** A client port in front of a cluster of one in memory. `change` puts something between the port and the node. */
const serve = Effect.fnUntraced(function*(
  change: (node: RaftNode["Service"]) => RaftNode["Service"] = (node) => node,
  options: {
    readonly port?: number
    readonly maxOperations?: number
    readonly clusterId?: string
    readonly cluster?: Effect.Success<typeof newCluster>
  } = {}
) {
  const memory = options.cluster ?? (yield* newCluster)
  const node = change(Context.get(memory, RaftNode))
  const server = ClientServer.layer({
    clusterId: options.clusterId ?? "test",
    nodeId: 1,
    listen: { host, port: options.port ?? 0 },
    maxOperations: options.maxOperations ?? 10_000
  }).pipe(Layer.provide(Layer.succeedContext(Context.add(memory, RaftNode, node))))
  const { port } = Context.get(yield* Layer.build(Layer.fresh(server)).pipe(quiet), ClientServer.ClientAddress)
  return { endpoint: { host, port } satisfies Endpoint, node }
})

const client = (endpoint: Endpoint, sessions = true) => RemoteClient.layer({ endpoints: [endpoint], sessions })

it.live("carries keys and values of every size and content, and pages of them", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve()
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const values = [new Uint8Array(0), Uint8Array.of(0, 255), new Uint8Array(maxValueBytes).fill(7)]
      for (const [i, value] of values.entries()) {
        assert.deepInclude(yield* kv.put(Uint8Array.of(255, i), value), { created: true, revision: i + 1 })
        const entry = Option.getOrThrow(yield* kv.get(Uint8Array.of(255, i)))
        assert.isTrue(Buffer.from(value).equals(entry.value))
      }
      assert.deepStrictEqual(yield* kv.get("missing"), Option.none())
      yield* Effect.forEach(Array.from({ length: 250 }, (_, i) => i), (i) => kv.put(`k${i}`, "v"), {
        concurrency: "unbounded"
      })
      const all = yield* Stream.runCollect(kv.scanAll("k", { limit: 100 }))
      assert.strictEqual(all.length, 250)
      assert.deepStrictEqual(yield* kv.delete("k7"), { revision: 254, deleted: true })
      assert.deepStrictEqual(yield* kv.delete("k7"), { revision: 254, deleted: false })
    }).pipe(Effect.provide(client(endpoint)))
  }))

it.live("many large values at once travel in several calls", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve()
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const value = new Uint8Array(maxValueBytes)
      const results = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9], (i) => kv.put(`large ${i}`, value), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(results.map(({ revision }) => revision).sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9])
    }).pipe(Effect.provide(client(endpoint)))
  }))

it.live("a server that ends during a write leaves its outcome unknown; the client works again once there is a new one", () =>
  Effect.gen(function*() {
    const asked = yield* Deferred.make<void>()
    const silent = (node: RaftNode["Service"]): RaftNode["Service"] => ({
      ...node,
      proposeUnsafe: () => Deferred.doneUnsafe(asked, Exit.void)
    })
    const scope = yield* Scope.make()
    const cluster = yield* newCluster
    const [port = 0] = yield* freePorts(1)
    const { endpoint } = yield* Scope.provide(serve(silent, { port, cluster }), scope)
    const kv = Context.get(yield* Layer.build(client(endpoint, false)), KeyValue)
    const write = yield* Effect.forkChild(Effect.flip(kv.put("a", "1")))
    yield* Deferred.await(asked)
    yield* Scope.close(scope, Exit.void)
    assert.strictEqual((yield* Fiber.join(write))._tag, "Indeterminate")
    yield* serve(undefined, { port, cluster })
    assert.strictEqual((yield* kv.put("a", "2")).created, true)
  }))

it.live("refuses a client of another protocol version, and says which", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve()
    const rpcs = yield* connect(ClientRpcs, { ...endpoint, openTimeoutMs: 1_000 })
    const error = yield* Effect.flip(rpcs["client.Hello"]({ protocolVersion: clientProtocolVersion + 1 }))
    assert.match(
      error.message,
      new RegExp(
        `the node speaks client protocol ${clientProtocolVersion} \\(flaredb .*\\), this client ${
          clientProtocolVersion + 1
        }`
      )
    )
  }))

it.live("refuses batches that are malformed or too many, and more operations than it may have under way", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve(undefined, { maxOperations: maxBatchOperations })
    const connection = yield* TcpConnection.make({ connectTimeoutMs: 1_000 })(endpoint)
    const tooMany = yield* write(connection, Array.from({ length: maxBatchOperations + 1 }, () => new Uint8Array(1)))
    assert.deepInclude(tooMany[0], { _tag: "InvalidArgument", field: "commands" })
    const rpcs = yield* connect(ClientRpcs, { ...endpoint, openTimeoutMs: 1_000 })
    yield* rpcs["client.Hello"]({ protocolVersion: clientProtocolVersion })
    const cut = yield* Effect.flip(rpcs["client.Write"]({ commands: Uint8Array.of(0, 0, 0, 9, 1) }))
    assert.deepInclude(cut, { _tag: "InvalidArgument", field: "commands" })

    const { endpoint: small } = yield* serve(undefined, { maxOperations: 1 })
    const busy = yield* TcpConnection.make({ connectTimeoutMs: 1_000 })(small)
    const [overloaded] = yield* read(busy, [new Uint8Array(1), new Uint8Array(1)], "stale", "any")
    assert.deepInclude(overloaded, { _tag: "Overloaded", limit: "maxClientOperations" })
  }))

it.live("garbage on the port ends that connection and no other", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve()
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      yield* kv.put("a", "1")
      const closed = Effect.callback<void>((resume) => {
        const socket = createConnection(endpoint, () => socket.write(Buffer.alloc(4_096, 0xee)))
        socket.on("error", () => undefined)
        socket.once("close", () => resume(Effect.void))
        socket.resume()
        return Effect.sync(() => socket.destroy())
      })
      yield* Effect.all([closed, closed], { concurrency: 2 })
      assert.isTrue(Option.isSome(yield* kv.get("a")))
    }).pipe(Effect.provide(client(endpoint)))
  }))

it.live("a port in use is a typed error with the address and what to do", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve()
    const error = yield* Effect.flip(serve(undefined, { port: endpoint.port }))
    assert.deepInclude(error, { _tag: "ListenError", port: "client", address: `${host}:${endpoint.port}` })
    assert.include(error.message, "stop the process that holds it")
  }))

it.live("carries watches: the past, the present, and what was replaced, of every size", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve()
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const watch = yield* Watch
      const large = new Uint8Array(maxValueBytes).fill(7)
      yield* kv.put("k", large)
      yield* kv.put("k", "small")
      const told = yield* Effect.forkChild(
        Stream.runCollect(Stream.take(watch.changes({ key: "k" }, { fromRevision: 1, previous: true }), 4))
      )
      yield* kv.put("other", "x")
      yield* kv.delete("k")
      yield* kv.put("k", large)
      const changes = yield* Fiber.join(told)
      assert.deepStrictEqual(changes.map(({ revision }) => revision), [1, 2, 4, 5])
      const [first, second, third, fourth]: ReadonlyArray<WatchEvent | undefined> = changes.map(({ events }) =>
        events[0]
      )
      assert(first?._tag === "Put" && second?._tag === "Put" && third?._tag === "Delete" && fourth?._tag === "Put")
      assert.isTrue(Buffer.from(large).equals(first.entry.value))
      assert.isTrue(Buffer.from(large).equals(second.previous?.value ?? new Uint8Array(0)))
      assert.strictEqual(third.previous?.text, "small")
      assert.isUndefined(fourth.previous)
      assert.isTrue(Buffer.from(large).equals(fourth.entry.value))
      assert.strictEqual(fourth.entry.value.buffer.byteLength, maxValueBytes, "a copy, not a view of a larger whole")
    }).pipe(Effect.provide(client(endpoint)))
  }))

for (const clusterId of ["test", "restored"]) {
  it.live(`a client keeps to the cluster it met first: one named ${clusterId} in its place is refused at once`, () =>
    Effect.gen(function*() {
      const old = yield* Scope.fork(yield* Effect.scope)
      const [port = 0] = yield* freePorts(1)
      const { endpoint } = yield* Scope.provide(serve(undefined, { port }), old)
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const leases = yield* Leases
        const locks = yield* Locks
        const watch = yield* Watch
        const admin = yield* ClusterAdmin
        const expected = yield* admin.identity
        yield* kv.put("a", "1")
        const held = yield* leases.scoped(60_000)
        const lock = yield* locks.acquire("l", { ttlMs: 5_000 })
        const told = yield* Effect.forkChild(Stream.runDrain(watch.notices({ prefix: "" })).pipe(Effect.flip))
        const mirrored = yield* Effect.forkChild(Stream.runDrain(watch.mirror("")).pipe(Effect.flip))
        yield* Scope.close(old, Exit.void)
        yield* serve(undefined, { port, clusterId })

        // Each call may take a minute, which no test has.
        const timeoutMs = 60_000
        const refusals = yield* Effect.all({
          read: Effect.flip(kv.get("a", { timeoutMs })),
          write: Effect.flip(kv.put("a", "2", { timeoutMs })),
          scan: Effect.flip(kv.scan("", { timeoutMs })),
          keepAlive: Effect.flip(leases.keepAlive(held.id, { timeoutMs })),
          grant: Effect.flip(leases.grant(5_000, { timeoutMs })),
          compact: Effect.flip(admin.compact()),
          transfer: Effect.flip(admin.transferLeader()),
          watch: Fiber.join(told),
          mirror: Fiber.join(mirrored)
        })
        for (const [what, error] of Object.entries(refusals)) {
          assert.deepInclude(error, { _tag: "WrongCluster", expected, foundName: clusterId }, what)
        }
        assert.deepInclude(yield* Effect.flip(lock.lost), { reason: "wrong-cluster" })
        const [answer] = yield* admin.status
        assert.match(answer?.problem ?? "", /make a new client/)
      }).pipe(Effect.provide(RemoteClient.layer({ endpoints: [endpoint], requestTimeoutMs: 60_000 })))
      yield* Effect.flatMap(KeyValue, (kv) => kv.get("a")).pipe(Effect.provide(client(endpoint)))
    }))
}

it.live("a node of another cluster among the right ones is passed over", () =>
  Effect.gen(function*() {
    const cluster = yield* newCluster
    const first = yield* Scope.fork(yield* Effect.scope)
    const { endpoint } = yield* Scope.provide(serve(undefined, { cluster }), first)
    const stray = yield* serve()
    const { endpoint: second } = yield* serve(undefined, { cluster })
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const watch = yield* Watch
      const admin = yield* ClusterAdmin
      yield* kv.put("a", "1")
      const changes = yield* Effect.forkChild(
        Stream.runCollect(Stream.take(watch.changes({ prefix: "" }, { fromRevision: 1 }), 2))
      )
      // The stray node is the next in turn.
      yield* Scope.close(first, Exit.void)
      assert.isTrue(Option.isSome(yield* kv.get("a")))
      assert.strictEqual((yield* kv.put("a", "2")).created, false)
      assert.deepStrictEqual((yield* Fiber.join(changes)).map(({ revision }) => revision), [1, 2])
      const answers = yield* admin.status
      assert.deepStrictEqual(answers.map(({ report }) => report !== undefined), [false, false, true])
      assert.deepStrictEqual(answers.map(({ wrongCluster }) => wrongCluster !== undefined), [false, true, false])
    }).pipe(Effect.provide(RemoteClient.layer({ endpoints: [endpoint, stray.endpoint, second] })))
  }))

it.live("a client that expects a cluster uses no other, and one that does not know its identity is not trusted", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve()
    const identity = yield* Effect.flatMap(ClusterAdmin, (admin) => admin.identity).pipe(
      Effect.provide(client(endpoint))
    )
    const read = Effect.flatMap(KeyValue, (kv) => kv.get("a", { timeoutMs: 400 }))
    const expecting = (cluster: string, at = endpoint) =>
      Effect.provide(read, RemoteClient.layer({ endpoints: [at], clusterIdentity: cluster }))
    assert.isTrue(Option.isNone(yield* expecting(identity)))
    assert.deepInclude(yield* Effect.flip(expecting(otherCluster)), {
      _tag: "WrongCluster",
      expected: otherCluster,
      found: identity
    })
    assert.strictEqual((yield* Effect.flip(expecting("no UUID")))._tag, "InvalidConfig")
    const unknown = yield* serve((real) => ({ ...real, identity: Effect.succeed(undefined) }))
    const error = yield* Effect.flip(expecting(identity, unknown.endpoint))
    assert.strictEqual(error._tag, "Unavailable")
    assert.match(error.message, /does not know yet which cluster it is of/)
  }))

it.live("an interrupted answer to the first call is a lost connection, and interrupts nobody", () =>
  Effect.gen(function*() {
    let hellos = 0
    const { endpoint } = yield* serve((node) => ({
      ...node,
      // As a node does that stops while it is asked.
      identity: Effect.suspend(() => ++hellos <= 2 ? Effect.interrupt : node.identity)
    }))
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const outcome = yield* Effect.exit(kv.put("a", "1"))
      assert.isTrue(Exit.isSuccess(outcome))
      assert.isAbove(hellos, 2)
    }).pipe(Effect.provide(client(endpoint)))
  }))

it.live("a client that is closed ends its watches, mirrors and questions, begun or not", () =>
  Effect.gen(function*() {
    const { endpoint } = yield* serve()
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(
      Layer.merge(Layer.fresh(client(endpoint)), Layer.fresh(RemoteCommands.layer({ endpoints: [endpoint] }))),
      scope
    )
    const watch = Context.get(context, Watch)
    const listening = yield* Queue.unbounded<string>()
    const begun = yield* Effect.forkChild(Effect.flip(Stream.runForEach(
      watch.notices({ prefix: "a" }),
      ({ _tag }) => Queue.offer(listening, _tag)
    )))
    assert.strictEqual(yield* Queue.take(listening), "Began")
    const mirror = yield* Effect.provide(Mirror.make({ prefixes: ["a"] }), context)
    const behind = yield* Effect.forkChild(Effect.flip(mirror.awaitRevision(1_000)), { startImmediately: true })
    const opening = yield* Effect.forkChild(Effect.flip(Stream.runDrain(watch.mirror("b"))), { startImmediately: true })

    yield* Scope.close(scope, Exit.void)
    for (const ending of [Fiber.join(begun), Fiber.join(behind), Fiber.join(opening)]) {
      assert.match((yield* ending).message, /^unavailable: the client was closed/)
    }
    assert.isTrue(mirror.isEnded)
    // The services of machines of one's own are over a pool whose callers wait without a limit.
    const [answer] = yield* Context.get(context, ClusterAdmin).status
    assert.match(answer?.problem ?? "", /the client was closed/)
  }).pipe(Effect.scoped))
