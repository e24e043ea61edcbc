/** What a collector gets, what it may do to a node that exports to it, and what it may not. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Logger, Metric, References } from "effect"
import { HttpClientRequest } from "effect/http"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { chmodSync, writeFileSync } from "node:fs"
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { KeyValue } from "../../src/client/KeyValue.ts"
import type { FlareDbOptions } from "../../src/config/FlareDbConfig.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { headersIn, openCollector } from "../../src/http/Collector.ts"
import { HttpAddress } from "../../src/http/HttpServer.ts"
import { maxRequests } from "../../src/http/OtlpClient.ts"
import * as OtlpClient from "../../src/http/OtlpClient.ts"
import { freePorts } from "../FreePorts.ts"
import { eventually } from "../Eventually.ts"
import { temporaryFolder } from "../storage/TemporaryFolder.ts"

interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A collector that keeps what it gets, and answers as `answer` does. */
const collector = Effect.fnUntraced(function*(
  answer: (response: ServerResponse, request: IncomingMessage) => void = (response) => response.end()
) {
  const received: Array<Received> = []
  const state = { received, open: 0, most: 0, port: 0 }
  const server = createServer((request, response) => {
    state.open += 1
    response.once("close", () => state.open -= 1)
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      received.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks) })
      answer(response, request)
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )
  state.port = (server.address() as AddressInfo).port
  // Counted where they are made: the collector hears late that one was given up.
  const asked = new Set<ClientRequest>()
  const onStart = (message: unknown) => {
    const { request } = message as { readonly request: ClientRequest }
    if (request.getHeader("host") !== `127.0.0.1:${state.port}`) return
    asked.add(request)
    for (const one of asked) if (one.destroyed) asked.delete(one)
    state.most = Math.max(state.most, asked.size)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => subscribe("http.client.request.start", onStart)),
    () => Effect.sync(() => unsubscribe("http.client.request.start", onStart))
  )
  return state
})

const secretHeaders = (folder: string, text: string, mode = 0o600): string => {
  const file = join(folder, "headers")
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}

/** One node with its disk in a temporary folder, as a program has it. */
const node = Effect.fnUntraced(function*(options: Partial<FlareDbOptions>) {
  const folder = yield* temporaryFolder
  const [clientPort = 0, peerPort = 0, httpPort = 0] = yield* freePorts(3)
  return yield* Layer.build(Layer.fresh(FlareDb.layer({
    nodeId: 1,
    clusterId: "exported",
    nodes: [{ id: 1, host: "127.0.0.1", clientPort, peerPort, httpPort }],
    dataDir: join(folder, "data"),
    ...options
  })))
})

