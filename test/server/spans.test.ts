/** Spans from a caller to the log: the node's spans are children of the caller's, and nobody makes any for callers without. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Option, References, Tracer } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { maxTraces } from "../../src/protocol/Trace.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import * as ClientServer from "../../src/server/ClientServer.ts"
import { WatchServer } from "../../src/server/WatchServer.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

/** Keeps every span that is made. */
class Recorder {
  readonly spans: Array<Tracer.Span> = []
  readonly tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      this.spans.push(span)
      return span
    }
  })

  named(name: string): ReadonlyArray<Tracer.Span> {
    return this.spans.filter((span) => span.name === name)
  }
}

const parentOf = (span: Tracer.Span | undefined) =>
  Option.getOrUndefined(Option.map(span?.parent ?? Option.none(), ({ spanId }) => spanId))

const statusOf = (span: Tracer.Span | undefined) => span?.status._tag

/** A node behind a port, and a client of it. */
const clientOfNode = Effect.gen(function*() {
  const cluster = yield* TestCluster.make({ voters: 1 })
  const { node, watches } = yield* cluster.leader()
  const server = ClientServer.layer({
    clusterId: "test",
    nodeId: 1,
    listen: { host: "127.0.0.1", port: 0 },
    maxOperations: 10_000
  }).pipe(Layer.provide([Layer.succeed(RaftNode, node), Layer.succeed(WatchServer, watches)]))
  const { port } = Context.get(yield* Layer.build(Layer.fresh(server)), ClientServer.ClientAddress)
  return yield* Layer.build(Layer.fresh(RemoteClient.layer({ endpoints: [{ host: "127.0.0.1", port }] })))
})

const recorded = <A, E, R>(
  use: (recorder: Recorder, kv: KeyValue["Service"], leases: Leases["Service"]) => Effect.Effect<A, E, R>
) =>
  Effect.suspend(() => {
    const recorder = new Recorder()
    return Effect.gen(function*() {
      const client = yield* clientOfNode
      const kv = Context.get(client, KeyValue)
      // The first write opens a session.
      yield* kv.put("first", "1")
      recorder.spans.length = 0
      return yield* use(recorder, kv, Context.get(client, Leases))
    }).pipe(
      Effect.scoped,
      Effect.withTracer(recorder.tracer),
      Effect.provideService(References.MinimumLogLevel, "None")
    )
  })

it.live("a write's span goes from its caller to the log", () =>
  recorded((recorder, kv) =>
    Effect.gen(function*() {
      yield* Effect.withSpan(kv.put("a", "1"), "transfer money")
      const [caller] = recorder.named("transfer money")
      const [client] = recorder.named("flaredb.put")
      const [node] = recorder.named("flaredb.node.write")
      const [apply] = recorder.named("flaredb.node.apply")
      assert.lengthOf(recorder.spans, 4)
      assert.strictEqual(client?.attributes.get("db.operation.name"), "put")
      assert.strictEqual(parentOf(apply), node?.spanId)
      assert.strictEqual(apply?.attributes.get("flaredb.apply.entries"), 1)
      const timesOf = ({ status }: Tracer.Span): ReadonlyArray<bigint> =>
        status._tag === "Ended" ? [status.startTime, status.endTime] : []
      const [applyFrom = 0n, applyTo = 0n] = timesOf(apply as Tracer.Span)
      const [nodeFrom = 1n, nodeTo = 0n] = timesOf(node as Tracer.Span)
      assert.isTrue(nodeFrom <= applyFrom && applyFrom <= applyTo && applyTo <= nodeTo)
      assert.strictEqual(parentOf(client), caller?.spanId)
      assert.strictEqual(client?.kind, "client")
      assert.strictEqual(parentOf(node), client?.spanId)
      assert.strictEqual(node?.traceId, caller?.traceId)
      assert.strictEqual(node?.kind, "server")
      assert.strictEqual(node?.attributes.get("flaredb.node"), 1)
      assert.deepStrictEqual([statusOf(client), statusOf(node)], ["Ended", "Ended"])
      const events = (node as Tracer.NativeSpan).events
      assert.deepStrictEqual(events.map(([name]) => name), ["appended"])
      const [, , position] = events[0] ?? []
      assert.isAbove(Number(position?.["flaredb.log.index"]), 0)
      assert.isAbove(Number(position?.["flaredb.log.term"]), 0)
    })
  ))

it.live("a read's span goes from its caller to the node that answers", () =>
  recorded((recorder, kv) =>
    Effect.gen(function*() {
      yield* Effect.withSpan(kv.get("first"), "look")
      const [client] = recorder.named("flaredb.get")
      const [node] = recorder.named("flaredb.node.read")
      assert.strictEqual(parentOf(node), client?.spanId)
      assert.deepStrictEqual([statusOf(client), statusOf(node)], ["Ended", "Ended"])
    })
  ))

it.live("callers that share a call have spans of their own, and at most so many travel", () =>
  recorded((recorder, kv) =>
    Effect.gen(function*() {
      const count = maxTraces + 10
      yield* Effect.forEach(
        Array.from({ length: count }, (_, i) => i),
        (i) => Effect.withSpan(kv.put(`k${i}`, "v"), `caller ${i}`),
        { concurrency: "unbounded", discard: true }
      )
      const clients = recorder.named("flaredb.put")
      const nodes = recorder.named("flaredb.node.write")
      assert.lengthOf(clients, count)
      assert.isAtLeast(nodes.length, maxTraces)
      const known = new Set(clients.map(({ spanId }) => spanId))
      const parents = nodes.map(parentOf)
      assert.strictEqual(new Set(parents).size, nodes.length)
      for (const parent of parents) assert.isTrue(known.has(parent ?? ""))
    })
  ))

it.live("callers without a span, or with one that is not sampled, cost no span", () =>
  recorded((recorder, kv) =>
    Effect.gen(function*() {
      yield* kv.put("a", "1")
      yield* kv.get("a")
      assert.deepStrictEqual(recorder.spans.map(({ name }) => name), [])
      yield* Effect.withSpan(kv.put("a", "2"), "unsampled", { sampled: false })
      assert.deepStrictEqual(recorder.spans.filter(({ name }) => name.startsWith("flaredb.node.")), [])
    })
  ))

it.live("a span of the client has the error that its caller gets, also where the store refused", () =>
  recorded((recorder, kv, leases) =>
    Effect.gen(function*() {
      const calls: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        kv.put("a", "1", { lease: 99 }),
        leases.revoke(99),
        leases.timeToLive(99)
      ]
      for (const call of calls) {
        assert.strictEqual((yield* Effect.flip(Effect.withSpan(call, "caller")))._tag, "LeaseNotFound")
      }
      for (const name of ["flaredb.put", "flaredb.revokeLease", "flaredb.leaseKeys"]) {
        const status = recorder.named(name)[0]?.status
        const error = status?._tag === "Ended" ? Exit.findErrorOption(status.exit) : Option.none()
        assert.deepInclude(Option.getOrUndefined(error), { _tag: "LeaseNotFound", lease: 99 }, name)
      }
    })
  ))
