import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { formatEndpoint, parseEndpoint, parseEndpoints } from "../../../src/client/connection/Endpoint.ts"

describe("an endpoint", () => {
  for (const text of ["127.0.0.1:7001", "db-1.example.org:1", "localhost:65535", "[::1]:7001"]) {
    it.effect(`${text} is read and written alike`, () =>
      Effect.map(parseEndpoint(text), (endpoint) => assert.strictEqual(formatEndpoint(endpoint), text)))
  }

  const wrong: ReadonlyArray<readonly [string, RegExp]> = [
    ["", /it is empty/],
    ["localhost", /the port is missing/],
    [":7001", /the host is missing/],
    ["http://localhost:7001", /scheme/],
    ["localhost:", /not a port/],
    ["localhost:0", /not a port/],
    ["localhost:65536", /not a port/],
    ["localhost:70o1", /not a port/],
    ["::1:7001", /brackets/],
    ["my host:7001", /no host name/]
  ]
  for (const [text, reason] of wrong) {
    it.effect(`${JSON.stringify(text)} is none`, () =>
      Effect.map(Effect.flip(parseEndpoint(text)), (error) => {
        assert.match(error.message, reason)
        assert.include(error.message, "write HOST:PORT")
      }))
  }

  it.effect("may be named once in a list", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* parseEndpoints("a:1, b:2")).length, 2)
      assert.match((yield* Effect.flip(parseEndpoints("a:1,a:1"))).message, /named twice/)
      assert.match((yield* Effect.flip(parseEndpoints("a:1,"))).message, /it is empty/)
    }))
})
