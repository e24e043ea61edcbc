/** When a watch whose caller makes most changes itself asks for more, and when it rests before that. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { bytesOf, KeyValueEntry } from "../../src/client/Entry.ts"
import { Position } from "../../src/client/Position.ts"
import type { WatchNotice } from "../../src/client/WatchNotice.ts"
import { PutEvent } from "../../src/client/WatchNotice.ts"
import { busyMs, restMs, WatchRest } from "../../src/client/WatchRest.ts"
import { someCluster } from "./Identities.ts"

const position = new Position(someCluster, 1)

const put = (key: string) =>
  new PutEvent(
    bytesOf(key),
    new KeyValueEntry(bytesOf(key), { createRevision: 1, modRevision: 1, version: 1, lease: 0, value: bytesOf("v") }),
    undefined
  )

const changes = (revision: number, ...keys: ReadonlyArray<string>): WatchNotice => ({
  _tag: "Changes",
  revision,
  logTimeMs: 0,
  position,
  events: keys.map(put)
})

const progress = (revision: number): WatchNotice => ({ _tag: "Progress", revision, position })
const began = (revision: number): WatchNotice => ({ _tag: "Began", revision, position })

/** Changes of keys that begin with "own" are the caller's. */
const make = () => {
  const asked: Array<string> = []
  const rest = new WatchRest(({ keyText }) => {
    asked.push(keyText)
    return keyText.startsWith("own")
  })
  return { rest, asked }
}

/** How long a rest takes that nothing ends, in milliseconds. */
const length = Effect.fnUntraced(function*(rest: WatchRest) {
  const clock = yield* Clock.Clock
  const beganMs = clock.currentTimeMillisUnsafe()
  const resting = yield* Effect.forkChild(
    Effect.map(rest.awaitEnd, () => clock.currentTimeMillisUnsafe() - beganMs),
    { startImmediately: true }
  )
  yield* TestClock.adjust(restMs)
  return yield* Fiber.join(resting)
})

it.effect("begins after own changes alone, and ends by itself", () =>
  Effect.gen(function*() {
    const { rest } = make()
    assert.strictEqual(yield* length(rest), 0, "before anything came")
    yield* rest.saw([began(1)])
    assert.strictEqual(yield* length(rest), 0)
    yield* rest.saw([changes(1, "own/1"), changes(2, "own/2", "own/3"), progress(2)])
    assert.strictEqual(yield* length(rest), restMs)
    yield* rest.saw([changes(3, "own/4"), progress(3)])
    assert.strictEqual(yield* length(rest), restMs)
    yield* rest.saw([progress(4)])
    assert.strictEqual(yield* length(rest), 0, "no change came")
  }))

it.effect("does not begin for a second after a change of another process, and each change is asked about", () =>
  Effect.gen(function*() {
    const { asked, rest } = make()
    yield* rest.saw([changes(1, "own/1", "other", "own/2"), changes(2, "own/3"), progress(2)])
    assert.deepStrictEqual(asked, ["own/1", "other", "own/2", "own/3"])
    assert.strictEqual(yield* length(rest), 0)
    yield* TestClock.adjust(busyMs - restMs - 1)
    yield* rest.saw([changes(3, "own/4"), progress(3)])
    assert.strictEqual(yield* length(rest), 0)
    yield* rest.saw([changes(4, "own/5"), progress(4)])
    assert.strictEqual(yield* length(rest), restMs)
  }))

it.effect("ends when the caller expects a revision, and none begins before that has come", () =>
  Effect.gen(function*() {
    const { rest } = make()
    yield* rest.saw([changes(1, "own/1"), progress(1)])
    const resting = yield* Effect.forkChild(rest.awaitEnd, { startImmediately: true })
    rest.expects(5)
    yield* Fiber.join(resting)
    yield* rest.saw([changes(4, "own/2"), progress(4)])
    assert.strictEqual(yield* length(rest), 0)
    yield* rest.saw([changes(5, "own/3"), progress(5)])
    assert.strictEqual(yield* length(rest), restMs)
  }))

it.effect("ends when progress is requested, and none begins before a part without changes has come", () =>
  Effect.gen(function*() {
    const { rest } = make()
    yield* rest.saw([changes(1, "own/1"), progress(1)])
    const resting = yield* Effect.forkChild(rest.awaitEnd, { startImmediately: true })
    rest.progressRequested()
    yield* Fiber.join(resting)
    yield* rest.saw([changes(2, "own/2"), progress(2)])
    assert.strictEqual(yield* length(rest), 0)
    // The watch has begun at another node, which is asked for progress again.
    yield* rest.saw([began(3)])
    yield* rest.saw([changes(3, "own/3"), progress(3)])
    assert.strictEqual(yield* length(rest), 0)
    yield* rest.saw([progress(4)])
    yield* rest.saw([changes(5, "own/4"), progress(5)])
    assert.strictEqual(yield* length(rest), restMs)
  }))
