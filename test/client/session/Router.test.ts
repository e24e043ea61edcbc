/** What a client says of its nodes when an operation fails. */
import { assert, it } from "@effect/vitest"
import { Router } from "../../../src/client/session/Router.ts"

const time = { ms: 0 }

const router = () => new Router([1, 2, 3].map((port) => ({ host: "node", port })), () => time.ms)

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
  asked.succeeded(asked.target)
  asked.failed(asked.target, "the connection was closed")
  assert.strictEqual(asked.describe(), "node:1: the connection was closed")
})

it("forgets why a node failed once it has answered, and names the one that says nothing now", () => {
  const asked = router()
  asked.failed(asked.target, "the connection was closed")
  asked.failed(asked.target, "no process listens there", "refused")
  asked.failed(asked.target, "no answer within 1000 ms")
  asked.succeeded(asked.target)
  assert.strictEqual(
    asked.describe(),
    "node:2: no process listens there; node:3: no answer within 1000 ms; no answer from node:1"
  )
  asked.failed(asked.target, "the node is stopping")
  assert.match(asked.describe(), /^node:1: the node is stopping; node:2: no process listens there; node:3: /)
})

it("says how old an error is of a node that was not asked since", () => {
  const asked = router()
  asked.failed(asked.target, "the connection was closed")
  asked.failed(asked.target, "the connection was closed")
  asked.succeeded(asked.target)
  time.ms += 59_999
  assert.strictEqual(asked.describe(), "node:1, node:2: the connection was closed; no answer from node:3")
  time.ms += 1
  assert.strictEqual(asked.describe(), "node:1, node:2: the connection was closed (1m ago); no answer from node:3")
  time.ms += 3 * 3_600_000
  asked.failed(asked.target, "no answer within 1000 ms")
  assert.strictEqual(
    asked.describe(),
    "node:1, node:2: the connection was closed (3h1m ago); node:3: no answer within 1000 ms"
  )
  time.ms += 72 * 3_600_000
  assert.include(asked.describe(), "(3d ago)")
})
