/** Who may do what, on three nodes in virtual time: what an administrator was told is done holds at every later leader. */
import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Unauthorized } from "../../src/FlareDbError.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import type { TestNode } from "../../src/testing/TestCluster.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const passTime = TestClock.adjust(5)

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const bob = { name: "bob", isNode: false }

const put = encodeCommand({ _tag: "Put", key: bytes("a"), value: bytes("1"), lease: 0 })

/** What a node says to a put of bob's. */
const said = ({ node }: TestNode): string => {
  const asked = node.access?.command(bob, put) ?? assert.fail("the node says nothing of access")
  return asked instanceof Uint8Array ? "allowed" : asked._tag
}

const user = (roles: ReadonlyArray<string>): Command => ({
  _tag: "PutUser",
  name: "bob",
  roles,
  maxLeases: 1,
  maxSessions: 1
})

const withBob = Effect.gen(function*() {
  const three = yield* TestCluster.make({ voters: 3, passTime })
  const leader = yield* three.leader()
  const run = (command: Command) => three.whileTimePasses(leader.run(command))
  yield* run({ _tag: "PutRole", role: { name: "writer", read: [], write: [bytes("a")], admin: false } })
  yield* run(user(["writer"]))
  yield* three.converged
  return { three, leader, run }
})

it.effect("a node that does not lead judges no command, and names the leader", () =>
  Effect.gen(function*() {
    const { leader, three } = yield* withBob
    assert.strictEqual(said(leader), "allowed")
    for (const node of three.nodes) {
      if (node === leader) continue
      const asked = node.node.access?.command(bob, put)
      assert.deepInclude(asked, { _tag: "NotLeader", leaderId: leader.id })
      assert.deepStrictEqual(node.node.access?.command({ name: "node 1", isNode: true }, put), put)
      assert.isUndefined(node.node.access?.query({ name: "admin", isNode: false }, bytes("")))
    }
  }))

it.effect("a right that was taken away is gone at the next leader, before that has applied it too", () =>
  Effect.gen(function*() {
    let behind = 0
    for (let round = 0; round < 4; round++) {
      yield* Effect.scoped(Effect.gen(function*() {
        const { leader, run, three } = yield* withBob
        // Slow enough that the commit of the new leader's first entry takes several looks.
        three.network.setFaults({ delayMs: [20 + round, 20 + round] })
        yield* run(user([]))
        three.isolate(leader)
        const others = three.nodes.filter((node) => node !== leader)
        yield* three.until(
          "a new leader that knows",
          Effect.sync(() => {
            const answers = others.map(said)
            assert.notInclude(answers, "allowed")
            if (answers.includes("Unavailable")) behind += 1
            return answers.includes("Unauthorized") ? Option.some(true) : Option.none()
          })
        )
        const refused = others.map(({ node }) => node.access?.command(bob, put)).find((one) =>
          one instanceof Unauthorized
        )
        assert.include(refused?.message ?? "", `bob may not write "a"`)
      }))
    }
    assert.isAbove(behind, 3, "a leader was asked before it had applied what it found")
  }))
