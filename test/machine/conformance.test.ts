/** The suite for state machines: the key-value store passes it, and machines with classic mistakes do not. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { InvalidArgument } from "../../src/FlareDbError.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { allKeys } from "../../src/bytes/KeyRange.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import type { Caller } from "../../src/machine/Caller.ts"
import * as RowMachine from "../../src/machine/RowMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import type { SampleCommand } from "../../src/testing/StateMachineSuite.ts"
import { stateMachineCases } from "../../src/testing/StateMachineSuite.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

const kvCommands: ReadonlyArray<SampleCommand> = Array.from({ length: 200 }, (_, i): SampleCommand => {
  const key = bytes(`key ${(i * 7) % 11}`)
  const kinds: ReadonlyArray<Command> = [
    { _tag: "Put", key, value: bytes(`value ${i}`), lease: 0 },
    { _tag: "GrantLease", ttlMs: 1_000 + i },
    { _tag: "Put", key, value: bytes(`leased ${i}`), lease: 3 },
    { _tag: "Delete", key },
    { _tag: "OpenSession", ttlMs: 60_000, secret: new Uint8Array(16), owner: "" },
    { _tag: "KeepAlive", lease: 3 },
    { _tag: "Checkpoint" },
    {
      _tag: "PutRole",
      role: { name: "shop", read: [bytes("key 1")], write: [bytes(`key ${i % 4}`)], admin: false }
    },
    { _tag: "PutUser", name: "bob", roles: ["shop"], maxLeases: 3, maxSessions: 3 },
    { _tag: "GrantLease", ttlMs: 1_000_000, caller: "bob" },
    { _tag: "AddToken", user: "bob", hash: new Uint8Array(32).fill(i), expiresMs: 0 },
    { _tag: "DeleteRole", name: "shop" }
  ]
  return { command: encodeCommand(kinds[i % kinds.length] as Command), timestampMs: 1_000 + i }
})

describe("the key-value store", () => {
  const cases = stateMachineCases({
    layer: KvStateMachine.layer,
    commands: kvCommands,
    queries: [
      encodeQuery({ _tag: "Scan", range: allKeys, limit: 100, keysOnly: false, reverse: false }),
      encodeQuery({ _tag: "Leases" }),
      encodeQuery({ _tag: "Users", after: "", limit: 10 }),
      encodeQuery({ _tag: "Get", key: bytes("key 10") })
    ],
    callers: ["admin", "bob", "unknown"].map((name) => ({ name, isNode: false }))
  })
  for (const { effect, name } of cases) it.effect(name, () => effect)
})

/** Counts commands in a row, and what is wrong with how it does. */
const counter = (apply: RowMachine.RowMachine<Uint8Array, Uint8Array>["apply"]) =>
  RowMachine.layer<Uint8Array, Uint8Array>({
    name: "counter",
    decodeCommand: (command) =>
      command.byteLength === 4 ? command : new InvalidArgument({ field: "command", problem: "x" }),
    decodeQuery: (query) => query,
    apply,
    query: () => Effect.succeed(new Uint8Array(0))
  })

const row = Uint8Array.of(0x10)
const commands: ReadonlyArray<SampleCommand> = Array.from(
  { length: 60 },
  (_, i) => ({ command: bytes("once"), timestampMs: i })
)

const caught = (layer: ReturnType<typeof counter>) =>
  Effect.map(
    Effect.forEach(stateMachineCases({ layer, commands, queries: [] }), ({ effect, name }) =>
      Effect.map(Effect.exit(effect), (exit) =>
        Exit.isFailure(exit) ? [`${name}: ${String(Cause.squash(exit.cause))}`] : [])),
    (failures) =>
      failures.flat()
  )

