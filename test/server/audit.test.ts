/** What clients do, as the audit log has it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, References, Stream } from "effect"
import { AuditFileError } from "../../src/callers/AuditFile.ts"
import type { AuditEvents } from "../../src/callers/AuditLog.ts"
import { AuditLog } from "../../src/callers/AuditLog.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Op } from "../../src/client/Txn.ts"
import { Watch } from "../../src/client/Watch.ts"
import { makeToken } from "../../src/kv/TokenSecret.ts"
import { eventually } from "../Eventually.ts"
import { clientProtocolVersion, ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { call } from "../wire/Frames.ts"
import { exitOf, open } from "./RawConnection.ts"
import { carryOut, client, failureOf, port, putRole, putUser, tokenOf } from "./PortClients.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

interface Line {
  readonly name: string
  readonly operation: string
  readonly ranges: ReadonlyArray<string>
  readonly outcome: string
}

/** A log in memory. */
const logged = (events: AuditEvents, strict = false) =>
  Effect.gen(function*() {
    const state = { isFull: false, text: "" }
    const log = yield* AuditLog.make({ file: "audit", events, strict, nodeId: 1 }, () =>
      Effect.succeed({
        append: (lines) =>
          state.isFull
            ? Effect.fail(new AuditFileError({ path: "audit", cause: new Error("ENOSPC") }))
            : Effect.sync(() => {
              state.text += lines
            }),
        close: Effect.void
      }))
    const lines = () => state.text === "" ? [] : state.text.trimEnd().split("\n").map((line): Line => JSON.parse(line))
    const has = (wanted: Partial<Line>) =>
      eventually(`a line ${JSON.stringify(wanted)}`, () =>
        lines().some((line) =>
          Object.entries(wanted).every(([field, value]) =>
            JSON.stringify(Reflect.get(line, field)) === JSON.stringify(value)
          )
        ))
    return { log, state, lines, has }
  })

