/** What is wrong with a request is refused at its place, and nothing of it is done. Three ways for each endpoint. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { OpenApi } from "effect/http-api"
import { METHODS } from "node:http"
import { Api } from "../../../src/http/api/Api.ts"
import { someCluster } from "../../client/Identities.ts"
import type { Asked } from "./ApiPort.ts"
import { json, port, quietly } from "./ApiPort.ts"

type Wrong = readonly [path: string, asked: Asked, field: string | RegExp]

const put = (headers: Readonly<Record<string, string>> = {}): Asked => ({ method: "PUT", body: "x", headers })
const body = (text: string | Uint8Array): Asked => ({ method: "POST", body: text })
const post: Asked = { method: "POST" }
const remove = (headers: Readonly<Record<string, string>> = {}): Asked => ({ method: "DELETE", headers })

const wrong: Readonly<Record<string, ReadonlyArray<Wrong>>> = {
  "keys.get": [
    ["/v1/keys/", {}, "key"],
    ["/v1/keys/%FF", {}, "key"],
    ["/v1/keys/a?as=xml", {}, "as"],
    ["/v1/keys/a?timeoutMs=0", {}, "timeoutMs"],
    ["/v1/keys/a!?keyEncoding=base64", {}, "key"],
    ["/v1/keys/a?consistency=eventual", {}, "consistency"]
  ],
  "keys.put": [
    ["/v1/keys/a;b", put(), "key"],
    ["/v1/keys/a#b", put(), "key"],
    ["/v1/keys/a?leas=7", put(), "leas"],
    ["/v1/keys/a?lease=-1", put(), "lease"],
    // A script that lost its lease's id: the key would outlive what it belongs to.
    ["/v1/keys/a?lease=0", put(), "lease"],
    ["/v1/keys/a", put({ "if-match": "1.5" }), "If-Match"],
    ["/v1/keys/a", put({ "if-match": `W/"1"` }), "If-Match"],
    ["/v1/keys/a", put({ "if-none-match": `"1"` }), "If-None-Match"],
    ["/v1/keys/a", put({ "idempotency-key": "two words" }), "Idempotency-Key"]
  ],
  "keys.delete": [
    ["/v1/keys/", remove(), "key"],
    ["/v1/keys/a", remove({ "if-match": "" }), "If-Match"],
    ["/v1/keys/a?timeoutMs=60001", remove(), "timeoutMs"]
  ],
  "keys.scan": [
    ["/v1/scan?limit=ten", {}, "limit"],
    ["/v1/scan?prefix=a&prefix=b", {}, "prefix"],
    ["/v1/scan?reverse=maybe", {}, "reverse"],
    ["/v1/scan?prefix=%FF", {}, "query"],
    ["/v1/scan?prefix=100%", {}, "query"],
    ["/v1/scan?prefix=a=&encoding=base64", {}, "prefix"]
  ],
  "keys.count": [
    ["/v1/count?prefx=a", {}, "prefx"],
    ["/v1/count?readFrom=follower", {}, "readFrom"],
    [`/v1/count?prefix=${"p".repeat(4_097)}`, {}, "prefix"]
  ],
  "transactions.transact": [
    ["/v1/txn", body("{"), "body"],
    ["/v1/txn", body(Uint8Array.from([0x22, 0xff, 0x22])), "body"],
    ["/v1/txn", body("[]"), "body"],
    // Not by the schema, which would take long to say what is wrong with each.
    ["/v1/txn", json({ do: Array.from({ length: 20_000 }, () => 0) }), "body"],
    ["/v1/txn", body(`{"do":[{"op":"put","key":"a","value":"1"}],"do":[]}`), "body"],
    ["/v1/txn", body(`{"do":[],"d\\u006f":[{"op":"put","key":"a","value":"1"}]}`), "body"],
    ["/v1/txn", body(`{"do":[{"op":"put","key":"a","value":"1","value":"2"}]}`), "body"],
    ["/v1/txn", json({ do: [{ op: "put", key: "a", value: "1", lease: 0 }] }), "do[0].lease"],
    ["/v1/txn", json({ when: [] }), "when"],
    ["/v1/txn", json({ do: [{ op: "put", key: "a" }] }), /^do\[0\]/],
    ["/v1/txn", json({ do: [{ op: "put", key: "a", value: "\ud800" }] }), "do[0].value"],
    ["/v1/txn", json({ if: [{ key: "a", field: "version", is: "~", to: 1 }] }), "if[0].is"],
    ["/v1/txn", json({ if: [{ key: "a", field: "version", is: "=", to: 2 ** 53 }] }), "if[0].to"],
    ["/v1/txn", json({ if: [{ key: "a", field: "version", is: "=", to: -1 }] }), "if[0].to"],
    ["/v1/txn", json({ if: [{ key: "a", exist: true }] }), "if[0].exist"],
    ["/v1/txn", json({ encoding: "base64", do: [{ op: "get", key: "!" }] }), "do[0].key"]
  ],
  "leases.grant": [
    ["/v1/leases", body(""), "body"],
    ["/v1/leases", json({ ttlMs: "60s" }), "ttlMs"],
    ["/v1/leases", json({ ttlMs: 60_000, keys: [] }), "keys"]
  ],
  "leases.leases": [
    ["/v1/leases?limit=1", {}, "limit"],
    ["/v1/leases?timeoutMs=1e9", {}, "timeoutMs"],
    ["/v1/leases?consistency=", {}, "consistency"]
  ],
  "leases.lease": [
    ["/v1/leases/x", {}, "lease"],
    ["/v1/leases/1.5", {}, "lease"],
    ["/v1/leases/1?encoding=utf8", {}, "encoding"]
  ],
  "leases.keepAlive": [
    ["/v1/leases/0/keep-alive", post, "lease"],
    ["/v1/leases/-1/keep-alive", post, "lease"],
    ["/v1/leases/1/keep-alive?ttlMs=5", post, "ttlMs"]
  ],
  "leases.revoke": [
    ["/v1/leases/0", remove(), "lease"],
    ["/v1/leases/99999999999999999999", remove(), "lease"],
    ["/v1/leases/1?force=true", remove(), "force"]
  ],
  "watch.watch": [
    ["/v1/watch?key=a&prefix=b", {}, "key"],
    ["/v1/watch?key=", {}, "key"],
    ["/v1/watch?from=0", {}, "from"],
    ["/v1/watch?from=1&from=2", {}, "from"],
    ["/v1/watch?heartbeatMs=1", {}, "heartbeatMs"],
    ["/v1/watch", { headers: { "last-event-id": "yesterday" } }, "Last-Event-ID"],
    ["/v1/watch", { headers: { "last-event-id": "9007199254740991" } }, "Last-Event-ID"],
    ["/v1/watch", { headers: { "last-event-id": `${someCluster}@9007199254740991` } }, "Last-Event-ID"]
  ]
}

/** The endpoints of the definition. */
const operations = Object.values(OpenApi.fromApi(Api).paths).flatMap((path) =>
  Object.values(path as Record<string, { readonly operationId: string }>).map(({ operationId }) => operationId)
)