describe("machines with mistakes are caught:", () => {
  it.effect("none is found in one that counts in its row", () =>
    Effect.gen(function*() {
      const found = yield* caught(counter((rows) =>
        Effect.map(rows.get(row), (value) => {
          const next = Uint8Array.of((value?.[0] ?? 0) + 1)
          rows.put(row, next)
          return next
        })
      ))
      assert.deepStrictEqual(found, [])
    }))

  it.effect("one that counts in memory", () =>
    Effect.gen(function*() {
      let count = 0
      const found = yield* caught(counter((rows) =>
        Effect.sync(() => {
          count += 1
          rows.put(row, Uint8Array.of(count))
          return Uint8Array.of(count)
        })
      ))
      assert.isAbove(found.length, 0)
    }))

  it.effect("one that draws a random number", () =>
    Effect.gen(function*() {
      const found = yield* caught(counter((rows) =>
        Effect.sync(() => {
          rows.put(row, bytes(String(Math.random())))
          return row
        })
      ))
      assert.isAbove(found.length, 0)
    }))

  it.effect("one that writes a reserved row", () =>
    Effect.gen(function*() {
      const found = yield* caught(counter((rows) =>
        Effect.sync(() => {
          rows.put(Uint8Array.of(0x00, 0x01), row)
          return row
        })
      ))
      assert.match(found.join(), /reserved/)
    }))
})

describe("a machine of rows that asks who calls", () => {
  /** Everybody may look; only the owner of a counter, whose name is the command, may add to it. */
  const owned = RowMachine.layer<Uint8Array, Uint8Array>({
    name: "owned-counter",
    decodeCommand: (command) =>
      command.byteLength === 4 ? command : new InvalidArgument({ field: "command", problem: "has not 4 bytes" }),
    decodeQuery: (query) =>
      query.byteLength === 0 ? new InvalidArgument({ field: "query", problem: "is empty" }) : query,
    apply: (rows, command) =>
      Effect.map(rows.get(Uint8Array.of(0x10, ...command)), (value) => {
        const next = Uint8Array.of((value?.[0] ?? 0) + 1)
        rows.put(Uint8Array.of(0x10, ...command), next)
        return next
      }),
    query: (view, key) =>
      Effect.map(view.getMany([Uint8Array.of(0x10, ...key)]), ([value]) => value ?? new Uint8Array(0)),
    authorize: ({ name }, request) =>
      request._tag === "Query" || Buffer.from(request.command).toString() === name
        ? undefined
        : `count for ${Buffer.from(request.command).toString()}`
  })
  const callers = ["once", "else"].map((name) => ({ name, isNode: false }))
  const queries = [bytes("once")]
  for (const { effect, name } of stateMachineCases({ layer: owned, commands, queries, callers })) {
    it.effect(name, () => effect)
  }

  it.effect("lets its owner count, others look, and nobody else do anything", () =>
    Effect.gen(function*() {
      const machine = yield* StateMachine
      const access = machine.access ?? assert.fail("no access")
      const [owner, other] = callers as [Caller, Caller]
      assert.deepStrictEqual(access.command(owner, bytes("once")), bytes("once"))
      assert.match(String(access.command(other, bytes("once"))), /else may not count for once/)
      assert.isUndefined(access.query(other, bytes("once")))
      assert.match(String(access.admin(owner, "backup")), /once may not ask for backup/)
      assert.isUndefined(access.authenticate("admin", new Uint8Array(32)))
      assert.isFalse(access.isEmpty(), "no token is taken while the machine has none")
      assert.deepStrictEqual(access.describeCommand(bytes("once")), { operation: "Command", ranges: [], writes: true })
      assert.strictEqual(access.describeQuery(bytes("")).operation, "malformed")
      assert.deepStrictEqual(access.command(other, bytes("no")), bytes("no"), "the machine refuses it, and says why")
    }).pipe(Effect.provide(Layer.provide(owned, MemoryStore.layer(new MemoryStore.MemoryDisk([1]))))))

  it.effect("is found when its decisions hang on memory that a restart loses", () =>
    Effect.gen(function*() {
      let asked = 0
      const forgetful = RowMachine.layer<Uint8Array, Uint8Array>({
        name: "forgetful",
        decodeCommand: (command) => command,
        decodeQuery: (query) => query,
        apply: () => Effect.succeed(row),
        query: () => Effect.succeed(row),
        authorize: () => (asked += 1) % 7 === 0 ? "ask so often" : undefined
      })
      const found = yield* Effect.forEach(
        stateMachineCases({ layer: forgetful, commands, queries, callers }),
        ({ effect, name }) => Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? [name] : [])
      )
      assert.include(found.flat().join(), "who may do what is the same after a restart")
    }))
})
