/** Entries that have left the core's memory: read back in parts, the next one while one is applied. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scheduler } from "effect"
import * as Applier from "../../src/node/Applier.ts"
import { Inbox } from "../../src/node/Inbox.ts"
import type { Input } from "../../src/node/Input.ts"
import { Markers } from "../../src/node/Markers.ts"
import type { StateMachine } from "../../src/machine/StateMachine.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, origin, Term } from "../../src/raft/Types.ts"
import type { LogStore } from "../../src/storage/LogStore.ts"
import type { StateStore } from "../../src/storage/StateStore.ts"
import { StorageIoError } from "../../src/storage/StorageError.ts"

const count = 1_200

const entryOf = (index: number): Entry => ({
  index: LogIndex(index),
  term: Term(1),
  kind: "command",
  timestampMs: 0,
  payload: new Uint8Array(8)
})

const broken = new StorageIoError({ operation: "read", path: "raft_log", cause: "the disk is gone" })

/** An applier whose machine waits before each batch that `hold` names, and what it did. */
const make = Effect.fnUntraced(function*(readFails: (from: number) => boolean = () => false) {
  const gate = yield* Latch.make(true)
  const done: Array<string> = []
  const applied: Array<number> = []
  let last = count
  const log = {
    read: (from: LogIndex, through: LogIndex) =>
      Effect.suspend(() => {
        done.push(`read ${from}`)
        if (readFails(from)) return Effect.fail(broken)
        const end = Math.min(through, last)
        return Effect.succeed(Array.from({ length: Math.max(0, end - from + 1) }, (_, i) => entryOf(from + i)))
      })
  } as unknown as LogStore["Service"]
  const machine = {
    recovered: origin,
    apply: (entries: ReadonlyArray<Entry>) =>
      Effect.suspend(() => {
        done.push(`apply ${entries[0]?.index}`)
        return Effect.map(gate.await, () => {
          applied.push(...entries.map(({ index }) => index))
          return entries.map(() => new Uint8Array(0))
        })
      })
  } as unknown as StateMachine["Service"]
  const inbox = new Inbox(10, new Scheduler.MixedScheduler().makeDispatcher())
  const reports: Array<number> = []
  inbox.open((inputs: ReadonlyArray<Input>) => {
    for (const input of inputs) {
      if (input._tag === "AppliedBatch") reports.push(input.entries[input.entries.length - 1]?.index ?? 0)
    }
  }, () => {})
  const stopwatch = { nowMs: () => 0, took: () => {} }
  const applier = yield* Applier.make(log, machine, new Markers({} as StateStore["Service"]), inbox, stopwatch)
  const running = yield* Effect.forkChild(applier.work.run)
  yield* Effect.yieldNow
  const begin = () => {
    applier.work.handOver({ _tag: "Apply", from: LogIndex(1), through: LogIndex(count), entries: undefined })
    applier.work.start()
  }
  const endLogAt = (index: number) => {
    last = index
  }
  return { applied, applier, begin, done, endLogAt, gate, reports, running }
})

const numbers = Array.from({ length: count }, (_, i) => i + 1)

it.effect("are applied in order, each once, and read while those before them are applied", () =>
  Effect.gen(function*() {
    const { applied, begin, done, gate, reports } = yield* make()
    yield* gate.close
    begin()
    yield* Effect.yieldNow
    assert.deepStrictEqual(done, ["read 1", "read 513", "apply 1"])
    yield* gate.open
    while (applied.length < count) yield* Effect.yieldNow
    assert.deepStrictEqual(applied, numbers)
    assert.deepStrictEqual(reports, [512, 1_024, count])
    assert.deepStrictEqual(done, ["read 1", "read 513", "apply 1", "read 1025", "apply 513", "apply 1025"])
  }))

it.effect("are dropped, read ahead or not, when a snapshot takes their place", () =>
  Effect.gen(function*() {
    const { applied, applier, begin, done, endLogAt, gate, running } = yield* make()
    yield* gate.close
    begin()
    yield* Effect.yieldNow
    const installing = yield* Effect.forkChild(
      applier.whilePaused(Effect.sync(() => {
        endLogAt(0)
        applier.skipUnsafe(LogIndex(1_500))
      }))
    )
    yield* gate.open
    yield* Fiber.join(installing)
    for (let i = 0; i < 20; i++) yield* Effect.yieldNow
    assert.isFalse(applied.includes(1_025))
    assert.strictEqual(applier.applied(), 1_500)
    assert.isFalse(done.includes("apply 1025"))
    assert.strictEqual(running.pollUnsafe(), undefined)
  }))

it.effect("stop the node when they cannot be read, or are not there, and what was read before is applied", () =>
  Effect.gen(function*() {
    const failing = yield* make((from) => from === 1_025)
    failing.begin()
    assert.deepStrictEqual(yield* Effect.flip(Fiber.join(failing.running)), broken)
    assert.deepStrictEqual(failing.applied.slice(0, 512), numbers.slice(0, 512))
    const missing = yield* make()
    missing.endLogAt(1_024)
    missing.begin()
    const error = yield* Effect.flip(Fiber.join(missing.running))
    assert.include(String(error), "committed entry 1025 is missing")
    assert.deepStrictEqual(missing.applied, numbers.slice(0, 1_024))
  }))

it.effect("end with the node, also while some are read ahead", () =>
  Effect.gen(function*() {
    const { applied, begin, done, gate, running } = yield* make()
    yield* gate.close
    begin()
    yield* Effect.yieldNow
    assert.include(done, "read 513")
    yield* Fiber.interrupt(running)
    assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(running)))
    yield* gate.open
    for (let i = 0; i < 20; i++) yield* Effect.yieldNow
    assert.deepStrictEqual([applied.length, done.length], [0, 3])
  }))
