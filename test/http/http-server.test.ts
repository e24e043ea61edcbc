/** The HTTP port of a node, asked over a socket as probes, scrapers and browsers do. */
import { assert, describe, layer } from "@effect/vitest"
import {
  Context,
  Deferred,
  Effect,
  Exit,
  Layer,
  Logger,
  Metric,
  References,
  Schema,
  Stream,
  SubscriptionRef
} from "effect"
import { createHash } from "node:crypto"
import { request } from "node:http"
import { createConnection } from "node:net"
import type { Socket } from "node:net"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { Fatal } from "../../src/FlareDbError.ts"
import { defaultLimits, httpProbeConnections } from "../../src/config/Limits.ts"
import { maxKeptReplyBytes, maxLeases, maxSessions } from "../../src/kv/model/Limits.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import { waitingOf } from "../../src/node/Waiting.ts"
import { StatusDocument } from "../../src/protocol/NodeReport.ts"
import * as HttpServer from "../../src/http/HttpServer.ts"
import { StatusSections } from "../../src/http/StatusSections.ts"
import { ListenError } from "../../src/net/Listening.ts"
import { eventually } from "../Eventually.ts"
import { version } from "../../src/Version.ts"

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

const listen = { host: "127.0.0.1", port: 0 }

const fetchText = (port: number, path: string, init: RequestInit = {}): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, signal })
    return { status: response.status, type: response.headers.get("content-type") ?? "", text: await response.text() }
  })

const get = (path: string, init?: RequestInit) =>
  Effect.flatMap(HttpServer.HttpAddress, ({ port }) => fetchText(port, path, init))

const untilLeading = Effect.flatMap(
  RaftNode,
  (node) => SubscriptionRef.changes(node.role).pipe(Stream.takeUntil(({ role }) => role === "leader"), Stream.runDrain)
)

/** The status of an answer to a request with this `Host`, which `fetch` does not let one choose. */
const statusUnder = (port: number, path: string, host: string): Effect.Effect<number | undefined> =>
  Effect.callback((resume) => {
    request({ host: "127.0.0.1", port, path, headers: { host } }, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode))
    }).end()
  })

const Live = HttpServer.layer({ clusterId: "test <1>", listen, hosts: ["db.example.org"] }).pipe(
  Layer.provideMerge(FlareDb.layerMemory)
)

