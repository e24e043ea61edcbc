/** Parts on their way to watches: what they hold is bounded, for all and for each connection, and is given back once. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Part } from "../../src/server/Unconfirmed.ts"
import { Recipient, Unconfirmed } from "../../src/server/Unconfirmed.ts"

const of = (maxBytes: number) => {
  const seen: Array<number> = []
  const unconfirmed = new Unconfirmed(maxBytes, (bytes) => void seen.push(bytes))
  /** Asks for room; the parts that got some are in `parts`. */
  const ask = (recipient: Recipient, bytes: number, parts: Array<Part>) =>
    Effect.forkChild(unconfirmed.reserve(recipient, bytes, (part) => void parts.push(part)), { startImmediately: true })
  return { ask, seen, unconfirmed }
}

it.effect("one connection has a quarter of the room, and a part alone has room whatever its size", () =>
  Effect.gen(function*() {
    const { ask, unconfirmed } = of(1_000)
    const [slow, other] = [new Recipient(), new Recipient()]
    const parts: Array<Part> = []
    yield* ask(slow, 600, parts)
    assert.lengthOf(parts, 1)
    const second = yield* ask(slow, 1, parts)
    assert.isUndefined(second.pollUnsafe(), "its share is used up")
    assert.isTrue(unconfirmed.isFull)
    yield* ask(other, 250, parts)
    assert.lengthOf(parts, 2)
    const third = yield* ask(new Recipient(), 200, parts)
    assert.isUndefined(third.pollUnsafe(), "there is room for 150 bytes")
    assert.strictEqual(unconfirmed.bytes, 850)
    unconfirmed.drop(parts[0] as Part)
    yield* Fiber.join(second)
    yield* Fiber.join(third)
    assert.strictEqual(unconfirmed.bytes, 451)
    assert.isFalse(unconfirmed.isFull)
  }))

it.effect("what was sent before an acknowledged part is acknowledged too, in the order of sending", () =>
  Effect.gen(function*() {
    const { ask, seen, unconfirmed } = of(100_000)
    const [one, other] = [new Recipient(), new Recipient()]
    const parts: Array<Part> = []
    for (const recipient of [one, one, one, other]) yield* ask(recipient, 100, parts)
    const [first, second, third, elsewhere] = parts as [Part, Part, Part, Part]
    unconfirmed.sent(second, 80)
    unconfirmed.sent(elsewhere, 100)
    unconfirmed.sent(first, 90)
    assert.strictEqual(unconfirmed.bytes, 370)
    unconfirmed.acknowledged(second)
    assert.strictEqual(unconfirmed.bytes, 290, "the second was sent first")
    unconfirmed.acknowledged(first)
    assert.strictEqual(unconfirmed.bytes, 200, "the third was not told yet, and the other connection's is its own")
    unconfirmed.drop(third)
    unconfirmed.drop(third)
    unconfirmed.sent(third, 500)
    unconfirmed.acknowledged(elsewhere)
    assert.strictEqual(unconfirmed.bytes, 0)
    assert.strictEqual(one.bytes + other.bytes, 0)
    assert.strictEqual(seen.at(-1), 0)
  }))
