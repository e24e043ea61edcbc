/** Leases and sessions belong to the caller that made them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Unavailable } from "../../../src/FlareDbError.ts"
import type { Command } from "../../../src/kv/model/Command.ts"
import { encodeCommand } from "../../../src/kv/model/Command.ts"
import type { Transaction } from "../../../src/kv/model/Transaction.ts"
import * as MemoryStore from "../../../src/storage/memory/MemoryStore.ts"
import { AccessStore, bytes, caller, commandOf, layerOn, node } from "./AccessStore.ts"

const store = () => layerOn(new MemoryStore.MemoryDisk([1]))

const put = (key: string, lease = 0): Command => ({ _tag: "Put", key: bytes(key), value: bytes("secret value"), lease })
const transact = (parts: Partial<Transaction>): Extract<Command, { readonly _tag: "Transact" }> => ({
  _tag: "Transact",
  transaction: { compares: [], success: [], failure: [], ...parts }
})

describe("a lease", () => {
  const make = Effect.gen(function*() {
    const kv = yield* AccessStore.make
    yield* kv.role("all", [""], [""])
    yield* kv.user("bob", ["all"])
    yield* kv.user("ann", ["all"])
    return kv
  })
  const [ann, bob] = [caller("ann"), caller("bob")]
  const uses = (lease: number): ReadonlyArray<Command> => [
    put("a", lease),
    transact({ failure: [{ _tag: "Put", key: bytes("a"), value: bytes("x"), lease }] }),
    { _tag: "KeepAlive", lease },
    { _tag: "RevokeLease", lease }
  ]

  it.effect("is its caller's and no other's", () =>
    Effect.gen(function*() {
      const kv = yield* make
      yield* kv.send(bob, { _tag: "GrantLease", ttlMs: 10_000 })
      const lease = kv.index
      for (const command of uses(lease)) {
        assert.isUndefined(kv.refusal(bob, command), command._tag)
        assert.match(kv.refusal(ann, command) ?? "", /ann may not use lease \d+, which was not granted to it/)
        assert.isUndefined(kv.refusal(caller("admin"), command))
        assert.isUndefined(kv.refusal(node, command))
      }
      assert.isUndefined(kv.queryRefusal(bob, { _tag: "LeaseKeys", lease }))
      assert.isString(kv.queryRefusal(ann, { _tag: "LeaseKeys", lease }))
      assert.deepInclude(yield* kv.ask({ _tag: "Leases" }), {
        leases: [{ lease, ttlMs: 10_000, remainingMs: 10_000, keys: 0, caller: "bob" }]
      })
    }).pipe(Effect.provide(store())))

  it.effect("is that of the caller for whom a node asks, and only a node can ask for another", () =>
    Effect.gen(function*() {
      const kv = yield* make
      yield* kv.send(node, { _tag: "GrantLease", ttlMs: 10_000, caller: "ann" })
      assert.isUndefined(kv.refusal(ann, { _tag: "KeepAlive", lease: kv.index }))
      assert.isString(kv.refusal(bob, { _tag: "KeepAlive", lease: kv.index }))
      yield* kv.send(bob, { _tag: "GrantLease", ttlMs: 10_000, caller: "ann" })
      assert.isString(kv.refusal(ann, { _tag: "KeepAlive", lease: kv.index }))
      assert.isUndefined(kv.refusal(bob, { _tag: "KeepAlive", lease: kv.index }))
    }).pipe(Effect.provide(store())))

  it.effect("without a caller is for administrators and nodes", () =>
    Effect.gen(function*() {
      const kv = yield* make
      yield* kv.apply({ _tag: "GrantLease", ttlMs: 10_000 })
      for (const command of uses(kv.index)) {
        assert.isString(kv.refusal(bob, command))
        assert.isUndefined(kv.refusal(caller("admin"), command))
      }
    }).pipe(Effect.provide(store())))

  it.effect("that has ended is refused when the command is applied, and one to come is not known yet", () =>
    Effect.gen(function*() {
      const kv = yield* make
      yield* kv.send(bob, { _tag: "GrantLease", ttlMs: 10_000 })
      const lease = kv.index
      yield* kv.send(bob, { _tag: "RevokeLease", lease })
      assert.deepInclude(yield* kv.send(ann, { _tag: "KeepAlive", lease }), {
        reason: "lease-not-found",
        current: lease
      })
      const later = kv.access.command(bob, encodeCommand({ _tag: "KeepAlive", lease: kv.index + 1 }))
      assert.instanceOf(later, Unavailable)
      assert.isString(kv.queryRefusal(bob, { _tag: "LeaseKeys", lease: kv.index + 1 }))
    }).pipe(Effect.provide(store())))

  it.effect("carries the name that the caller proved, whatever the client wrote", () =>
    Effect.gen(function*() {
      const kv = yield* make
      const commandId = { session: 3, sequence: 2, answered: 1, secret: new Uint8Array(16).fill(5) }
      const forged = encodeCommand({ _tag: "GrantLease", ttlMs: 5_000, caller: "ann" }, commandId)
      assert.deepStrictEqual(commandOf(kv.access.command(bob, forged)), {
        _tag: "Decoded",
        commandId,
        command: { _tag: "GrantLease", ttlMs: 5_000, caller: "bob" }
      })
      // A node is believed: it asks for the callers of its HTTP port.
      assert.deepStrictEqual(commandOf(kv.access.command(node, forged)), commandOf(forged))
    }).pipe(Effect.provide(store())))

  it.effect("is limited in number for each user, decided when it is granted", () =>
    Effect.gen(function*() {
      const kv = yield* make
      yield* kv.user("bob", ["all"], 2)
      const grant: Command = { _tag: "GrantLease", ttlMs: 10_000 }
      yield* kv.send(bob, grant)
      yield* kv.send(bob, grant)
      const last = kv.index
      assert.deepInclude(yield* kv.send(bob, grant), {
        reason: "overloaded",
        field: "maxLeases of bob",
        current: 2,
        maximum: 2
      })
      assert.deepInclude(yield* kv.send(ann, grant), { _tag: "LeaseReply" })
      yield* kv.send(bob, { _tag: "RevokeLease", lease: last })
      assert.deepInclude(yield* kv.send(bob, grant), { _tag: "LeaseReply" })
      const users = yield* kv.ask({ _tag: "Users", after: "ann", limit: 1 })
      assert.deepInclude(users._tag === "UsersReply" ? users.users[0] : undefined, { name: "bob", leases: 2 })
      for (let i = 0; i < 5; i++) assert.deepInclude(yield* kv.send(caller("admin"), grant), { _tag: "LeaseReply" })
      // A user that goes between the question and the log has no leases any more.
      const asked = kv.access.command(ann, encodeCommand(grant))
      yield* kv.apply({ _tag: "DeleteUser", name: "ann" })
      assert.deepInclude(yield* kv.applied(asked instanceof Uint8Array ? asked : assert.fail("refused")), {
        reason: "overloaded",
        maximum: 0
      })
    }).pipe(Effect.provide(store())))
})

describe("a session", () => {
  const secret = new Uint8Array(16).fill(3)
  const open: Command = { _tag: "OpenSession", ttlMs: 10_000, secret, owner: "pod-1" }
  const make = Effect.gen(function*() {
    const kv = yield* AccessStore.make
    yield* kv.role("all", [""], [""])
    yield* kv.user("bob", ["all"], 10, 1)
    yield* kv.user("ann", ["all"])
    return kv
  })

  it.effect("takes commands of the caller that opened it, and of no other that has its secret", () =>
    Effect.gen(function*() {
      const kv = yield* make
      yield* kv.send(caller("bob"), open)
      const commandId = { session: kv.index, sequence: 1, answered: 0, secret }
      assert.deepInclude(
        yield* kv.ask({ _tag: "Sessions", after: 0, limit: 1 }).pipe(
          Effect.map((reply) => reply._tag === "SessionsReply" ? reply.sessions[0] : undefined)
        ),
        { owner: "pod-1", caller: "bob" }
      )
      assert.deepInclude(yield* kv.send(caller("bob"), put("a"), commandId), { _tag: "PutReply" })
      assert.match(
        String(yield* kv.send(caller("ann"), put("a"), commandId)),
        /ann may not send commands in session \d+/
      )
      assert.deepInclude(yield* kv.send(caller("admin"), put("a"), commandId), { _tag: "PutReply" })
      assert.deepInclude(yield* kv.send(caller("bob"), open), { field: "maxSessions of bob", current: 1, maximum: 1 })
      yield* kv.send(caller("bob"), { _tag: "CloseSession" }, { ...commandId, sequence: 2 })
      assert.deepInclude(yield* kv.send(caller("bob"), open), { _tag: "SessionReply" })
    }).pipe(Effect.provide(store())))

  it.effect("without a caller takes commands of whom has its secret", () =>
    Effect.gen(function*() {
      const kv = yield* make
      yield* kv.apply(open)
      const commandId = { session: kv.index, sequence: 1, answered: 0, secret }
      assert.deepInclude(yield* kv.send(caller("ann"), put("a"), commandId), { _tag: "PutReply" })
    }).pipe(Effect.provide(store())))
})
