/** A node that may be behind refuses no caller for good: what is refused is asked of a majority first. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, References, Stream } from "effect"
import { Watch } from "../../src/client/Watch.ts"
import { Unavailable } from "../../src/FlareDbError.ts"
import { clientProtocolVersion } from "../../src/protocol/ClientRpcs.ts"
import type { AdminCall } from "../../src/server/CallRules.ts"
import { callRules } from "../../src/server/CallRules.ts"
import { eventually } from "../Eventually.ts"
import { call } from "../wire/Frames.ts"
import { ClientPort as Rpcs, toClients } from "./Payloads.ts"
import { bytes, carryOut, client, failureOf, hearing, port, putRole, putUser, tokenOf } from "./PortClients.ts"
import { exitOf, open } from "./RawConnection.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")
const apart = Effect.fail(new Unavailable({ reason: "there is no leader" }))

const adminCalls = Object.entries(callRules).flatMap(([tag, { who }]) => who === "admin" ? [tag as AdminCall] : [])

/** What a call of `operator` is answered first, at a node that hears from a majority as `barrier` says. */
const answered = (
  tag: AdminCall,
  roles: ReadonlyArray<string>,
  barrier: Parameters<typeof hearing>[0]
) =>
  Effect.gen(function*() {
    const { node, port: at } = yield* port({ clientAuth: "token" }, {}, hearing(barrier))
    yield* putUser(node, "operator", roles)
    const { token } = yield* tokenOf(node, "operator")
    const connection = yield* open(at)
    connection.send(call(Rpcs, 1, "client.Hello", { protocolVersion: clientProtocolVersion, token }))
    yield* connection.next
    connection.send(call(Rpcs, 2, tag, toClients[tag]))
    const answer = yield* connection.next
    if (answer._tag === "Chunk") return "begun"
    const exit = exitOf(Rpcs, tag, answer)
    return Exit.isSuccess(exit) ? "begun" : String(failureOf(exit))
  }).pipe(Effect.scoped, quietly)

describe("a call of an administrator", () => {
  it("is one of those that there are", () => {
    assert.sameMembers(adminCalls, ["client.TransferLeader", "state.Backup", "state.HashState"])
  })

  for (const tag of adminCalls) {
    it.live(`${tag} is carried out by a node that learns of the role before it refuses`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* answered(tag, [], (node) => putUser(node, "operator", ["admin"])), "begun")
      }))

    it.live(`${tag} is refused by a node that has heard from a majority`, () =>
      Effect.gen(function*() {
        assert.match(yield* answered(tag, [], () => Effect.void), /: operator may not /)
      }))

    it.live(`${tag} is not refused by a node that cannot find out, and not held up where it is allowed`, () =>
      Effect.gen(function*() {
        assert.match(yield* answered(tag, [], () => apart), /^Unavailable: .* cannot know what its caller may do/)
        // A backup is of the newest state, so that it needs a majority itself.
        assert.match(
          yield* answered(tag, ["admin"], () => apart),
          tag === "state.Backup" ? /^Unavailable: unavailable: there is no leader/ : /^begun$/
        )
      }))
  }
})

it.live("a watch goes on at a node that learns that the role is there again", () =>
  Effect.gen(function*() {
    let proofs = 0
    const learning = hearing((node) =>
      Effect.andThen(
        node.readBarrier,
        Effect.suspend(() => {
          proofs += 1
          return putUser(node, "orders", ["a"])
        })
      )
    )
    const { node, port: at } = yield* port({ clientAuth: "token" }, {}, learning)
    yield* putRole(node, "a", ["a/"], [])
    yield* putUser(node, "orders", ["a"])
    const { token } = yield* tokenOf(node, "orders")
    const services = yield* client(at, { token })
    const seen: Array<string> = []
    const watching = yield* Effect.forkChild(
      Context.get(services, Watch).notices({ prefix: "a/" }).pipe(
        Stream.runForEach(({ _tag }) => Effect.sync(() => seen.push(_tag)))
      )
    )
    yield* eventually("the watch begins", Effect.sync(() => seen.includes("Began")))
    proofs = 0
    yield* putUser(node, "orders", [])
    yield* carryOut(node, { _tag: "Put", key: bytes("a/1"), value: bytes("1"), lease: 0 })
    yield* eventually("the change", Effect.sync(() => seen.includes("Changes")))
    assert.isAtLeast(proofs, 1)
    yield* Fiber.interrupt(watching)
  }).pipe(Effect.scoped, quietly))
