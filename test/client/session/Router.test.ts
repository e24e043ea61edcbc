/** What a client says of its nodes when an operation fails. */
import { assert, it } from "@effect/vitest"
import { Router } from "../../../src/client/session/Router.ts"

const router = () => new Router([1, 2, 3].map((port) => ({ host: "node", port })))

it("names every node, also those that there was no time to ask", () => {
  const asked = router()
  assert.strictEqual(asked.describe(), "no answer from node:1, node:2, node:3")
  asked.failed(asked.target, "no process listens there", "refused")
  assert.strictEqual(asked.describe(), "node:1: no process listens there; no answer from node:2, node:3")
  asked.failed(asked.target, "no process listens there", "refused")
  asked.failed(asked.target, "the connection was closed")
  assert.strictEqual(
    asked.describe(),
    "node:1, node:2: no process listens there; node:3: the connection was closed"
  )
})

it("does not call a node silent that may have answered before", () => {
  const asked = router()
  asked.succeeded()
  asked.failed(asked.target, "the connection was closed")
  assert.strictEqual(asked.describe(), "node:1: the connection was closed")
})