describe("HttpServer", () => {
  layer(Live, { excludeTestServices: true })((it) => {
    it.effect("binds a free port when asked for port 0, and says which", () =>
      Effect.gen(function*() {
        const address = yield* HttpServer.HttpAddress
        assert.strictEqual(address.host, "127.0.0.1")
        assert.isAbove(address.port, 0)
      }))

    it.effect("/livez answers as long as the process works", () =>
      Effect.gen(function*() {
        assert.deepInclude(yield* get("/livez"), { status: 200, text: "ok\n" })
      }))

    it.effect("/readyz answers 200 with the reason once there is a leader", () =>
      Effect.gen(function*() {
        yield* untilLeading
        const answer = yield* get("/readyz")
        assert.strictEqual(answer.status, 200)
        assert.match(answer.text, /^ok: leads term \d+\n$/)
      }))

    it.effect("/status tells as JSON what the node says of itself", () =>
      Effect.gen(function*() {
        yield* untilLeading
        const kv = yield* KeyValue
        yield* kv.put("k", "v")
        const answer = yield* get("/status")
        assert.match(answer.type, /^application\/json/)
        const said: unknown = JSON.parse(answer.text)
        assert.deepInclude(said, { clusterId: "test <1>", version, nodeId: 1, role: "leader", leader: 1, voters: [1] })
        const { applied } = yield* Effect.flatMap(RaftNode, (node) => node.status)
        assert.deepInclude(said, { applied })
        // All of it is in the schema, with sections beside it: what the node learns to say has to be written there.
        Schema.decodeUnknownSync(StatusDocument, { onExcessProperty: "error" })(said)
        assert.strictEqual(
          Object.keys(said as object).join(" "),
          "clusterId version nodeId voters role membership fresh term leader commit applied firstIndex lastIndex " +
            "matches snapshots identity levels peers processes wallMs waiting process"
        )
      }))

    it.effect("/metrics is Prometheus text that counts the leader", () =>
      Effect.gen(function*() {
        yield* untilLeading
        const answer = yield* get("/metrics")
        assert.strictEqual(answer.status, 200)
        assert.match(answer.type, /^text\/plain/)
        assert.match(answer.text, /^# TYPE flaredb_raft_is_leader gauge$/m)
        assert.match(answer.text, /^flaredb_raft_is_leader(\{[^}]*\})? 1$/m)
        assert.match(answer.text, /^flaredb_raft_term(\{[^}]*\})? [1-9]/m)
      }))

    it.effect("/metrics has each label once, also of metrics of the program that runs the node", () =>
      Effect.gen(function*() {
        const calls = Metric.withAttributes(Metric.counter("shop_calls"), { "node.id": "1", node_id: "a" })
        yield* Metric.update(calls, 1)
        const { text, type } = yield* get("/metrics")
        assert.strictEqual(type, "text/plain; version=0.0.4; charset=utf-8")
        assert.match(text, /^shop_calls\{node_id="1;a"\} 1$/m)
        assert.match(text, /^flaredb_raft_is_leader/m)
      }))

    it.effect("/metrics has histograms of what a commit takes, each a sum over its buckets", () =>
      Effect.gen(function*() {
        yield* untilLeading
        const kv = yield* KeyValue
        for (let i = 0; i < 3; i++) yield* kv.put("histogram", `${i}`)
        const { text } = yield* get("/metrics")
        const value = (name: string): number =>
          Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN)
        for (const name of ["raft_commit", "log_sync", "raft_apply", "inbox_wait"].map((n) => `flaredb_${n}_seconds`)) {
          assert.match(text, new RegExp(`^# TYPE ${name} histogram$`, "m"))
          const counts = [...text.matchAll(new RegExp(`^${name}_bucket\\{[^}]*le="([^"]+)"[^}]*\\} (\\d+)$`, "gm"))]
          assert.strictEqual(counts[counts.length - 1]?.[1], "+Inf")
          const count = value(`${name}_count`)
          assert.isAtLeast(count, 3, name)
          assert.strictEqual(Number(counts[counts.length - 1]?.[2]), count, name)
          assert.isTrue(counts.every(([, , n], at) => at === 0 || Number(n) >= Number(counts[at - 1]?.[2])), name)
          // In seconds, not milliseconds: these take no more than a few.
          assert.isBelow(value(`${name}_sum`) / count, 5, name)
        }
        assert.isAtLeast(value("flaredb_raft_batch_entries_sum"), 3)
      }))

    it.effect("/debug/raft shows what the owner sees, and nothing of what users store", () =>
      Effect.gen(function*() {
        yield* untilLeading
        const kv = yield* KeyValue
        yield* kv.put("secret-key", "secret-value")
        const answer = yield* get("/debug/raft")
        assert.strictEqual(answer.status, 200)
        assert.match(answer.type, /^application\/json/)
        assert.notInclude(answer.text, "secret")
        assert.isBelow(answer.text.length, 8_192)
        const seen = JSON.parse(answer.text)
        const { applied, commit, lastIndex, term } = yield* Effect.flatMap(RaftNode, (node) => node.status)
        assert.deepInclude(seen, { nodeId: 1, role: "leader", leader: 1, forwardedReads: 0, peers: [] })
        assert.deepInclude(seen.hardState, { term, votedFor: 1, durable: true })
        assert.deepInclude(seen.log, { last: { index: lastIndex, term }, stable: lastIndex, commit, applied })
        assert.deepInclude(seen.leadership, { followers: [], uncommittedBytes: 0, transfer: null })
        assert.match(seen.summary, new RegExp(`^n1 leader term ${term} .*commit ${commit} applied ${applied}`))
        assert.deepInclude(seen.ticks, { untilDue: null })
        assert.strictEqual(seen.settings.id, 1)
      }))

    it.effect("/metrics has every bounded table with its limit", () =>
      Effect.gen(function*() {
        const { text } = yield* get("/metrics")
        const limits = [...text.matchAll(/^flaredb_table_limit\{[^}]*table="(\w+)"[^}]*\} (\d+)$/gm)]
        const expected = {
          sessions: maxSessions,
          leases: maxLeases,
          kept_reply_bytes: maxKeptReplyBytes,
          pending_proposals: defaultLimits.maxPendingProposals,
          pending_reads: defaultLimits.maxPendingReads,
          inbox: defaultLimits.maxInboxEvents,
          watches: defaultLimits.maxWatches,
          watch_bytes: defaultLimits.maxWatchBytes,
          http_connections: defaultLimits.maxHttpConnections
        }
        assert.deepInclude(Object.fromEntries(limits.map(([, table, limit]) => [table, Number(limit)])), expected)
        for (const table of Object.keys(expected)) {
          assert.match(text, new RegExp(`^flaredb_table_entries\\{[^}]*table="${table}"[^}]*\\} \\d+$`, "m"))
        }
      }))

    it.effect("/plain is a page that escapes the cluster's name", () =>
      Effect.gen(function*() {
        const answer = yield* get("/plain")
        assert.match(answer.type, /^text\/html/)
        assert.include(answer.text, "test &#60;1&#62;")
      }))

    it.effect("/plain and /status have what others add, read once for all who ask, and say when it is not known", () =>
      Effect.gen(function*() {
        const sections = yield* StatusSections
        let reads = 0
        yield* Effect.scoped(Effect.gen(function*() {
          yield* sections.add({
            name: "actors",
            read: Effect.sync(() => ({
              json: { runners: ++reads },
              tables: [{ title: "Actors <b>", rows: [["runners", reads], ["a & b", "c"]] }]
            }))
          })
          yield* sections.add({ name: "broken", read: Effect.fail(new Error("the store is away")) })
          const slow = yield* Deferred.make<{ readonly json: unknown; readonly tables: [] }>()
          let begun = 0
          yield* sections.add({
            name: "slow",
            read: Effect.suspend(() => {
              begun++
              return Deferred.await(slow)
            })
          })
          const [status, page] = yield* Effect.all([get("/status"), get("/plain")], { concurrency: 2 })
          yield* get("/status")
          assert.strictEqual(reads, 1)
          assert.deepInclude(JSON.parse(status.text), {
            nodeId: 1,
            actors: { runners: 1 },
            broken: { problem: "the store is away" },
            slow: { problem: "it is being read; ask again" }
          })
          // The reading goes on, and whoever asks next gets its answer.
          yield* Deferred.succeed(slow, { json: { done: true }, tables: [] })
          yield* eventually(
            "the slow one is read",
            Effect.map(get("/status"), ({ text }) => JSON.parse(text).slow.done === true)
          )
          assert.strictEqual(begun, 1)
          assert.include(page.text, "<h2>Actors &#60;b&#62;</h2>")
          assert.include(page.text, "<th>a &#38; b</th><td>c</td>")
        }))
        assert.notProperty(JSON.parse((yield* get("/status")).text), "actors")
      }))

    it.effect("answers only under names that an operator gave, and under addresses", () =>
      Effect.gen(function*() {
        const asked = (host: string, path = "/status") =>
          Effect.flatMap(HttpServer.HttpAddress, ({ port }) => statusUnder(port, path, host))
        for (const host of ["attacker.example", "attacker.example:7201", "127.0.0.1.attacker.example", "[::1"]) {
          for (const path of ["/status", "/metrics", "/debug/raft", "/plain"]) {
            assert.strictEqual(yield* asked(host, path), 421, `${host} ${path}`)
          }
          assert.strictEqual(yield* asked(host, "/livez"), 200, host)
        }
        for (
          const host of ["localhost:1", "LOCALHOST.", "10.1.2.3", "[::1]:7201", "db.example.org", "DB.example.org:443"]
        ) {
          assert.strictEqual(yield* asked(host), 200, host)
        }
      }))

    it.effect("lets browsers neither guess types, nor run scripts, nor frame or keep a page", () =>
      Effect.gen(function*() {
        const { port } = yield* HttpServer.HttpAddress
        for (const path of ["/plain", "/status", "/metrics", "/debug/raft", "/livez", "/nowhere"]) {
          const { headers } = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}${path}`))
          assert.strictEqual(headers.get("x-content-type-options"), "nosniff", path)
          assert.match(headers.get("content-security-policy") ?? "", /^default-src 'none'; .*frame-ancestors 'none'$/)
          assert.strictEqual(headers.get("cache-control"), "no-store")
        }
        const page = yield* get("/plain")
        const [, style = ""] = /<style>([^]*)<\/style>/.exec(page.text) ?? []
        const hash = createHash("sha256").update(style).digest("base64")
        const { headers } = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/plain`))
        assert.include(headers.get("content-security-policy") ?? "", `style-src 'self' 'sha256-${hash}'`)
      }))

    it.effect("a path or method it does not have is 404, and nothing breaks", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* get("/nowhere")).status, 404)
        assert.strictEqual((yield* get("/status", { method: "DELETE" })).status, 404)
        assert.strictEqual((yield* get("/livez")).status, 200)
      }))

    it.effect("a port in use is a typed error that names the address and what to do", () =>
      Effect.gen(function*() {
        const { port } = yield* HttpServer.HttpAddress
        const second = Layer.build(HttpServer.layer({ clusterId: "test", listen: { host: "127.0.0.1", port } }))
        const warnings: Array<string> = []
        const logger = Logger.layer([Logger.make(({ message }) => void warnings.push(String(message)))])
        const error = yield* Effect.scoped(second).pipe(
          Effect.flip,
          Effect.provide(logger),
          Effect.provideService(References.MinimumLogLevel, "Warn")
        )
        assert.deepStrictEqual(warnings, [], "no connection was lost")
        assert.instanceOf(error, ListenError)
        assert.match(
          error.message,
          new RegExp(`the http address 127\\.0\\.0\\.1:${port} is in use; .*another http port`)
        )
      }))

    it.effect("counts the connections of all its addresses against one limit; idle ones give way", () =>
      Effect.scoped(Effect.gen(function*() {
        const limits = { ...defaultLimits, maxHttpConnections: 3 }
        let asked = 0
        const node = yield* RaftNode
        const slow = RaftNode.of({
          ...node,
          debug: Effect.andThen(Effect.sync(() => void asked++), Effect.never)
        })
        const built = Layer.build(
          HttpServer.layer({ clusterId: "test", listen: { host: "localhost", port: 0 }, limits })
        ).pipe(Effect.provideService(RaftNode, slow))
        const { addresses, port } = Context.get(yield* built, HttpServer.HttpAddress)
        const [first = "", second = first] = addresses
        const connect = (host: string) =>
          Effect.acquireRelease(
            Effect.sync(() => createConnection({ host, port }).on("error", () => undefined)),
            (socket) => Effect.sync(() => socket.destroy())
          )
        const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
        /** Whether a connection is kept open for an answer. */
        const isAnswered = (socket: Socket) =>
          Effect.callback<boolean>((resume) => {
            if (socket.destroyed) return resume(Effect.succeed(false))
            socket.once("close", () => resume(Effect.succeed(false)))
            socket.once("data", () => resume(Effect.succeed(true)))
            socket.write(get("/livez"))
          })
        const busy: Array<Socket> = []
        const keepBusy = (host: string) =>
          Effect.gen(function*() {
            const socket = yield* connect(host)
            busy.push(socket)
            socket.write(get("/debug/raft"))
            yield* eventually("the request", Effect.sync(() => asked === busy.length))
          })
        yield* keepBusy(first)
        const kept = yield* connect(second)
        assert.isTrue(yield* isAnswered(kept))
        const silent = yield* connect(first)
        assert.isTrue(yield* isAnswered(yield* connect(second)), "the longest idle one gives way")
        assert.isFalse(yield* isAnswered(kept))
        assert.isTrue(yield* isAnswered(silent))
        yield* keepBusy(first)
        yield* keepBusy(second)
        /** What all comes on a connection before it is closed. */
        const answerTo = (socket: Socket, path: string) =>
          Effect.callback<string>((resume) => {
            let text = ""
            socket.on("data", (bytes: Buffer) => {
              text += bytes.toString()
            })
            socket.once("close", () => resume(Effect.succeed(text)))
            socket.write(get(path) + get("/livez"))
          })
        for (const path of ["/livez", "/readyz", "/metrics"]) {
          const answer = yield* answerTo(yield* connect(first), path)
          assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/, path)
          assert.strictEqual(answer.split("HTTP/1.1 ").length, 2, `one answer: ${path}`)
        }
        for (const path of ["/status", "/debug/raft", "/plain"]) {
          const answer = yield* answerTo(yield* connect(second), path)
          assert.match(answer, /^HTTP\/1\.1 429 /, path)
          assert.match(answer, /"limit":"maxHttpConnections","current":3,"maximum":3/, path)
        }
        const idle = yield* Effect.replicateEffect(connect(first), httpProbeConnections)
        for (const one of idle) one.resume()
        assert.isTrue(yield* isAnswered(yield* connect(first)), "a silent one of those gives way")
        yield* eventually("the silent one", Effect.sync(() => idle.filter((one) => one.destroyed).length === 1))
        for (const one of idle) one.destroy()
        assert.deepStrictEqual(busy.map((socket) => socket.destroyed), [false, false, false])
      })).pipe(Effect.provideService(References.MinimumLogLevel, "None")))

    it.effect("the port is free again once its scope has closed", () =>
      Effect.gen(function*() {
        const open = (port: number) =>
          Effect.scoped(
            Effect.flatMap(
              Layer.build(HttpServer.layer({ clusterId: "test", listen: { host: "127.0.0.1", port } })),
              (services) => Effect.provide(HttpServer.HttpAddress, services)
            )
          )
        const { port } = yield* open(0)
        assert.isTrue(
          Exit.isFailure(yield* Effect.exit(Effect.tryPromise(() => fetch(`http://127.0.0.1:${port}/livez`))))
        )
        assert.strictEqual((yield* open(port)).port, port)
      }))
  })

  const leaderless = Layer.effect(
    RaftNode,
    Effect.map(RaftNode, (node) =>
      RaftNode.of({
        ...node,
        status: Effect.map(node.status, (status) => {
          const now = { ...status, role: "candidate" as const, leader: undefined }
          return { ...now, waiting: waitingOf(now) }
        })
      }))
  ).pipe(Layer.provide(FlareDb.layerMemory))

  layer(HttpServer.layer({ clusterId: "test", listen }).pipe(Layer.provide(leaderless)), { excludeTestServices: true })(
    "of a node without a leader",
    (it) => {
      it.effect("/readyz answers 503 with the reason, and /livez still answers 200", () =>
        Effect.gen(function*() {
          const answer = yield* get("/readyz")
          assert.strictEqual(answer.status, 503)
          assert.match(answer.text, /^not ready: waiting for a leader: candidate in term \d+\n$/)
          assert.strictEqual((yield* get("/livez")).status, 200)
        }))
    }
  )

  const stopped = Layer.effect(
    RaftNode,
    Effect.map(
      RaftNode,
      (node) => RaftNode.of({ ...node, fatal: Effect.fail(new Fatal({ reason: "the disk is gone" })) })
    )
  ).pipe(Layer.provide(FlareDb.layerMemory))

  layer(HttpServer.layer({ clusterId: "test", listen }).pipe(Layer.provide(stopped)), { excludeTestServices: true })(
    "of a node that has stopped, in a process that goes on",
    (it) => {
      it.effect("/readyz and /livez answer 503 with the reason", () =>
        Effect.gen(function*() {
          for (const path of ["/readyz", "/livez"]) {
            const answer = yield* get(path)
            assert.strictEqual(answer.status, 503, path)
            assert.strictEqual(answer.text, "the node has stopped: the disk is gone\n")
          }
        }))
    }
  )
})
