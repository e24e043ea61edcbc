/** Keys over HTTP: as `curl` asks for them, byte by byte, and under conditions. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask as send, json, port, quietly } from "./ApiPort.ts"

const put = (body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}) => ({
  method: "PUT",
  body,
  headers
})

describe("keys over HTTP", () => {
  it.live("are put, read and deleted as curl does it", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      // What `curl --data-binary` calls every body.
      const form = { "content-type": "application/x-www-form-urlencoded" }
      const created = yield* ask("/v1/keys/greeting", put("hello", form))
      assert.deepStrictEqual(created.json, { revision: 1, created: true, version: 1 })
      assert.strictEqual(created.headers.etag, `"1"`)
      const read = yield* ask("/v1/keys/greeting")
      assert.strictEqual(read.text, "hello")
      assert.strictEqual(read.headers["content-type"], "application/octet-stream")
      assert.strictEqual(read.headers["x-content-type-options"], "nosniff")
      assert.strictEqual(read.headers["flaredb-version"], "1")
      const head = yield* ask("/v1/keys/greeting", { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.headers.etag, head.text], [200, `"1"`, ""])
      assert.strictEqual((yield* ask("/v1/keys/greeting", { headers: { "if-none-match": `"1"` } })).status, 304)
      const deleted = yield* ask("/v1/keys/greeting", { method: "DELETE" })
      assert.deepStrictEqual(deleted.json, { revision: 2, deleted: true })
      assert.deepStrictEqual((yield* ask("/v1/keys/greeting", { method: "DELETE" })).json, {
        revision: 2,
        deleted: false
      })
      const gone = yield* ask("/v1/keys/greeting")
      assert.deepInclude(gone.json, { tag: "KeyNotFound", wasWritten: "no", retry: "never" })
    }).pipe(Effect.scoped, quietly))

  it.live("are the bytes that were sent, in paths and in both forms of JSON", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      const value = Uint8Array.from([0, 255, 10, 13, 128])
      // As in the path, and as JSON has it.
      const keys = [["a//b/", "a//b/"], ["%2e%2e/x", "../x"], [
        "k%3B%20%25+ü".replace("ü", "%C3%BC"),
        "k; %+ü"
      ]] as const
      for (const [path, key] of keys) {
        yield* ask(`/v1/keys/${path}`, put(value))
        assert.deepStrictEqual(new Uint8Array((yield* ask(`/v1/keys/${path}`)).bytes), value)
        const { json: entry } = yield* ask(`/v1/keys/${path}?as=json`)
        assert.deepInclude(entry, { key, value: "AP8KDYA=", valueEncoding: "base64" })
        const { json: inBase64 } = yield* ask(`/v1/keys/${path}?as=json&encoding=base64`)
        assert.strictEqual(Buffer.from(inBase64.key, "base64").toString(), key)
        assert.deepInclude(inBase64, { value: "AP8KDYA=" })
        assert.notProperty(inBase64, "valueEncoding")
      }
      // A key that is no text is named in base64, of the alphabet for URLs too.
      yield* ask("/v1/keys/_wD-?keyEncoding=base64", put("x"))
      const { json: page } = yield* ask("/v1/scan?reverse=true&limit=1")
      assert.deepInclude(page.entries[0], { key: "/wD+", keyEncoding: "base64", value: "x" })
      assert.deepInclude(page, { cursor: "/wD+", cursorEncoding: "base64" })
      const next = yield* ask("/v1/scan?reverse=true&limit=1&cursorEncoding=base64&cursor=%2FwD%2B")
      assert.strictEqual(next.json.entries[0].key, "k; %+ü")
      assert.deepStrictEqual((yield* ask("/v1/count?prefix=a%2F")).json, { count: 1 })
    }).pipe(Effect.scoped, quietly))

  it.live("are written under conditions, and a conflict says what is there", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      const first = yield* ask("/v1/keys/a", put("1", { "if-none-match": "*" }))
      assert.strictEqual(first.status, 200)
      const taken = yield* ask("/v1/keys/a", put("2", { "if-none-match": "*" }))
      assert.deepInclude(taken.json, { tag: "Conflict", wasWritten: "no", retry: "read-again" })
      assert.deepInclude(taken.json.current, { key: "a", value: "1", modRevision: 1, version: 1 })
      assert.strictEqual((yield* ask("/v1/keys/a", put("2", { "if-match": first.headers.etag as string }))).status, 200)
      assert.strictEqual((yield* ask("/v1/keys/a", put("3", { "if-match": `"1"` }))).status, 412)
      assert.strictEqual((yield* ask("/v1/keys/a", { method: "DELETE", headers: { "if-match": "*" } })).status, 200)
      const missing = yield* ask("/v1/keys/a", put("4", { "if-match": "*" }))
      assert.strictEqual(missing.json.current, null)
      // Put again, the key has its old version once more, and not its old tag.
      yield* ask("/v1/keys/a", put("5"))
      assert.strictEqual((yield* ask("/v1/keys/a", put("6", { "if-match": first.headers.etag as string }))).status, 412)
    }).pipe(Effect.scoped, quietly))

  it.live("live as long as their lease", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      const { json: lease } = yield* ask("/v1/leases", json({ ttlMs: 60_000 }))
      yield* ask(`/v1/keys/held?lease=${lease.id}`, put("x"))
      assert.strictEqual((yield* ask("/v1/keys/held")).headers["flaredb-lease"], String(lease.id))
      assert.strictEqual((yield* ask(`/v1/leases/${lease.id}/keep-alive`, { method: "POST" })).json.ttlMs, 60_000)
      const { json: details } = yield* ask(`/v1/leases/${lease.id}`)
      assert.deepStrictEqual(details.keys, [{ key: "held" }])
      assert.deepStrictEqual((yield* ask("/v1/leases")).json.leases.map(({ id }: { id: number }) => id), [lease.id])
      assert.deepStrictEqual((yield* ask(`/v1/leases/${lease.id}`, { method: "DELETE" })).json, { deleted: 1 })
      assert.strictEqual((yield* ask("/v1/keys/held")).status, 404)
      assert.deepInclude((yield* ask(`/v1/keys/held?lease=${lease.id}`, put("x"))).json, {
        tag: "LeaseNotFound",
        lease: lease.id
      })
    }).pipe(Effect.scoped, quietly))

  it.live("are not for pages of other sites to write", () =>
    Effect.gen(function*() {
      const { ask, port: at } = yield* port()
      const own = { origin: `http://127.0.0.1:${at}`, "sec-fetch-site": "same-origin" }
      assert.strictEqual((yield* ask("/v1/keys/a", put("1", own))).status, 200)
      const foreign = [
        { origin: "https://example.org" },
        { origin: "null" },
        { origin: `http://127.0.0.1:${at + 1}` },
        { "sec-fetch-site": "cross-site" },
        // Another port of this machine.
        { "sec-fetch-site": "same-site" }
      ]
      for (const headers of foreign) {
        for (
          const [path, asked] of [
            ["/v1/keys/a", put("2", headers)],
            ["/v1/keys/a", { method: "DELETE", headers }],
            ["/v1/txn", json({ do: [] }, headers)],
            ["/v1/watch", { headers }]
          ] as const
        ) {
          const refused = yield* ask(path, asked)
          assert.strictEqual(refused.json?.tag, "CrossSite", `${path} ${JSON.stringify(headers)}`)
        }
      }
      assert.strictEqual((yield* ask("/v1/keys/a")).text, "1")
      // No page may have a name of its own for this node (DNS rebinding).
      const rebound = yield* send(at, "/v1/keys/a", { ...put("2"), headers: { host: "attacker.example" } })
      assert.strictEqual(rebound.status, 421)
    }).pipe(Effect.scoped, quietly))

  it.live("are refused beyond the limits of the node, with when to come again", () =>
    Effect.gen(function*() {
      const { ask } = yield* port({ limits: { maxHttpBodyBytes: 10 } })
      const refused = yield* ask("/v1/keys/a", put("more than ten"))
      assert.deepInclude(refused.json, {
        tag: "Overloaded",
        limit: "maxHttpBodyBytes",
        wasWritten: "no",
        retry: "later"
      })
      assert.strictEqual(refused.headers["retry-after"], "1")
      assert.strictEqual((yield* ask("/v1/keys/a", put("ten"))).status, 200)
      const none = yield* port({ limits: { maxHttpRequests: 0 } })
      assert.deepInclude((yield* none.ask("/v1/scan")).json, { tag: "Overloaded", limit: "maxHttpRequests" })
    }).pipe(Effect.scoped, quietly))
})
