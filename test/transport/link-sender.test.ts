/** What leaves over one connection and when, and when the connection is given up. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { NodeId } from "../../src/raft/Types.ts"
import { appendOf, heartbeat } from "../../src/testing/PeerTransportSuite.ts"
import type { CallTimeout, LinkSenderOptions } from "../../src/transport/rpc/LinkSender.ts"
import { LinkSender } from "../../src/transport/rpc/LinkSender.ts"
import { messageBytes, Outbox } from "../../src/transport/rpc/Outbox.ts"

const beat = (round: number) => heartbeat(NodeId(1), NodeId(2), round)
const oneMessage = messageBytes(beat(1))

type Options = LinkSenderOptions<string>
type Failure = Cause.Cause<string | CallTimeout>

/** A sender whose connection is in the test's hand. */
const make = (options: Partial<Options["limits"]> = {}) => {
  const outbox = new Outbox({ maxMessages: 4, maxBytes: 10_000 })
  const seen = {
    outbox,
    nowMs: 10_000,
    reads: true,
    breaks: false,
    batches: [] as Array<number>,
    taken: () => undefined as void,
    questions: [] as Array<Parameters<Options["ask"]>[0]>,
    answersMs: [] as Array<number>,
    failures: [] as Array<Failure>
  }
  const sender = new LinkSender<string>(outbox, {
    limits: { askMs: 500, callTimeoutMs: 2_000, maxBatchBytes: 10_000, ...options },
    monotonicMs: () => seen.nowMs,
    deliver: (messages, onTaken) => {
      if (seen.breaks) throw new Error("no such message")
      seen.batches.push(messages.length)
      seen.taken = onTaken
      return seen.reads
    },
    ask: (done) => seen.questions.push(done),
    onAnswer: (ms) => seen.answersMs.push(ms),
    onFailed: (cause) => seen.failures.push(cause)
  })
  return Object.assign(seen, { sender })
}

/** What is sent at the end of this go of the program has been sent. */
const sent = Effect.callback<void>((resume) => process.nextTick(() => resume(Effect.void)))

const late = { _tag: "CallTimeout", ms: 2_000 }

describe("the sender of a link", () => {
  it.effect("sends what one go of the program gives it as one batch, in order", () =>
    Effect.gen(function*() {
      const link = make()
      link.outbox.push(beat(1))
      link.outbox.push(appendOf(NodeId(1), NodeId(2), 5, []))
      link.outbox.push(beat(2))
      assert.deepStrictEqual(link.batches, [])
      yield* sent
      assert.deepStrictEqual(link.batches, [3])
      link.outbox.push(beat(3))
      yield* sent
      assert.deepStrictEqual(link.batches, [3, 1])
    }))

  it.effect("sends what waits at once when it is asked to, and nothing twice", () =>
    Effect.gen(function*() {
      const link = make()
      link.sender.flush()
      link.outbox.push(beat(1))
      link.outbox.push(beat(2))
      link.sender.flush()
      assert.deepStrictEqual(link.batches, [2])
      link.outbox.push(beat(3))
      yield* sent
      assert.deepStrictEqual(link.batches, [2, 1])
      link.reads = false
      link.outbox.push(beat(4))
      link.sender.flush()
      link.outbox.push(beat(5))
      link.sender.flush()
      assert.deepStrictEqual(link.batches, [2, 1, 1], "the peer does not read")
    }))

  it.effect("sends more than one batch holds in several", () =>
    Effect.gen(function*() {
      const link = make({ maxBatchBytes: 2 * oneMessage })
      for (let round = 1; round <= 3; round++) link.outbox.push(beat(round))
      yield* sent
      assert.deepStrictEqual(link.batches, [2, 1])
    }))

  it.effect("leaves messages in the outbox, which is bounded, while the peer does not read", () =>
    Effect.gen(function*() {
      const link = make()
      link.reads = false
      link.outbox.push(beat(0))
      yield* sent
      for (let round = 1; round <= 6; round++) link.outbox.push(beat(round))
      yield* sent
      assert.deepStrictEqual([link.batches, link.outbox.size, link.outbox.dropped], [[1], 4, 2])
      link.reads = true
      link.taken()
      assert.deepStrictEqual([link.batches, link.outbox.size], [[1, 4], 0])
    }))

  it.effect("asks behind a batch, one question at a time and no more often than every askMs", () =>
    Effect.gen(function*() {
      const link = make()
      const beats = (ms: number) =>
        Effect.suspend(() => {
          link.nowMs += ms
          link.outbox.push(beat(1))
          return sent
        })
      yield* beats(0)
      yield* beats(600)
      assert.strictEqual(link.questions.length, 1)
      link.questions[0]?.(Exit.void)
      assert.deepStrictEqual(link.answersMs, [600])
      yield* beats(0)
      assert.strictEqual(link.questions.length, 2)
      link.questions[1]?.(Exit.void)
      yield* beats(499)
      assert.strictEqual(link.questions.length, 2)
      yield* beats(1)
      assert.strictEqual(link.questions.length, 3)
    }))

  it.effect("gives the connection up, once, when a question has no answer in time", () =>
    Effect.gen(function*() {
      const link = make()
      link.outbox.push(beat(1))
      yield* sent
      link.nowMs += 2_000
      link.sender.look()
      assert.deepStrictEqual(link.failures, [])
      link.nowMs += 1
      // A heartbeat that is due notices it as well as the look does.
      link.outbox.push(beat(2))
      yield* sent
      link.sender.look()
      assert.deepStrictEqual([link.batches, link.failures.length], [[1], 1])
      assert.include(Cause.squash(link.failures[0] as Failure), late)
    }))

  it.effect("gives the connection up when the peer does not read in time", () =>
    Effect.gen(function*() {
      const link = make()
      link.reads = false
      link.outbox.push(beat(1))
      yield* sent
      assert.strictEqual(link.questions.length, 0)
      link.nowMs += 2_001
      link.sender.look()
      assert.include(Cause.squash(link.failures[0] as Failure), late)
    }))

  it.effect("gives the connection up for a refusal, and for messages that cannot be encoded", () =>
    Effect.gen(function*() {
      const link = make()
      link.outbox.push(beat(1))
      yield* sent
      link.questions[0]?.(Exit.fail("refused"))
      assert.deepStrictEqual(link.failures, [Cause.fail("refused")])
      const broken = make()
      broken.breaks = true
      broken.outbox.push(beat(1))
      yield* sent
      assert.isTrue(Cause.hasDies(broken.failures[0] as Failure))
    }))

  it.effect("does nothing any more once it was stopped", () =>
    Effect.gen(function*() {
      const link = make()
      link.outbox.push(beat(1))
      yield* sent
      link.outbox.push(beat(2))
      link.sender.stop()
      link.outbox.push(beat(3))
      yield* sent
      link.nowMs += 10_000
      link.sender.look()
      link.questions[0]?.(Exit.fail("the link is closed"))
      assert.deepStrictEqual([link.batches, link.failures, link.outbox.size], [[1], [], 2])
    }))
})