describe("the audit log", () => {
  it.live("has writes, refusals and administrators' doings, and no value", () =>
    Effect.gen(function*() {
      const { has, lines, log, state } = yield* logged("writes")
      const { node, port: at } = yield* port({ clientAuth: "token", audit: log })
      yield* putRole(node, "a", ["a/"], ["a/"])
      yield* putUser(node, "orders", ["a"])
      const { token } = yield* tokenOf(node, "orders")
      const services = yield* client(at, { token })
      const kv = Context.get(services, KeyValue)
      yield* kv.put("a/1", "secret-one")
      yield* kv.transact({ do: [Op.put("a/2", "secret-two"), Op.delete("a/1")] })
      yield* kv.get("a/1")
      yield* Effect.flip(kv.put("b/1", "secret-three"))
      const stranger = yield* client(at, { token: makeToken("orders").token })
      yield* Effect.flip(Context.get(stranger, KeyValue).get("a/1"))
      const admin = yield* client(at, { token: (yield* tokenOf(node, "admin")).token })
      yield* Context.get(admin, ClusterAdmin).compact()
      yield* has({ name: "orders", operation: "Put", ranges: ["write \"a/1\""], outcome: "ok" })
      yield* has({ name: "orders", operation: "Transact", outcome: "ok" })
      yield* has({ name: "orders", operation: "Put", ranges: ["write \"b/1\""], outcome: "refused: Unauthorized" })
      yield* has({ name: "-", operation: "Hello", outcome: "refused: Unauthenticated" })
      yield* has({ name: "admin", operation: "Compact", outcome: "ok" })
      assert.notInclude(state.text, "secret")
      assert.notMatch(state.text, /fdb_/)
      assert.isFalse(lines().some(({ operation }) => operation === "Get"))
      yield* eventually("nothing waits", () => log.table.entries() === 0)
    }).pipe(Effect.scoped, quietly))

  it.live("has reads and watches when it is asked to, also where callers are not", () =>
    Effect.gen(function*() {
      const { has, log } = yield* logged("all")
      const { port: at } = yield* port({ clientAuth: "none", audit: log })
      const services = yield* client(at)
      yield* Context.get(services, KeyValue).get("a")
      yield* Context.get(services, Watch).notices({ prefix: "a/" }).pipe(Stream.take(1), Stream.runDrain)
      yield* has({ name: "-", operation: "Get", ranges: ["read \"a\""], outcome: "ok" })
      yield* has({ name: "-", operation: "Watch", ranges: ["read \"a/\"…\"a0\""], outcome: "ok" })
    }).pipe(Effect.scoped, quietly))

  it.live("has one line of a connection whose token is removed, and one of a watch that loses its role", () =>
    Effect.gen(function*() {
      const { has, lines, log } = yield* logged("writes")
      const { node, port: at } = yield* port({ clientAuth: "token", audit: log })
      yield* putRole(node, "a", ["a/"], ["a/"])
      const watched = Effect.fnUntraced(function*(name: string) {
        yield* putUser(node, name, ["a"])
        const { id, token } = yield* tokenOf(node, name)
        const services = yield* client(at, { token })
        const began = yield* Deferred.make<void>()
        const ended = yield* Context.get(services, Watch).notices({ prefix: "a/" }, { progressMs: 100 }).pipe(
          Stream.runForEach(() => Deferred.succeed(began, undefined)),
          Effect.forkChild
        )
        yield* Deferred.await(began)
        return { ended, id }
      })
      const shop = yield* watched("shop")
      yield* carryOut(node, { _tag: "RemoveToken", user: "shop", token: shop.id })
      assert.isTrue(Exit.isFailure(yield* Fiber.await(shop.ended)))
      yield* has({ name: "shop", outcome: "refused: Unauthenticated" })
      const orders = yield* watched("orders")
      yield* putUser(node, "orders", [])
      assert.isTrue(Exit.isFailure(yield* Fiber.await(orders.ended)))
      yield* has({ name: "orders", operation: "Changes", ranges: ["read \"a/\"…\"a0\""] })
      const ended = lines().filter(({ name, outcome }) => name === "shop" && outcome === "refused: Unauthenticated")
      assert.deepStrictEqual(ended.length, 1)
      assert.include(["Connection", "Changes"], ended[0]?.operation)
    }).pipe(Effect.scoped, quietly))

  it.live("refuses what it cannot write down when it is strict", () =>
    Effect.gen(function*() {
      const { log, state } = yield* logged("writes", true)
      const { port: at } = yield* port({ clientAuth: "none", audit: log })
      const kv = Context.get(yield* client(at, { requestTimeoutMs: 300 }), KeyValue)
      yield* kv.put("a", "1")
      state.isFull = true
      yield* Effect.ignore(kv.put("a", "2"))
      yield* eventually("the log cannot be written", () => log.reserve(0) !== undefined)
      const { revision } = yield* kv.put("b", "1").pipe(
        Effect.flip,
        // An attempt that is under way at the deadline has no answer.
        Effect.repeat({ until: ({ _tag }) => _tag !== "Indeterminate" }),
        Effect.tap((error) => Effect.sync(() => assert.match(error.message, /nothing is done that cannot be audited/))),
        Effect.andThen(kv.scan(""))
      )
      assert.isAtMost(revision, 2)
      const connection = yield* open(at)
      connection.send(call(ClientRpcs, 1, "client.Hello", { protocolVersion: clientProtocolVersion }))
      yield* connection.next
      connection.send(call(ClientRpcs, 2, "client.TransferLeader", { target: null }))
      const refused = failureOf(exitOf(ClientRpcs, "client.TransferLeader", yield* connection.next))
      assert.deepInclude(refused, { _tag: "Unavailable" })
      state.isFull = false
      yield* eventually("it can be written again", () => log.reserve(0) === undefined)
      yield* kv.put("b", "1")
    }).pipe(Effect.scoped, quietly))
})
