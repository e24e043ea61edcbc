/** Who may do what: rights by prefix, tokens, and what a refusal says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { prefixRange, singleKey } from "../../../src/bytes/KeyRange.ts"
import { Unauthorized } from "../../../src/FlareDbError.ts"
import type { Command } from "../../../src/kv/model/Command.ts"
import { encodeCommand } from "../../../src/kv/model/Command.ts"
import { KeyRanges } from "../../../src/kv/model/KeyRanges.ts"
import type { Query } from "../../../src/kv/model/Query.ts"
import type { Operation, Transaction } from "../../../src/kv/model/Transaction.ts"
import { StateMachine } from "../../../src/machine/StateMachine.ts"
import * as MemoryStore from "../../../src/storage/memory/MemoryStore.ts"
import { AccessStore, bytes, caller, layerOn, node } from "./AccessStore.ts"

const store = () => layerOn(new MemoryStore.MemoryDisk([1]))

const put = (key: string, lease = 0): Command => ({ _tag: "Put", key: bytes(key), value: bytes("secret value"), lease })
const get = (key: string): Query => ({ _tag: "Get", key: bytes(key) })
const scan = (gte: string, lt: string): Query => ({
  _tag: "Scan",
  range: { gte: bytes(gte), lt: bytes(lt) },
  limit: 10,
  keysOnly: false,
  reverse: false
})
const transact = (parts: Partial<Transaction>): Extract<Command, { readonly _tag: "Transact" }> => ({
  _tag: "Transact",
  transaction: { compares: [], success: [], failure: [], ...parts }
})
const ranges = (...prefixes: ReadonlyArray<string>): KeyRanges => {
  const made = KeyRanges.make(prefixes.map((prefix) => prefixRange(bytes(prefix))))
  return made instanceof KeyRanges ? made : assert.fail(made.problem)
}

const everyCommand: ReadonlyArray<Command> = [
  put("a"),
  { _tag: "Delete", key: bytes("a") },
  transact({}),
  transact({ success: [{ _tag: "Get", key: bytes("a") }] }),
  { _tag: "GrantLease", ttlMs: 1_000 },
  { _tag: "KeepAlive", lease: 1 },
  { _tag: "RevokeLease", lease: 1 },
  { _tag: "Compact", through: 1 },
  { _tag: "OpenSession", ttlMs: 1_000, secret: new Uint8Array(16), owner: "" },
  { _tag: "Checkpoint", token: 1 },
  { _tag: "EndSession", session: 1 },
  { _tag: "PutRole", role: { name: "a", read: [], write: [], admin: true } },
  { _tag: "DeleteRole", name: "a" },
  { _tag: "PutUser", name: "a", roles: ["admin"], maxLeases: 1, maxSessions: 1 },
  { _tag: "DeleteUser", name: "a" },
  { _tag: "AddToken", user: "admin", hash: new Uint8Array(32), expiresMs: 0 },
  { _tag: "RemoveToken", user: "admin", token: 1 },
  { _tag: "Expire", leases: [1], sessions: [1] }
]

const everyQuery: ReadonlyArray<Query> = [
  get("a"),
  scan("", ""),
  { _tag: "Count", range: prefixRange(bytes("a")) },
  transact({ success: [{ _tag: "Get", key: bytes("a") }] }),
  { _tag: "Leases" },
  { _tag: "LeaseKeys", lease: 1 },
  { _tag: "Sessions", after: 0, limit: 10 },
  { _tag: "Roles", after: "", limit: 10 },
  { _tag: "Users", after: "", limit: 10 }
]

const adminOperations = ["transfer-leader", "backup", "hash-state", "status-page", "debug"] as const

describe("a name that is no user", () => {
  it.effect("may do nothing at all", () =>
    Effect.gen(function*() {
      const kv = yield* AccessStore.make
      const bob = caller("bob")
      for (const command of everyCommand) assert.isString(kv.refusal(bob, command), command._tag)
      for (const query of everyQuery) assert.isString(kv.queryRefusal(bob, query), query._tag)
      for (const operation of adminOperations) assert.instanceOf(kv.access.admin(bob, operation), Unauthorized)
      assert.instanceOf(kv.access.ranges(bob, ranges("a")), Unauthorized)
      assert.isTrue(kv.access.isEmpty())
      assert.isFalse(kv.access.isUser("bob"))
    }).pipe(Effect.provide(store())))
})

describe("everything may be done by", () => {
  it.effect.each(
    [
      ["the name admin, which is no row", caller("admin")],
      ["a node", node],
      ["a user with the built-in role", caller("ann")],
      ["a user with a role of administrators", caller("eve")]
    ] as const
  )("%s", ([, who]) =>
    Effect.gen(function*() {
      const kv = yield* AccessStore.make
      yield* kv.role("operators", [], [], true)
      yield* kv.user("ann", ["admin"])
      yield* kv.user("eve", ["operators"])
      yield* kv.send(caller("ann"), { _tag: "GrantLease", ttlMs: 1_000 })
      for (const command of everyCommand) assert.isUndefined(kv.refusal(who, command), command._tag)
      assert.isUndefined(kv.refusal(who, { _tag: "RevokeLease", lease: kv.index }))
      for (const query of everyQuery) assert.isUndefined(kv.queryRefusal(who, query), query._tag)
      for (const operation of adminOperations) assert.isUndefined(kv.access.admin(who, operation))
      assert.isUndefined(kv.access.ranges(who, ranges("")))
    }).pipe(Effect.provide(store())))
})

describe("a user with roles", () => {
  const make = Effect.gen(function*() {
    const kv = yield* AccessStore.make
    yield* kv.role("reader", ["a/", "b/"], [])
    yield* kv.role("writer", [], ["b/"])
    yield* kv.user("bob", ["reader", "writer"])
    return kv
  })
  const bob = caller("bob")

  it.effect("reads and writes what begins with their prefixes, and nothing else", () =>
    Effect.gen(function*() {
      const kv = yield* make
      for (const key of ["a/", "a/1", "b/\xff", "b/1"]) assert.isUndefined(kv.queryRefusal(bob, get(key)), key)
      for (const key of ["a", "a0", "b", "b0", "c/1"]) assert.isString(kv.queryRefusal(bob, get(key)), key)
      assert.isUndefined(kv.refusal(bob, put("b/1")))
      assert.isUndefined(kv.refusal(bob, { _tag: "Delete", key: bytes("b/1") }))
      assert.strictEqual(
        kv.refusal(bob, put("a/1")),
        `bob may not write "a/1"; an administrator can allow it with flaredb access`
      )
      assert.isUndefined(kv.queryRefusal(bob, scan("a/", "a0")))
      assert.isUndefined(kv.queryRefusal(bob, scan("a/3", "a/4")))
      assert.match(kv.queryRefusal(bob, scan("a/", "b/5")) ?? "", /may not read "a\/"…"b\/5"/)
      assert.match(kv.queryRefusal(bob, scan("b/", "")) ?? "", /read "b\/"…;/)
      assert.match(kv.queryRefusal(bob, scan("", "")) ?? "", /read every key/)
      assert.isString(kv.queryRefusal(bob, { _tag: "Count", range: prefixRange(bytes("a")) }))
    }).pipe(Effect.provide(store())))

  it.effect("needs the rights of every compare and of both branches of a transaction", () =>
    Effect.gen(function*() {
      const kv = yield* make
      const allowed: Operation = { _tag: "Get", key: bytes("a/1") }
      const forbidden: ReadonlyArray<readonly [string, Partial<Transaction>]> = [
        ["a compare", { compares: [{ _tag: "CompareExists", key: bytes("c"), exists: true }] }],
        ["a get", { success: [allowed, { _tag: "Get", key: bytes("c") }] }],
        ["a get in the other branch", { success: [allowed], failure: [{ _tag: "Get", key: bytes("c") }] }],
        ["a put", { success: [{ _tag: "Put", key: bytes("a/1"), value: bytes("x"), lease: 0 }] }],
        ["a delete in the other branch", { failure: [{ _tag: "Delete", key: bytes("a/1") }] }],
        ["a range that is deleted", { success: [{ _tag: "DeleteRange", range: prefixRange(bytes("b")) }] }],
        ["a range", {
          failure: [{ _tag: "Range", range: prefixRange(bytes("")), limit: 1, keysOnly: true, reverse: false }]
        }]
      ]
      for (const [what, parts] of forbidden) assert.isString(kv.refusal(bob, transact(parts)), what)
      assert.isUndefined(
        kv.refusal(
          bob,
          transact({
            compares: [{ _tag: "CompareExists", key: bytes("a/1"), exists: true }],
            success: [{ _tag: "Put", key: bytes("b/1"), value: bytes("x"), lease: 0 }, allowed],
            failure: [{ _tag: "DeleteRange", range: prefixRange(bytes("b/")) }]
          })
        )
      )
    }).pipe(Effect.provide(store())))

  it.effect("watches ranges that it may read, all of them", () =>
    Effect.gen(function*() {
      const kv = yield* make
      assert.isUndefined(kv.access.ranges(bob, ranges("a/", "b/1")))
      assert.match(kv.access.ranges(bob, ranges("a/", "c"))?.message ?? "", /bob may not read "c"…"d"/)
      assert.isUndefined(kv.access.ranges(bob, KeyRanges.of(singleKey(bytes("a/1")))))
    }).pipe(Effect.provide(store())))

  it.effect("may do another thing as soon as a role changes", () =>
    Effect.gen(function*() {
      const kv = yield* make
      assert.isUndefined(kv.refusal(bob, put("b/1")))
      yield* kv.role("writer", [], ["c/"])
      assert.isString(kv.refusal(bob, put("b/1")))
      assert.isUndefined(kv.refusal(bob, put("c/1")))
      yield* kv.user("bob", [])
      assert.isString(kv.refusal(bob, put("c/1")))
      assert.isString(kv.queryRefusal(bob, get("a/1")))
      yield* kv.apply({ _tag: "DeleteUser", name: "bob" })
      assert.isString(kv.refusal(bob, { _tag: "GrantLease", ttlMs: 1_000 }))
    }).pipe(Effect.provide(store())))

  it.effect("reads over prefixes that touch each other, and everything with the empty one", () =>
    Effect.gen(function*() {
      const kv = yield* make
      yield* kv.role("reader", ["a", "b", "\xff"], [""])
      assert.isUndefined(kv.queryRefusal(bob, scan("a1", "b5")))
      assert.isUndefined(kv.queryRefusal(bob, scan("a", "c")))
      assert.isString(kv.queryRefusal(bob, scan("a", "c\0")))
      assert.isUndefined(kv.refusal(bob, put("anything")))
      assert.isUndefined(
        kv.refusal(bob, transact({ success: [{ _tag: "DeleteRange", range: prefixRange(bytes("")) }] }))
      )
    }).pipe(Effect.provide(store())))

  it.effect("may not send what is for administrators, and is told what that is", () =>
    Effect.gen(function*() {
      const kv = yield* make
      assert.match(kv.refusal(bob, { _tag: "Compact", through: 1 }) ?? "", /^bob may not compact the history;/)
      assert.match(kv.queryRefusal(bob, { _tag: "Leases" }) ?? "", /may not list leases/)
      assert.match(
        kv.refusal(bob, { _tag: "PutUser", name: "bob", roles: ["admin"], maxLeases: 1, maxSessions: 1 }) ?? "",
        /may not set the user bob/
      )
      assert.match(kv.access.admin(bob, "backup")?.message ?? "", /may not take a backup/)
    }).pipe(Effect.provide(store())))
})

describe("a token", () => {
  const hash = new Uint8Array(32).fill(7)

  it.effect("is its user's until it is removed or has ended, by the clock of the node", () =>
    Effect.gen(function*() {
      const kv = yield* AccessStore.make
      yield* kv.user("bob", [])
      yield* TestClock.adjust(5_000)
      const added = yield* kv.apply({ _tag: "AddToken", user: "bob", hash, expiresMs: 6_000 })
      assert.deepStrictEqual(added, { _tag: "TokenReply", revision: 0, token: kv.index })
      const other = new Uint8Array(32).fill(8)
      yield* kv.apply({ _tag: "AddToken", user: "bob", hash: other, expiresMs: 0 })
      const bob = kv.access.authenticate("bob", hash) ?? assert.fail("not known")
      assert.deepStrictEqual(bob, { name: "bob", isNode: false, token: kv.index - 1 })
      assert.isUndefined(kv.access.authenticate("ann", hash))
      assert.isUndefined(kv.access.authenticate("bob", new Uint8Array(32)))
      assert.isUndefined(kv.access.authenticate("bob", hash.subarray(1)))
      assert.isTrue(kv.access.isValid(bob))
      // The log's clock may be far ahead or behind, and decides nothing here.
      kv.timeMs = 9_000_000
      yield* kv.apply(put("a"))
      assert.isTrue(kv.access.isValid(bob))
      yield* TestClock.adjust(1_000)
      assert.isFalse(kv.access.isValid(bob))
      assert.isUndefined(kv.access.authenticate("bob", hash))
      const second = kv.access.authenticate("bob", other) ?? assert.fail("not known")
      yield* kv.apply({ _tag: "RemoveToken", user: "bob", token: second.token ?? 0 })
      assert.isFalse(kv.access.isValid(second))
      assert.isUndefined(kv.access.authenticate("bob", other))
      assert.isTrue(kv.access.isValid(caller("bob")), "a certificate ends elsewhere")
      assert.isTrue(kv.access.isValid(node))
    }).pipe(Effect.provide(store())))

  it.effect("ends with its user", () =>
    Effect.gen(function*() {
      const kv = yield* AccessStore.make
      yield* kv.user("bob", [])
      yield* kv.apply({ _tag: "AddToken", user: "bob", hash, expiresMs: 0 })
      const bob = kv.access.authenticate("bob", hash) ?? assert.fail("not known")
      yield* kv.apply({ _tag: "DeleteUser", name: "bob" })
      assert.isFalse(kv.access.isValid(bob))
      yield* kv.user("bob", [])
      assert.isFalse(kv.access.isValid(bob), "a user of the same name gets none of the tokens back")
    }).pipe(Effect.provide(store())))

  it.effect("of the administrator closes the way in for an empty table, and is never shown", () =>
    Effect.gen(function*() {
      const kv = yield* AccessStore.make
      yield* kv.apply({ _tag: "AddToken", user: "admin", hash, expiresMs: 0 })
      assert.isFalse(kv.access.isEmpty())
      assert.isTrue(kv.access.isUser("admin"))
      const admin = kv.access.authenticate("admin", hash) ?? assert.fail("not known")
      assert.isUndefined(kv.access.admin(admin, "backup"))
      assert.deepStrictEqual(yield* kv.ask({ _tag: "Users", after: "", limit: 1 }), {
        _tag: "UsersReply",
        revision: 0,
        more: false,
        users: [{
          name: "admin",
          roles: [],
          maxLeases: 100_000,
          maxSessions: 10_000,
          leases: 0,
          sessions: 0,
          tokens: [{ token: 1, createdMs: 1_000, expiresMs: 0 }]
        }]
      })
    }).pipe(Effect.provide(store())))
})

describe("the table", () => {
  it.effect("is the same after a restart, and after a snapshot took its place", () =>
    Effect.gen(function*() {
      const disk = new MemoryStore.MemoryDisk([1])
      const hash = new Uint8Array(32).fill(9)
      const made = yield* AccessStore.make.pipe(
        Effect.tap((kv) => kv.role("reader", ["a/"], [])),
        Effect.tap((kv) => kv.user("bob", ["reader"], 1)),
        Effect.tap((kv) => kv.apply({ _tag: "AddToken", user: "bob", hash, expiresMs: 0 })),
        Effect.tap((kv) => kv.send(caller("bob"), { _tag: "GrantLease", ttlMs: 10_000 })),
        Effect.provide(layerOn(disk))
      )
      const agrees = (kv: AccessStore) =>
        Effect.gen(function*() {
          kv.index = made.index
          assert.isUndefined(kv.queryRefusal(caller("bob"), get("a/1")))
          assert.isString(kv.queryRefusal(caller("bob"), get("b/1")))
          assert.strictEqual(kv.access.authenticate("bob", hash)?.token, 3)
          assert.isUndefined(kv.refusal(caller("bob"), { _tag: "KeepAlive", lease: 4 }))
          assert.isString(kv.refusal(caller("bob"), { _tag: "KeepAlive", lease: 5 }))
          assert.deepInclude(yield* kv.send(caller("bob"), { _tag: "GrantLease", ttlMs: 10_000 }), {
            field: "maxLeases of bob"
          })
          assert.isUndefined(kv.refusal(caller("bob"), { _tag: "KeepAlive", lease: 2 }), "it is applied, and ended")
        })
      const restarted = yield* AccessStore.make.pipe(Effect.provide(layerOn(disk)))
      const receiving = new MemoryStore.MemoryDisk([1])
      const receiver = yield* AccessStore.make.pipe(Effect.provide(layerOn(receiving)))
      yield* receiver.role("reader", ["b/"], [])
      yield* receiver.user("bob", ["reader", "admin"])
      receiving.state = disk.state
      yield* receiver.machine.reload
      yield* agrees(receiver)
      yield* agrees(restarted)
    }))
})

describe("a description", () => {
  it.effect("names operation and ranges, at most a few, and never a value", () =>
    Effect.gen(function*() {
      const { access } = yield* AccessStore.make
      assert.deepStrictEqual(access.describeCommand(encodeCommand(put("a\n", 7))), {
        operation: "Put",
        ranges: [`write "a\\n"`, "lease 7"],
        writes: true
      })
      const value = bytes("secret value")
      const many = transact({
        compares: [{ _tag: "CompareValue", key: bytes("c"), operator: "=", value }],
        success: Array.from({ length: 20 }, (_, i) => ({ _tag: "Put", key: bytes(`k${i}`), value, lease: 0 }))
      })
      const described = access.describeCommand(encodeCommand(many))
      assert.strictEqual(described.ranges.length, 9)
      assert.strictEqual(described.ranges[8], "and 13 more")
      for (const command of everyCommand) {
        const { operation, ranges, writes } = access.describeCommand(encodeCommand(command))
        assert.strictEqual(operation, command._tag)
        assert.notInclude(JSON.stringify(ranges), "secret value")
        assert.isBoolean(writes)
      }
      const long = access.describeCommand(encodeCommand(put(`${"x".repeat(95)}é${"y".repeat(1_000)}`)))
      assert.deepStrictEqual(long.ranges, [`write "${"x".repeat(95)}"… of 1097 bytes`])
      const binary: Command = { _tag: "Delete", key: Uint8Array.of(0, 0xff) }
      assert.deepStrictEqual(access.describeCommand(encodeCommand(binary)).ranges, ["write (hex) 00ff"])
      assert.deepStrictEqual(access.describeCommand(bytes("no command")), {
        operation: "malformed",
        ranges: [],
        writes: false
      })
      assert.strictEqual(access.describeQuery(bytes("")).operation, "malformed")
    }).pipe(Effect.provide(store())))
})

it.effect("bytes that are no command go on to the check, which refuses them", () =>
  Effect.gen(function*() {
    const kv = yield* AccessStore.make
    const machine = yield* StateMachine
    const broken = bytes("no command")
    assert.strictEqual(kv.access.command(caller("bob"), broken), broken)
    assert.isDefined(machine.check(broken))
    assert.isUndefined(kv.access.query(caller("bob"), broken))
    assert.strictEqual((yield* machine.query([broken]))[0]?.constructor.name, "InvalidArgument")
  }).pipe(Effect.provide(store())))
