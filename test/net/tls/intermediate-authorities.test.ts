/** Authorities between a root and the nodes, as companies have them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import type { KeyMaterial } from "../../../src/net/tls/Credentials.ts"
import { MemoryCredentials } from "../../../src/net/tls/Credentials.ts"
import { checkMaterial } from "../../../src/net/tls/MaterialCheck.ts"
import type { Wanted } from "./TestCertificates.ts"
import { clientOf, nodeOf, TestAuthority } from "./TestCertificates.ts"
import { ask, portTls, whoPort } from "./WhoPort.ts"

const root = new TestAuthority("root")
const between = new TestAuthority("between", { above: root })

/** Shows a certificate with those in `beside`, and trusts `trusted`. */
const material = (
  wanted: Wanted,
  beside: ReadonlyArray<TestAuthority>,
  trusted: ReadonlyArray<TestAuthority>
): KeyMaterial => {
  const { certificate, key } = between.issue(wanted)
  const pem = (all: ReadonlyArray<TestAuthority>) => all.map((authority) => authority.certificate).join("")
  return { authorities: pem(trusted), own: { certificate: certificate + pem(beside), key: Redacted.make(key) } }
}

const check = ({ authorities, own }: KeyMaterial) => {
  if (own === undefined) throw new Error("it has a certificate")
  const texts = { authorities, own: { certificate: own.certificate, key: Redacted.value(own.key) } }
  return checkMaterial({ authorities: "ca.crt", certificate: "node.crt", key: "node.key" }, texts, {}, Date.now())
}

const cases = [
  { name: "the root is trusted, and the certificates between are shown", beside: [between], trusted: [root] },
  { name: "both are trusted", beside: [], trusted: [between, root] },
  { name: "another authority is trusted as well", beside: [between], trusted: [new TestAuthority("other"), root] }
]

describe("both sides accept each other when", () => {
  for (const { beside, name, trusted } of cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const node = material(nodeOf(2), beside, trusted)
        assert.isTrue(Result.isSuccess(check(node)))
        const { port } = yield* whoPort(portTls(node))
        const credentials = new MemoryCredentials(material(clientOf("alice"), beside, trusted))
        assert.strictEqual(yield* ask(port, { credentials, cluster: "orders" }), "client alice")
      }))
  }
})

describe("certificates are refused before they are used, because no handshake would be accepted, when", () => {
  it("the authority between is trusted, and the root is not there", () => {
    for (const beside of [[], [between], [between, root]]) {
      const found = check(material(nodeOf(2), beside, [between]))
      assert.match(Result.isFailure(found) ? found.failure.message : "", /^ca\.crt: .* not the root above that; append/)
    }
  })

  it("no authority is the one that issued it", () => {
    const found = check(material(nodeOf(2), [between], [new TestAuthority("root")]))
    assert.match(
      Result.isFailure(found) ? found.failure.message : "",
      /^node\.crt: .* issued by no authority of ca\.crt/
    )
  })
})
