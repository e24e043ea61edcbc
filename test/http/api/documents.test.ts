/** What the document of the API says of it, held against the definition. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { OpenApi } from "effect/http-api"
import { readFileSync } from "node:fs"
import { Api } from "../../../src/http/api/Api.ts"
import { apiFailure, failureTags, statusOf } from "../../../src/http/api/Failures.ts"
import { port, quietly } from "./ApiPort.ts"

const text = readFileSync("docs/http-api.md", "utf8")

describe("docs/http-api.md", () => {
  it("has every failure with its status, and what it says of the write", () => {
    const rows = [...text.matchAll(/^\| (`\w+`(?:, `\w+`)*) \| (\d+) \| `(\w+)` \| `([\w-]+)` \|$/gm)]
    const listed = rows.flatMap(([, tags = "", ...facts]) =>
      [...tags.matchAll(/\w+/g)].map(([tag]) => [tag, ...facts] as const)
    )
    const wanted = failureTags.map((tag) => {
      const failure = apiFailure(tag, "", {} as never)
      return [tag, String(statusOf(failure)), failure.wasWritten, failure.retry] as const
    })
    assert.sameDeepMembers([...listed], [...wanted])
  })

  it("has every path", () => {
    for (const path of Object.keys(OpenApi.fromApi(Api).paths)) {
      assert.include(text, path.replace("{key}", "KEY").replace("{lease}", "ID"))
    }
  })

  it.live("has a transaction that works", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      const [, body = ""] = /curl -d '([^']+)' localhost:7201\/v1\/txn/.exec(text) ?? []
      yield* ask("/v1/keys/stock", { method: "PUT", body: "4" })
      const sold = yield* ask("/v1/txn", { method: "POST", body })
      assert.deepInclude(sold.json, { succeeded: true, revision: 2 })
      const again = yield* ask("/v1/txn", { method: "POST", body })
      assert.deepInclude(again.json.results[0].entry, { key: "stock", value: "3" })
    }).pipe(Effect.scoped, quietly))
})
