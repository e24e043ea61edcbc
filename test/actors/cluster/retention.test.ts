/** How messages are found that are kept no longer: once, by one runner, and those too that took their time. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { Snowflake } from "effect/cluster"
import { DueTime } from "../../../src/actors/DueTime.ts"
import { HeldShards, makeEncodedMessageStorage } from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { memory } from "../Stores.ts"
import { withWall } from "../../WallClock.ts"

const hourMs = 3_600_000
const startMs = Date.UTC(2026, 0, 1)

/** The id of a message that is made at a time. */
const idAt = (ms: number, sequence = 0): string =>
  String(Snowflake.make({ machineId: 1 as never, sequence, timestamp: ms }))

/** A storage that keeps messages for eight hours, at a time that the test sets. */
const setUp = Effect.gen(function*() {
  const services = yield* memory
  const time = { ms: startMs }
  const clock = withWall(yield* Clock.Clock, () => time.ms)
  const scans: Array<number> = []
  const watched = Layer.effect(
    KeyValue,
    Effect.map(KeyValue, (kv) =>
      KeyValue.of({
        ...kv,
        scan: (prefix, options) =>
          Effect.tap(kv.scan(prefix, options), ({ entries }) =>
            Effect.sync(() => {
              if (String(prefix).endsWith("/M/")) scans.push(entries.length)
            }))
      }))
  )
  const context = yield* Layer.build(Layer.provideMerge(watched, Layer.merge(services, HeldShards.layer)))
  const open = makeEncodedMessageStorage({ cluster: "kept", keepProcessedFor: "8 hours" }).pipe(
    Effect.provideService(Clock.Clock, clock),
    Effect.provide(context)
  )
  const { encoded, retention } = yield* open
  const send = (id: string, type = "T") =>
    encoded.saveEnvelope({
      envelope: {
        _tag: "Request",
        requestId: id,
        address: { shardId: { group: "default", id: 1 }, entityType: type, entityId: "e" },
        tag: "Do",
        payload: null,
        headers: {}
      },
      primaryKey: `${type}/e/Do/${id}`,
      deliverAt: null
    })
  const answer = (id: string) =>
    encoded.saveReply({ _tag: "WithExit", requestId: id, id: `${id}9`, exit: { _tag: "Success", value: null } })
  const isKept = (id: string) => Effect.map(encoded.repliesFor([id]), (replies) => replies.length > 0)
  const kv = yield* Effect.provide(KeyValue, context)
  return { answer, isKept, kv, open, retention, scans, send, time }
})

it.live("a message that took hours is found when it is over, and looked at seldom until then", () =>
  Effect.scoped(Effect.gen(function*() {
    const { answer, isKept, retention, scans, send, time } = yield* setUp
    const [quick, slow, workflow] = [idAt(startMs), idAt(startMs, 1), idAt(startMs, 2)]
    yield* Effect.forEach([quick, slow], (id) => send(id), { discard: true })
    yield* send(workflow, "Workflow/W")
    yield* Effect.forEach([quick, workflow], answer, { discard: true })
    time.ms = startMs + 5 * hourMs
    yield* answer(slow)
    assert.strictEqual(yield* retention.sweep, 0)
    time.ms = startMs + 9 * hourMs
    assert.strictEqual(yield* retention.sweep, 1)
    assert.deepStrictEqual([yield* isKept(quick), yield* isKept(slow), yield* isKept(workflow)], [false, true, true])
    scans.length = 0
    for (let minute = 1; minute < 4 * 60; minute += 30) {
      time.ms = startMs + 9 * hourMs + minute * 60_000
      assert.strictEqual(yield* retention.sweep, 0)
    }
    assert.strictEqual(scans.reduce((sum, rows) => sum + rows, 0), 0, "nothing is looked at again")
    time.ms = startMs + 14 * hourMs
    assert.strictEqual(yield* retention.sweep, 1)
    assert.deepStrictEqual([yield* isKept(slow), yield* isKept(workflow)], [false, true])
  })))

it.live("a message that waits while others are over is found after its exit", () =>
  Effect.scoped(Effect.gen(function*() {
    const { answer, isKept, retention, send, time } = yield* setUp
    const id = idAt(startMs)
    yield* send(id)
    time.ms = startMs + 100 * hourMs
    assert.strictEqual(yield* retention.sweep, 0)
    yield* answer(id)
    time.ms = startMs + 108 * hourMs
    assert.strictEqual(yield* retention.sweep, 0)
    assert.isTrue(yield* isKept(id))
    time.ms = startMs + 109 * hourMs
    assert.strictEqual(yield* retention.sweep, 1)
  })))

it.live("two runners that sweep at once remove each message once, and a row of nobody is passed over", () =>
  Effect.scoped(Effect.gen(function*() {
    const { answer, kv, open, retention, send, time } = yield* setUp
    const other = yield* open
    const ids = Array.from({ length: 1_000 }, (_, i) => idAt(startMs, i))
    yield* Effect.forEach(ids, (id) => Effect.andThen(send(id), answer(id)), { concurrency: 100, discard: true })
    const [first = ""] = ids
    const { entries } = yield* kv.scan("fx/c/kept/M/", { limit: 1 })
    assert.isTrue(entries[0]?.text.includes(first))
    yield* kv.put(entries[0]?.key ?? "", "no JSON")
    time.ms = startMs + 9 * hourMs
    const removed = yield* Effect.all([retention.sweep, other.retention.sweep], { concurrency: 2 })
    const rest = (yield* retention.sweep) + (yield* other.retention.sweep)
    assert.strictEqual(removed[0] + removed[1] + rest, 999)
    const left = yield* kv.scan("fx/c/kept/")
    // The message of nobody has its row by its entity still.
    assert.strictEqual(left.entries.length, 4)
  })))

it.live("a runner whose clock is wrong removes nothing too early, its own exits included", () =>
  Effect.scoped(Effect.gen(function*() {
    const { answer, isKept, open, send, time } = yield* setUp
    const agreed = { ms: startMs }
    const { encoded, retention } = yield* Effect.provideService(
      open,
      DueTime,
      DueTime.of({ now: Effect.sync(() => agreed.ms) })
    )
    const [first, second] = [idAt(startMs - 1), idAt(startMs - 1, 1)]
    yield* send(first)
    yield* answer(first)
    time.ms = startMs + 1_000 * hourMs
    assert.strictEqual(yield* retention.sweep, 0, "by a clock that is ahead")
    time.ms = startMs - 1_000 * hourMs
    assert.strictEqual(yield* retention.sweep, 0, "by a clock that is behind")
    yield* send(second)
    yield* encoded.saveReply({
      _tag: "WithExit",
      requestId: second,
      id: `${second}9`,
      exit: { _tag: "Success", value: 1 }
    })
    time.ms = startMs + hourMs
    agreed.ms = time.ms
    assert.strictEqual(yield* retention.sweep, 0, "by the right time")
    assert.deepStrictEqual([yield* isKept(first), yield* isKept(second)], [true, true])
    time.ms = startMs + 20 * hourMs
    agreed.ms = time.ms
    assert.strictEqual(yield* retention.sweep, 2, "when both are over")
  })))
