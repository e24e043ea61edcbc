/** Until when a leader need not ask what is due. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"

const machine = () =>
  Layer.fresh(KvStateMachine.layer.pipe(Layer.provide(MemoryStore.layer(new MemoryStore.MemoryDisk([1])))))

const apply = (index: number, timestampMs: number, command: Command) =>
  StateMachine.use(({ apply: carryOut }) =>
    carryOut([
      { index: LogIndex(index), term: Term(1), kind: "command", timestampMs, payload: encodeCommand(command) }
    ])
  )

const untilDueMs = (logTimeMs: number) => StateMachine.use(({ untilDueMs: ask }) => Effect.succeed(ask?.(logTimeMs)))

const openSession = (ttlMs: number): Command => ({
  _tag: "OpenSession",
  ttlMs,
  secret: new Uint8Array(16).fill(ttlMs % 251),
  owner: ""
})

describe("the store", () => {
  it.effect("waits for the session that ends first, and for nothing without one", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* untilDueMs(100_000), Infinity)
      yield* apply(1, 100_000, openSession(30_000))
      yield* apply(2, 101_000, openSession(5_000))
      assert.strictEqual(yield* untilDueMs(101_000), 5_000)
      assert.strictEqual(yield* untilDueMs(107_000), -1_000)
    }).pipe(Effect.provide(machine())))

  it.effect("is asked as often as ever while it has a lease, whenever that ends", () =>
    Effect.gen(function*() {
      yield* apply(1, 100_000, { _tag: "GrantLease", ttlMs: 60_000 })
      assert.strictEqual(yield* untilDueMs(100_000), 0)
      yield* apply(2, 100_000, { _tag: "RevokeLease", lease: 1 })
      assert.strictEqual(yield* untilDueMs(100_000), Infinity)
    }).pipe(Effect.provide(machine())))
})