describe("a request that is wrong", () => {
  it("is in the table for each endpoint, at least three times", () => {
    assert.sameMembers(operations, Object.keys(wrong))
    for (const [endpoint, requests] of Object.entries(wrong)) assert.isAtLeast(requests.length, 3, endpoint)
  })

  it.live("is refused with the field that is wrong, and does nothing", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      for (const [endpoint, requests] of Object.entries(wrong)) {
        for (const [path, asked, field] of requests) {
          const answer = yield* ask(path, asked)
          const what = `${endpoint} ${path.slice(0, 100)} ${answer.text.slice(0, 300)}`
          assert.strictEqual(answer.json?.tag, "InvalidArgument", what)
          assert.match(
            answer.json.field,
            typeof field === "string" ? new RegExp(`^${field.replace(/[.[\]]/g, "\\$&")}$`) : field,
            what
          )
          assert.deepInclude(answer.json, { wasWritten: "no", retry: "never" })
        }
      }
      assert.deepStrictEqual((yield* ask("/v1/scan")).json, { entries: [], revision: 0 })
      assert.deepStrictEqual((yield* ask("/v1/leases")).json, { leases: [] })
      for (
        const [path, asked] of [["/v1/keys", post], ["/v1/nothing", {}], ["/v1", {}]] as const
      ) {
        assert.strictEqual((yield* ask(path, asked)).json?.tag, "PathNotFound", path)
      }
    }).pipe(Effect.scoped, quietly))

  it.live("is one of a method that its path does not have, and says which ones it has", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      const paths: Readonly<Record<string, ReadonlyArray<string>>> = {
        "/v1/keys/a": ["GET", "HEAD", "PUT", "DELETE"],
        "/v1/keys/a/b": ["GET", "HEAD", "PUT", "DELETE"],
        "/v1/scan": ["GET", "HEAD"],
        "/v1/count?prefix=a": ["GET", "HEAD"],
        "/v1/txn": ["POST"],
        "/v1/leases": ["POST", "GET", "HEAD"],
        "/v1/leases/7": ["GET", "HEAD", "DELETE"],
        "/v1/leases/7/keep-alive": ["POST"],
        "/v1/watch?key=a": ["GET", "HEAD"],
        "/v1/docs": ["GET", "HEAD"],
        "/v1/openapi.json": ["GET", "HEAD"],
        "/v1": [],
        "/v1/nothing": [],
        "/v1/openapiXjson": [],
        "/v1/leases/7/other": []
      }
      for (const [path, allowed] of Object.entries(paths)) {
        // Node itself ends a CONNECT, which names no path.
        for (const method of METHODS.filter((one) => one !== "CONNECT" && !allowed.includes(one))) {
          const { headers, json, status } = yield* ask(path, { method })
          const what = `${method} ${path}`
          if (method === "HEAD") assert.strictEqual(status, allowed.length === 0 ? 404 : 405, what)
          else if (allowed.length === 0) assert.deepInclude(json, { tag: "PathNotFound", wasWritten: "no" }, what)
          else assert.deepInclude(json, { tag: "MethodNotAllowed", allowed, wasWritten: "no", retry: "never" }, what)
          assert.strictEqual(headers.allow, allowed.length === 0 ? undefined : allowed.join(", "), what)
        }
      }
    }).pipe(Effect.scoped, quietly))
})
