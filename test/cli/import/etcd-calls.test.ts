/** Calls of etcd's gateway against a server of this process, which answers as etcd 3.4.23 was seen to. */
import { assert, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { EtcdOptions } from "../../../src/cli/import/EtcdCalls.ts"
import { connect } from "../../../src/cli/import/EtcdGateway.ts"
import { rangeOf } from "../../../src/cli/import/StorePages.ts"
import { endpointsOf } from "../../../src/cli/input/EtcdFlags.ts"

interface Asked {
  readonly path: string
  readonly token: string | undefined
  readonly body: Record<string, unknown>
}

type Reply = readonly [status: number, body: unknown]

const header = { cluster_id: "17", revision: "9" }

const versions: Reply = [200, { etcdserver: "3.4.23", etcdcluster: "3.4.0" }]

const refusal = (status: number, code: number, message: string): Reply => [status, { error: message, code, message }]

/** A server for the length of the scope; `answer` says what it says, and `undefined` cuts the connection. */
const serve = (answer: (asked: Asked) => Reply | undefined) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise<Server>(() =>
        new Promise((resolve) => {
          const listener = (request: IncomingMessage, response: ServerResponse) => {
            let text = ""
            request.on("data", (piece: Buffer) => {
              text += piece.toString()
            })
            request.on("end", () => {
              const body = text === "" ? {} : JSON.parse(text)
              const reply = answer({ path: request.url ?? "", token: request.headers.authorization, body })
              if (reply === undefined) return void request.socket.destroy()
              response.writeHead(reply[0], { "content-type": "application/json" })
              response.end(typeof reply[1] === "string" ? reply[1] : JSON.stringify(reply[1]))
            })
          }
          const server = createServer(listener)
          server.listen(0, "127.0.0.1", () => resolve(server))
        })
      ),
      (server) =>
        Effect.promise(() =>
          new Promise((resolve) => {
            server.close(resolve)
            server.closeAllConnections()
          })
        )
    ),
    (server) => new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  )

const all = rangeOf(new Uint8Array(0))

const open = (endpoints: ReadonlyArray<URL>, options: Partial<EtcdOptions> = {}) =>
  connect({ endpoints, tls: {}, timeoutMs: 2_000, patienceMs: 2_000, ...options }, all)

const user = { name: "reader", password: Redacted.make("secret") }

it.live("bytes are base64, numbers of 64 bits stay text, and what is 0 is left out", () =>
  Effect.gen(function*() {
    const asked: Array<Asked> = []
    const url = yield* serve((one) => {
      asked.push(one)
      if (one.path === "/version") return versions
      if (one.path === "/v3/lease/timetolive") return [200, { header, ID: "9223372036854775807" }]
      const kvs = [{ key: "AP8=", lease: "9223372036854775807", value: "/w==" }, { key: "YQ==" }]
      return one.body["count_only"] === true ? [200, { header, count: "2" }] : [200, { header, kvs, more: true }]
    })
    const etcd = yield* open([url])
    assert.deepStrictEqual(yield* etcd.head(all), { revision: 9, keys: 2 })
    const page = yield* etcd.range({ ...all, revision: 9, limit: 2 })
    assert.deepStrictEqual(page.entries.map(({ key, lease, value }) => [[...key], [...value], lease]), [
      [[0, 255], [255], "9223372036854775807"],
      [[97], [], "0"]
    ])
    assert.isTrue(page.more)
    assert.strictEqual(yield* etcd.remainingSeconds("9223372036854775807"), 0)
    // The whole store begins at the byte 0 and has the byte 0 for its end.
    assert.deepStrictEqual(asked[3]?.body, { key: "AA==", range_end: "AA==", revision: "9", limit: "2" })
    assert.deepStrictEqual(asked[4]?.body, { ID: "9223372036854775807" })
  }))

it.live("a user has a token, and gets another one when it has ended", () =>
  Effect.gen(function*() {
    let issued = 0
    const tokens: Array<string | undefined> = []
    const url = yield* serve(({ body, path, token }) => {
      if (path === "/version") return versions
      if (path === "/v3/auth/authenticate") {
        assert.deepStrictEqual(body, { name: "reader", password: "secret" })
        return [200, { header, token: `token ${++issued}` }]
      }
      tokens.push(token)
      return token === "token 1" && tokens.length > 1
        ? refusal(401, 16, "etcdserver: invalid auth token")
        : [200, { header, count: "1" }]
    })
    const etcd = yield* open([url], { user })
    assert.deepInclude(yield* etcd.head(all), { keys: 1 })
    assert.deepStrictEqual(tokens, ["token 1", "token 1", "token 2"])
  }))

