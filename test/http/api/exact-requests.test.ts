/** A request is read in one way: what a router or a server would read in another is refused, or read as it was meant. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { createConnection } from "node:net"
import { host, port, quietly } from "./ApiPort.ts"

type Port = Effect.Success<ReturnType<typeof port>>

class ApiPort extends Context.Service<ApiPort, Port>()("test/ApiPort") {}

/** The whole answer to a request as it is written. */
const exchange = (to: number, text: string, ends = false) =>
  Effect.callback<string>((resume) => {
    let answer = ""
    const socket = createConnection({ host, port: to }, () => ends ? socket.end(text) : socket.write(text))
    socket.setEncoding("utf8").on("data", (part: string) => {
      answer += part
    })
    socket.on("close", () => resume(Effect.succeed(answer)))
    return Effect.sync(() => socket.destroy())
  })

layer(Layer.effect(ApiPort, port()).pipe(Layer.provide(Layer.empty)), { excludeTestServices: true })((it) => {
  it.effect("a path in another case, with more slashes or with escapes names no key", () =>
    Effect.gen(function*() {
      const { ask } = yield* ApiPort
      for (
        const path of [
          "/V1/KEYS/abc",
          "/v1/Keys/abc",
          "//v1/keys/abc",
          "/v1//keys/abc",
          "/%761/keys/abc",
          "/v1/%6beys/abc",
          "/v1/keys%2Fabc"
        ]
      ) {
        assert.strictEqual((yield* ask(path, { method: "PUT", body: "1" })).status, 404, path)
      }
      assert.strictEqual((yield* ask("/v1/count")).json.count, 0)
      for (const path of ["/STATUS", "/status/", "/%64ebug/raft", "/debug//raft", "/status;x", "/status#x"]) {
        assert.strictEqual((yield* ask(path)).status, 404, path)
      }
    }).pipe(quietly))

  for (const protocol of ["websocket", "h2c"]) {
    it.effect(`a body comes whole also where the client would rather speak ${protocol}`, () =>
      Effect.gen(function*() {
        const { ask, port: to } = yield* ApiPort
        const chunked = protocol === "h2c"
        const answer = yield* exchange(
          to,
          `PUT /v1/keys/${protocol} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n` +
            `Upgrade: ${protocol}\r\n` +
            (chunked ? "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" : "Content-Length: 5\r\n\r\nhello")
        )
        assert.match(answer, /^HTTP\/1\.1 200 /)
        assert.match(answer, /content-security-policy: default-src 'none'/i)
        assert.strictEqual((yield* ask(`/v1/keys/${protocol}`)).text, "hello")
      }).pipe(quietly))
  }

  it.effect("a delete holds to If-None-Match, which it took no notice of", () =>
    Effect.gen(function*() {
      const { ask } = yield* ApiPort
      yield* ask("/v1/keys/kept", { method: "PUT", body: "1" })
      const refused = yield* ask("/v1/keys/kept", { method: "DELETE", headers: { "if-none-match": "*" } })
      assert.strictEqual(refused.json.tag, "Conflict")
      assert.strictEqual((yield* ask("/v1/keys/kept")).text, "1")
      const wrong = yield* ask("/v1/keys/kept", { method: "DELETE", headers: { "if-none-match": `"1"` } })
      assert.strictEqual(wrong.json.tag, "InvalidArgument")
    }).pipe(quietly))

  it.effect("a body longer than its Content-Length gets the answer to its write, and no 400 in its place", () =>
    Effect.gen(function*() {
      const { ask, port: to } = yield* ApiPort
      // As by a client that counts characters where bytes are meant.
      const answer = yield* exchange(
        to,
        "PUT /v1/keys/counted HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n1.50\u20ac"
      )
      assert.match(answer, /^HTTP\/1\.1 200 /)
      assert.notInclude(answer, "400 Bad Request")
      assert.strictEqual((yield* ask("/v1/keys/counted")).text, "1.5")
    }).pipe(quietly))

  for (
    const [what, status, problem, text] of [
      ["is no HTTP", 400, /it is no HTTP\/1\.1: Expected space after method/, "PUTT /v1/keys/odd HTTP/1.1\r\n\r\n"],
      [
        "has a chunk without a length",
        400,
        /Invalid character in chunk size/,
        "PUT /v1/keys/odd HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
      ],
      [
        "has too many headers",
        431,
        /more than 16384 bytes/,
        `PUT /v1/keys/odd HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(17_000)}\r\n\r\n`
      ]
    ] as const
  ) {
    it.effect(`a request that ${what} is told so`, () =>
      Effect.gen(function*() {
        const { ask, port: to } = yield* ApiPort
        const answer = yield* exchange(to, text)
        assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
        const failure = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))
        assert.deepInclude(failure, { tag: "InvalidArgument", wasWritten: "no", field: "request" })
        assert.match(failure.message, problem)
        assert.strictEqual((yield* ask("/v1/keys/odd")).status, 404)
      }).pipe(quietly))
  }

  it.effect("a request that is cut off is told so, and nothing of it is done", () =>
    Effect.gen(function*() {
      const { ask, port: to } = yield* ApiPort
      for (const how of ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", ""]) {
        const answer = yield* exchange(to, `PUT /v1/keys/cut HTTP/1.1\r\nHost: localhost\r\n${how}`, true)
        assert.match(answer, /^HTTP\/1\.1 400 .*it was cut off: its connection ended before all of it had come/s)
      }
      assert.strictEqual((yield* ask("/v1/keys/cut")).status, 404)
    }).pipe(quietly))

  it.effect("a request whose body does not come is told how long it may take", () =>
    Effect.gen(function*() {
      const { ask, port: to } = yield* port({ limits: { maxFrameMs: 100, maxHandshakeMs: 100 } })
      const answer = yield* exchange(
        to,
        "PUT /v1/keys/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"
      )
      assert.match(answer, /^HTTP\/1\.1 408 .*not within 100 ms \(maxFrameMs\)/s)
      assert.strictEqual((yield* ask("/v1/keys/half")).status, 404)
    }).pipe(Effect.scoped, quietly))
})
