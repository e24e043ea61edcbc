/** Addresses that are refused are shown without the password that somebody may have put into them. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { endpointsOf } from "../src/cli/input/EtcdFlags.ts"
import { parseEndpoint } from "../src/client/connection/Endpoint.ts"
import { otlpProblems } from "../src/config/Otlp.ts"
import { withoutUserInfo } from "../src/WithoutUserInfo.ts"

const password = "a@long:password"

const refusals: Readonly<Record<string, Effect.Effect<string, unknown>>> = {
  "an endpoint with a scheme": Effect.map(Effect.flip(parseEndpoint(`http://u:${password}@h:1`)), String),
  "an endpoint": Effect.map(Effect.flip(parseEndpoint(`u:${password}@h:1`)), String),
  "etcd's URL": Effect.map(Effect.flip(endpointsOf(`http://u:${password}@h:1`, false)), String),
  "a collector": Effect.sync(() =>
    JSON.stringify(otlpProblems({ otlpEndpoint: `ftp://u:${password}@h`, otlpIntervalMs: 1_000 }))
  )
}

for (const [name, refusal] of Object.entries(refusals)) {
  it.effect(`${name} is refused without its password`, () =>
    Effect.map(refusal, (message) => {
      assert.include(message, "…@h")
      assert.notInclude(message, "password")
    }))
}

it("an address without a user is shown as it is", () => {
  for (const address of ["127.0.0.1:7001", "http://h:1/path", "[::1]:1"]) {
    assert.strictEqual(withoutUserInfo(address), address)
  }
})
