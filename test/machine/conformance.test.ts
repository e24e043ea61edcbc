/** The suite for state machines: the key-value store passes it, and machines with classic mistakes do not. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { InvalidArgument } from "../../src/FlareDbError.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { allKeys } from "../../src/bytes/KeyRange.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import * as RowMachine from "../../src/machine/RowMachine.ts"
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
    { _tag: "Checkpoint" }
  ]
  return { command: encodeCommand(kinds[i % kinds.length] as Command), stampMs: 1_000 + i }
})

describe("the key-value store", () => {
  const cases = stateMachineCases({
    layer: KvStateMachine.layer,
    commands: kvCommands,
    queries: [
      encodeQuery({ _tag: "Scan", range: allKeys, limit: 100, keysOnly: false, reverse: false }),
      encodeQuery({ _tag: "Leases" })
    ]
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
  (_, i) => ({ command: bytes("once"), stampMs: i })
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
