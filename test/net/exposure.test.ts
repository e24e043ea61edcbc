import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Metric } from "effect"
import type { FlareDbOptions } from "../../src/config/FlareDbConfig.ts"
import { make } from "../../src/config/FlareDbConfig.ts"
import { check } from "../../src/net/Exposure.ts"
import { isLoopbackHost } from "../../src/net/Loopback.ts"

/** Checks a configuration, with the warnings and the value of the metric. */
const checked = (options: Partial<FlareDbOptions>) => {
  const warnings: Array<string> = []
  const logger = Logger.make(({ message }) => warnings.push(String(message)))
  return Effect.gen(function*() {
    const config = yield* make({ nodeId: 1, ...options })
    const problem = yield* Effect.match(check(config), {
      onSuccess: () => undefined,
      onFailure: ({ message }) => message
    })
    const gauge = (yield* Metric.snapshot).find(({ id }) => id === "flaredb_insecure")
    return { problem, warnings, metric: (gauge?.state as { readonly value: number } | undefined)?.value }
  }).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
}

const files = { certsDir: "certs" }

describe("an open port", () => {
  it("is one whose address others reach", () => {
    for (const address of ["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"]) assert.isTrue(isLoopbackHost(address))
    for (const address of ["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "1.127.0.0.1", "::ffff:10.0.0.1", "fe80::1"]) {
      assert.isFalse(isLoopbackHost(address), address)
    }
  })

  const fine: ReadonlyArray<readonly [string, Partial<FlareDbOptions>]> = [
    ["the local cluster", {}],
    ["localhost", { listenHost: "localhost" }],
    ["IPv6's loopback", { listenHost: "::1" }],
    ["tokens on this machine", { clientAuth: "token" }],
    ["certificates", { ...files, listenHost: "0.0.0.0" }]
  ]
  for (const [what, options] of fine) {
    it.effect(`is not there with ${what}`, () =>
      Effect.map(
        checked(options),
        (seen) => assert.deepStrictEqual(seen, { problem: undefined, warnings: [], metric: 0 })
      ))
  }

  it.effect("is refused without certificates, with what to do", () =>
    Effect.gen(function*() {
      for (const listenHost of ["0.0.0.0", "::", "192.0.2.7"]) {
        const { problem } = yield* checked({ listenHost })
        assert.match(problem ?? "", /^invalid configuration: tls: .* is reached from other machines/)
        for (const advice of [listenHost, "flaredb cert", "--certs-dir", "docs/security.md", "--insecure"]) {
          assert.include(problem, advice)
        }
      }
    }))

  it.effect("is refused where files are named and TLS is off", () =>
    Effect.map(
      checked({ ...files, tls: "off", listenHost: "0.0.0.0" }),
      ({ problem }) => assert.include(problem, "no certificates")
    ))

  it.effect("is refused under the node's own host too", () =>
    Effect.gen(function*() {
      const nodes = [{ id: 1, host: "192.0.2.1", clientPort: 1, peerPort: 2, httpPort: 3 }]
      assert.include((yield* checked({ nodes })).problem, "192.0.2.1 is reached from other machines, and")
      assert.isUndefined((yield* checked({ nodes, listenHost: "127.0.0.1" })).problem)
    }))

  it.effect("that was asked for is one warning and a metric", () =>
    Effect.gen(function*() {
      const { metric, problem, warnings } = yield* checked({ listenHost: "0.0.0.0", insecure: true })
      assert.isUndefined(problem)
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0] ?? "", /^insecure: 0\.0\.0\.0 is reached/)
      assert.strictEqual(metric, 1)
    }))

  it.effect("takes no tokens without TLS, asked for or not", () =>
    Effect.gen(function*() {
      for (const clientAuth of ["token", "either"] as const) {
        const { problem } = yield* checked({ listenHost: "0.0.0.0", insecure: true, clientAuth })
        assert.include(problem, "tokens are not taken over plain connections")
      }
    }))

  it.effect("warns while plain connections are taken beside TLS, or callers are asked nothing", () =>
    Effect.gen(function*() {
      for (const tls of ["accept", "dial"] as const) {
        const { metric, problem, warnings } = yield* checked({ ...files, tls, listenHost: "0.0.0.0" })
        assert.isUndefined(problem)
        assert.strictEqual(metric, 0)
        assert.lengthOf(warnings, 1)
        assert.include(warnings[0], `tls is ${tls}: plain connections`)
      }
      const { warnings } = yield* checked({ ...files, clientAuth: "none", listenHost: "0.0.0.0" })
      assert.include(warnings[0], "client-auth is none")
    }))
})
