/** Rate, errors and duration of calls: each call of a port is counted, whoever answers it and however it ends. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Metric, References } from "effect"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { OpenApi } from "effect/http-api"
import { Api } from "../../src/http/api/Api.ts"
import { pathLabel } from "../../src/http/HttpMetrics.ts"
import * as HttpServer from "../../src/http/HttpServer.ts"
import { NotLeader } from "../../src/FlareDbError.ts"
import * as OperationMetrics from "../../src/server/OperationMetrics.ts"
import * as ClientServer from "../../src/server/ClientServer.ts"
import { ClientPort as Rpcs } from "./Payloads.ts"
import { call } from "../wire/Frames.ts"
import { open } from "./RawConnection.ts"
import { eventually } from "../Eventually.ts"

const listen = { host: "127.0.0.1", port: 0 }

/** A registry of its own for each test: what else this worker has measured is not in it. */
const alone = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  test.pipe(
    Effect.provideService(Metric.MetricRegistry, new Map()),
    Effect.provideService(References.MinimumLogLevel, "None")
  )

/** The state of the metric with these labels. */
const figure = (id: string, labels: Record<string, string>) =>
  Effect.map(
    Metric.snapshot,
    (metrics) =>
      metrics.find((metric) =>
        metric.id === id && Object.entries(labels).every(([name, value]) => metric.attributes?.[name] === value)
      )?.state as { readonly count: number; readonly sum: number } | undefined
  )

const countOf = (id: string, labels: Record<string, string>) =>
  Effect.map(figure(id, labels), (state) => state?.count ?? 0)

const served = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.fresh(
    ClientServer.layer({ clusterId: "memory", nodeId: 1, listen, maxOperations: 10_000 }).pipe(
      Layer.provideMerge(FlareDb.layerMemory)
    )
  ))
  return Context.get(context, ClientServer.ClientAddress).port
})

it.live("calls of both ways through a port, and operations, are counted with their errors", () =>
  alone(
    Effect.gen(function*() {
      const port = yield* served
      const client = yield* Layer.build(
        Layer.fresh(RemoteClient.layer({ endpoints: [{ host: "127.0.0.1", port }] }))
      )
      const kv = Context.get(client, KeyValue)
      yield* kv.put("a", "1")
      yield* kv.get("a")
      // An operation that is refused leaves its call well.
      assert.isTrue(Exit.isFailure(yield* Effect.exit(kv.put("b", "1", { lease: 4711 }))))
      const { status } = Context.get(client, ClusterAdmin)
      yield* status

      const write = { port: "client", call: "client.Write" }
      // A session was opened first.
      assert.isAtLeast(yield* countOf("flaredb_call_seconds", write), 3)
      assert.strictEqual(yield* countOf("flaredb_call_seconds", { ...write, call: "client.Read" }), 1)
      assert.strictEqual(yield* countOf("flaredb_call_seconds", { ...write, call: "client.Status" }), 1)
      assert.isAtLeast(yield* countOf("flaredb_operations_total", { kind: "write" }), 3)
      assert.strictEqual(yield* countOf("flaredb_operations_total", { kind: "read" }), 1)
      assert.strictEqual(yield* countOf("flaredb_call_errors_total", {}), 0)
      const took = yield* figure("flaredb_call_seconds", write)
      assert.isAbove(took?.sum ?? 0, 0)
      assert.isBelow(took?.sum ?? 0, 10)
    }).pipe(Effect.scoped)
  ))

it.live("a call that is refused at the door is counted with its error, and unknown calls make no label", () =>
  alone(
    Effect.gen(function*() {
      const port = yield* served
      const connection = yield* open(port)
      connection.send(call(Rpcs, 1, "client.Status", undefined))
      yield* connection.next
      assert.strictEqual(
        yield* countOf("flaredb_call_errors_total", { port: "client", call: "client.Status", error: "NoHello" }),
        1
      )
      const calls = (yield* Metric.snapshot).flatMap(({ attributes, id }) =>
        id === "flaredb_call_seconds" ? [attributes?.["call"]] : []
      )
      assert.deepStrictEqual(calls, ["client.Status"])
    }).pipe(Effect.scoped)
  ))

it.live("requests of the HTTP port are counted under their paths, and failures under their status", () =>
  alone(
    Effect.gen(function*() {
      const context = yield* Layer.build(Layer.fresh(
        HttpServer.layer({ clusterId: "memory", listen }).pipe(Layer.provideMerge(FlareDb.layerMemory))
      ))
      const { port } = Context.get(context, HttpServer.HttpAddress)
      for (const path of ["/livez", "/no/such/page?x=1"]) {
        yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}${path}`)).text())
      }
      yield* eventually(
        "both are counted",
        Effect.map(
          Effect.all([
            countOf("flaredb_call_seconds", { port: "http", call: "/livez" }),
            countOf("flaredb_call_errors_total", { port: "http", call: "other", error: "404" })
          ]),
          ([livez, other]) => livez === 1 && other === 1
        )
      )
    }).pipe(Effect.scoped)
  ))

it.effect("operations are counted by kind, and those with an error by its name", () =>
  alone(
    Effect.gen(function*() {
      const count = yield* OperationMetrics.make
      const leads = new NotLeader({ nodeId: 1 })
      count("write", [new Uint8Array(1), leads, leads])
      count("read", [new Uint8Array(1)])
      assert.strictEqual(yield* countOf("flaredb_operations_total", { kind: "write" }), 3)
      const errors = (yield* Metric.snapshot).filter(({ id }) => id === "flaredb_operation_errors_total")
      assert.deepStrictEqual(errors.map(({ attributes, state }) => [attributes, (state as { count: number }).count]), [
        [{ kind: "write", error: "NotLeader" }, 2]
      ])
    })
  ))

it("paths that callers make up share a label", () => {
  const labels = (...urls: ReadonlyArray<string>) => urls.map(pathLabel)
  assert.deepStrictEqual(labels("/", "/metrics?x", "/x", "//"), ["/", "/metrics", "other", "other"])
  assert.deepStrictEqual(labels("/v1/keys/a", "/v1/keys/b?x=/", "/v1/x"), ["/v1/keys/*", "/v1/keys/*", "/v1/*"])
  assert.deepStrictEqual(
    labels("/console/calls/get", "/console/calls/actors/retry", "/console/app.js", "/console"),
    ["/console/calls/*", "/console/calls/*", "/console/*", "other"]
  )
})

it("streams, which last, share no label with calls", () => {
  const streams = ["/v1/watch", "/console/watch", "/console/events"]
  assert.deepStrictEqual(streams.map((path) => pathLabel(`${path}?prefix=eA==`)), streams)
})

it("every route of the API has a label, and the fixed ones their own", () => {
  const routes = Object.keys(OpenApi.fromApi(Api).paths)
  assert.isAbove(routes.length, 5)
  for (const route of routes) {
    const label = pathLabel(route.replace(/\{\w+\}/g, "7").replace("*", "a"))
    assert.isTrue(route.includes("{") || route.includes("*") ? label.endsWith("/*") : label === route, route)
  }
})
