/** Keys over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { port, quietly } from "./ApiPort.ts"

const put = (body: string, headers: Readonly<Record<string, string>> = {}) => ({ method: "PUT", body, headers })

describe("keys over HTTP", () => {
  it.live("are put, read and deleted as curl does it", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      const form = { "content-type": "application/x-www-form-urlencoded" }
      const created = yield* ask("/v1/keys/greeting", put("hello", form))
      assert.strictEqual(created.status, 200, created.text)
      assert.deepStrictEqual(created.json, { revision: 1, created: true, version: 1 })
      assert.strictEqual(created.headers.etag, `"1"`)
      const read = yield* ask("/v1/keys/greeting")
      assert.strictEqual(read.text, "hello")
      assert.strictEqual(read.headers.etag, `"1"`)
      assert.strictEqual(read.headers["content-type"], "application/octet-stream")
      assert.strictEqual(read.headers["flaredb-version"], "1")
      const deleted = yield* ask("/v1/keys/greeting", { method: "DELETE" })
      assert.deepStrictEqual(deleted.json, { revision: 2, deleted: true })
      const gone = yield* ask("/v1/keys/greeting")
      assert.strictEqual(gone.status, 404)
      assert.deepInclude(gone.json, { tag: "KeyNotFound", wasWritten: "no", retry: "never" })
    }).pipe(Effect.scoped, quietly))
})