it.live("a node sends its metrics and the spans of its callers, with the headers of the file", () =>
  Effect.gen(function*() {
    const { port, received } = yield* collector()
    const folder = yield* temporaryFolder
    const otlpHeadersFile = secretHeaders(folder, "# the collector's token\nX-Token: s3cret\n")
    let traceId = ""
    yield* Effect.scoped(Effect.gen(function*() {
      const services = yield* node({ otlpEndpoint: `http://127.0.0.1:${port}/base/`, otlpHeadersFile })
      const { put } = Context.get(services, KeyValue)
      yield* put("a", "1")
      const traced = Effect.andThen(put("a", "2"), Effect.currentSpan)
      const { port: httpPort } = Context.get(services, HttpAddress)
      for (const path of ["/metrics", "/no/page"]) {
        yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${httpPort}${path}`)).text())
      }
      traceId = (yield* Effect.withSpan(traced, "transfer money")).traceId
    }))
    // The end of the node exports what there is.
    const bodyOf = (path: string) => Buffer.concat(received.filter((one) => one.path === path).map(({ body }) => body))
    assert.sameMembers([...new Set(received.map(({ path }) => path))], ["/base/v1/metrics", "/base/v1/traces"])
    for (const { headers } of received) {
      assert.strictEqual(headers["x-token"], "s3cret")
      assert.strictEqual(headers["content-type"], "application/x-protobuf")
    }
    const metrics = bodyOf("/base/v1/metrics")
    for (
      const text of [
        "flaredb_raft_term",
        "flaredb_raft_commit_seconds",
        "service.name",
        "flaredb",
        "service.namespace",
        "exported"
      ]
    ) {
      assert.isTrue(metrics.includes(text), text)
    }
    const spans = bodyOf("/base/v1/traces")
    // The caller's own span is its program's to export; the node's belongs to the same trace.
    assert.isFalse(spans.includes("transfer money"))
    assert.isTrue(spans.includes("flaredb.node.write"))
    assert.isTrue(spans.includes("flaredb.node.apply"))
    assert.isTrue(spans.includes("/no/page"))
    assert.isFalse(spans.includes("/metrics"))
    assert.isTrue(spans.includes(Buffer.from(traceId, "hex")))
    // Nothing of what users store.
    for (const { body } of received) assert.isFalse(body.includes("s3cret"))
  }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))

it.live("a collector that never answers, or is not there, delays no write, and has few requests at a time", () =>
  Effect.gen(function*() {
    const hanging = yield* collector(() => undefined)
    const [closed] = yield* freePorts(1)
    for (const port of [hanging.port, closed]) {
      const services = yield* node({ otlpEndpoint: `http://127.0.0.1:${port}`, otlpIntervalMs: 1_000 })
      const { put } = Context.get(services, KeyValue)
      const traced = (i: number) => Effect.withSpan(put(`k${i}`, "v", { timeoutMs: 50_000 }), "write")
      const keys = Array.from({ length: 1_000 }, (_, i) => i)
      // If one waited for a request, that took ten seconds, and all of them more than the test has.
      yield* Effect.forEach(keys, traced, { concurrency: 64, discard: true })
    }
    // Of metrics and of spans.
    assert.isAtMost(hanging.most, 2 * maxRequests)
    assert.isAbove(hanging.most, 0)
  }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))

describe("the client of a signal", () => {
  const request = (port: number) =>
    HttpClientRequest.post(`http://127.0.0.1:${port}/v1/traces`).pipe(HttpClientRequest.bodyText("spans"))

  const failuresOf = Effect.map(Metric.snapshot, (metrics) => {
    const found = metrics.find(({ id }) => id === "flaredb_otlp_failures_total")
    return (found?.state as { readonly count: number } | undefined)?.count
  })

  const logged = <A, E, R>(test: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        lines.push(`${logLevel} ${message}`)
      })
      return test(lines).pipe(
        Effect.scoped,
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
    })

  it.live("has a few requests under way, refuses more at once, and lets go of those that have no answer", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const hanging = yield* collector(() => undefined)
        const client = yield* OtlpClient.make({ signal: "traces", requestMs: 500, againMs: 5 })
        const all = Array.from({ length: 10 }, () => Effect.exit(client.execute(request(hanging.port))))
        const fibers = yield* Effect.forEach(all, (one) => Effect.forkChild(one, { startImmediately: true }))
        const refused = fibers.filter((fiber) => fiber.pollUnsafe() !== undefined)
        assert.lengthOf(refused, 10 - maxRequests)
        for (const fiber of fibers) assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
        assert.strictEqual(hanging.most, maxRequests)
        // Each is made twice at most.
        assert.isAtMost(hanging.received.length, 2 * maxRequests)
        assert.strictEqual(yield* failuresOf, 10)
        assert.lengthOf(lines, 1)
        assert.match(lines[0] ?? "", /^Warn the collector does not take traces: /)
      })
    ))

  it.live("makes a request once more, and says when the collector is well again", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const statuses = [500, 503, 500, 200]
        const flaky = yield* collector((response) => {
          response.statusCode = statuses.shift() ?? 200
          response.end("x".repeat(100))
        })
        const client = yield* OtlpClient.make({ signal: "metrics", againMs: 1 })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(client.execute(request(flaky.port)))))
        assert.strictEqual((yield* client.execute(request(flaky.port))).status, 200)
        assert.lengthOf(flaky.received, 4)
        assert.deepStrictEqual(lines, [
          "Warn the collector does not take metrics: it answered 503; they are lost until it does, and nothing else is",
          "Info the collector takes metrics again"
        ])
      })
    ))

  it.live("reads little of an answer that does not end", () =>
    logged(() =>
      Effect.gen(function*() {
        let written = 0
        const endless = yield* collector((response) => {
          const more = (): void => {
            while (!response.destroyed && response.write(Buffer.alloc(16 * 1024))) written += 16 * 1024
            if (!response.destroyed) response.once("drain", more)
          }
          more()
        })
        const client = yield* OtlpClient.make({ signal: "metrics", againMs: 1 })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(client.execute(request(endless.port)))))
        yield* eventually("both connections are closed", () => endless.open === 0)
        assert.isBelow(written, 16 * 1024 * 1024)
      })
    ))
})

describe("the headers of a collector", () => {
  const problemOf = (options: Parameters<typeof openCollector>[0]) =>
    Effect.map(Effect.flip(openCollector(options)), ({ problems }) => problems[0]?.problem ?? "")

  it("are lines, and none that would change how a request is read", () => {
    assert.deepStrictEqual(headersIn("# note\n\nAuthorization: Bearer a:b \r\nx-scope: team 1\n"), {
      "authorization": "Bearer a:b",
      "x-scope": "team 1"
    })
    for (const text of ["token", "a b: c", "Host: elsewhere", "Content-Length: 5", "x: \u0007"]) {
      assert.throws(() => headersIn(text), /^line 1/)
    }
  })

  it.effect("are not read from a file that others may read, and not sent over http to another machine", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const otlpHeadersFile = secretHeaders(folder, "x-token: s3cret", 0o644)
      const otlpIntervalMs = 30_000
      const here = { otlpEndpoint: "http://[::1]:4318", otlpHeadersFile, otlpIntervalMs }
      assert.match(yield* problemOf(here), /others than its owner may read it; run chmod 600/)
      chmodSync(otlpHeadersFile, 0o600)
      assert.strictEqual((yield* openCollector(here))?.endpoint, "http://[::1]:4318")
      const elsewhere = { ...here, otlpEndpoint: "http://collector.example:4318" }
      assert.match(yield* problemOf(elsewhere), /collector\.example over http, where others could read it; use https/)
      assert.isDefined(yield* openCollector({ ...here, otlpEndpoint: "https://collector.example" }))
      writeFileSync(otlpHeadersFile, "s3cret")
      assert.match(yield* problemOf(here), /line 1 is no header/)
      assert.notInclude(yield* problemOf(here), "s3cret")
    }).pipe(Effect.scoped))
})
