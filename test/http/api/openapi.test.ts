/** The document of the API is a contract with programs in other languages. `npm run golden` rewrites it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { OpenApi } from "effect/http-api"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { Api } from "../../../src/http/api/Api.ts"
import { port, quietly } from "./ApiPort.ts"

/** Without the version, which is that of the package. */
const document = (): string => {
  const { info, ...spec } = OpenApi.fromApi(Api)
  return `${JSON.stringify({ ...spec, info: { ...info, version: "" } }, null, 2)}\n`
}

describe("the document of the API", () => {
  it("is the one that is written down", () => {
    const golden = new URL("./openapi.golden.json", import.meta.url)
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, document())
    assert.isTrue(existsSync(golden), "npm run golden writes it")
    assert.strictEqual(document(), readFileSync(golden, "utf8"))
    assert.include(document(), `"/v1/keys/{key}"`)
    assert.containsAllKeys(OpenApi.fromApi(Api).paths["/v1/keys/{key}"]?.get?.responses, ["200", "304", "404"])
  })

  it.live("is served, and so is a page that loads nothing and has the style that is allowed", () =>
    Effect.gen(function*() {
      const { ask } = yield* port()
      const { json: served } = yield* ask("/v1/openapi.json")
      assert.deepStrictEqual(Object.keys(served.paths), Object.keys(OpenApi.fromApi(Api).paths))
      const page = yield* ask("/v1/docs")
      assert.match(page.headers["content-type"] ?? "", /^text\/html/)
      assert.notMatch(page.text, /<script|<link|<img|src=|https?:/)
      assert.strictEqual(page.text.match(/<style>/g)?.length, 1)
      for (const path of Object.keys(served.paths)) assert.include(page.text, path)
    }).pipe(Effect.scoped, quietly))
})