it.live("a member that is down or has no leader is passed over, and one of another cluster is refused", () =>
  Effect.gen(function*() {
    let calls = 0
    const healthy = yield* serve(({ path }) => path === "/version" ? versions : [200, { header, count: "1" }])
    const without = yield* serve(({ path }) =>
      path === "/version" ? versions : ++calls % 2 === 0 ? undefined : refusal(503, 14, "etcdserver: no leader")
    )
    const etcd = yield* open([without, healthy])
    assert.deepInclude(yield* etcd.head(all), { keys: 1 })
    const other = yield* serve(({ path }) =>
      path === "/version" ? versions : [200, { header: { ...header, cluster_id: "18" }, count: "9" }]
    )
    let up = true
    const leaving = yield* serve(({ path }) =>
      !up ? undefined : path === "/version" ? versions : [200, { header, count: "1" }]
    )
    const mixed = yield* open([leaving, other])
    up = false
    const refused = yield* Effect.flip(mixed.head(all))
    assert.deepInclude(refused, { _tag: "EtcdOtherCluster", cluster: "18", expected: "17" })
  }))

it.live("what etcd refuses, or is too old for, is an error that says what to do", () =>
  Effect.gen(function*() {
    const failure = (version: Reply, reply: Reply, options: Partial<EtcdOptions> = {}) =>
      Effect.gen(function*() {
        const url = yield* serve(({ path }) => path === "/version" ? version : reply)
        const opened = yield* Effect.result(open([url], { patienceMs: 300, timeoutMs: 300, ...options }))
        return Result.isFailure(opened) ? opened.failure : assert.fail("it was not refused")
      })
    const old = yield* failure([200, { etcdserver: "3.3.25", etcdcluster: "3.3.0" }], [404, "404 page not found\n"])
    assert.match(old.message, /is etcd 3\.3\.25, whose JSON gateway is not under \/v3 yet; .* Upgrade etcd first/)
    const off = yield* failure(versions, [404, "404 page not found\n"])
    assert.match(off.message, /no JSON gateway under \/v3; start etcd without --enable-grpc-gateway=false/)
    const stranger = yield* failure([200, "<html>"], [200, "{}"])
    assert.match(stranger.message, /is it a client URL of etcd\?/)
    const nameless = yield* failure(versions, refusal(400, 3, "etcdserver: user name is empty"))
    assert.match(nameless.message, /give --user and --password-file/)
    const wrong = yield* failure(
      versions,
      refusal(400, 3, "etcdserver: authentication failed, invalid user ID or password"),
      {
        user
      }
    )
    assert.match(wrong.message, /refused \/v3\/auth\/authenticate: etcdserver: authentication failed/)
    const denied = yield* failure(versions, refusal(403, 7, "etcdserver: permission denied"))
    assert.match(denied.message, /permission denied/)
    assert.deepInclude(
      yield* failure(versions, refusal(400, 11, "etcdserver: mvcc: required revision has been compacted")),
      { _tag: "EtcdCompacted" }
    )
    const future = yield* failure(
      versions,
      refusal(400, 11, "etcdserver: mvcc: required revision is a future revision")
    )
    assert.match(future.message, /a future revision\. Its data was replaced or lost since .* --dry-run --restart$/)
    const leaderless = yield* failure(versions, refusal(503, 14, "etcdserver: no leader"))
    assert.deepInclude(leaderless, { _tag: "EtcdUnreachable" })
    assert.match(leaderless.message, /no leader/)
    const closed = yield* Effect.flip(open([new URL("http://127.0.0.1:1")], { timeoutMs: 60_000 }))
    assert.match(
      closed.message,
      /127\.0\.0\.1:1: no process listens there \(ECONNREFUSED\)\. Are these its client URLs\?/
    )
  }))

it.effect("endpoints are client URLs, with or without a scheme", () =>
  Effect.gen(function*() {
    const origins = (list: string, secure: boolean) =>
      Effect.map(endpointsOf(list, secure), (urls) => urls.map(({ origin }) => origin))
    assert.deepStrictEqual(yield* origins("a:2379, http://b:1,[::1]:2", false), [
      "http://a:2379",
      "http://b:1",
      "http://[::1]:2"
    ])
    assert.deepStrictEqual(yield* origins("a:2379", true), ["https://a:2379"])
    for (const wrong of ["", "a:2379,", "ftp://a", "http://a/v3", "http://u:p@a", "a:99999"]) {
      assert.match((yield* Effect.flip(endpointsOf(wrong, false))).line, /is no client URL of etcd/, wrong)
    }
  }))
