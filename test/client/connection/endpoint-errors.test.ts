/** What an error says of several nodes. */
import { assert, describe, it } from "@effect/vitest"
import { describeEndpointErrors } from "../../../src/client/connection/EndpointErrors.ts"

describe("what went wrong at several nodes", () => {
  it("is every endpoint with its reason", () => {
    assert.strictEqual(
      describeEndpointErrors([{ endpoint: "a:1", reason: "closed" }, {
        endpoint: "b:1",
        reason: "b:1 is of another cluster"
      }]),
      "a:1: closed; b:1 is of another cluster"
    )
    assert.strictEqual(describeEndpointErrors([]), "")
  })

  it("has a reason that several share once", () => {
    const reason = "this port takes TLS only"
    assert.strictEqual(
      describeEndpointErrors([
        { endpoint: "a:1", reason },
        { endpoint: "b:1", reason: "closed" },
        { endpoint: "c:1", reason: `c:1: ${reason}` }
      ]),
      "a:1, c:1: this port takes TLS only; b:1: closed"
    )
  })
})
