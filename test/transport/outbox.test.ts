import { assert, describe, it } from "@effect/vitest"
import type { Message } from "../../src/raft/Message.ts"
import { NodeId } from "../../src/raft/Types.ts"
import { sampleEntry } from "../../src/testing/LogStoreSuite.ts"
import { appendOf, heartbeat } from "../../src/testing/PeerTransportSuite.ts"
import { messageBytes, Outbox } from "../../src/transport/rpc/Outbox.ts"

const beat = (round: number): Message => heartbeat(NodeId(1), NodeId(2), round)
const bulk = (index: number, bytes: number): Message =>
  appendOf(NodeId(1), NodeId(2), index, [sampleEntry(index, 1, "x".repeat(bytes))])

const names = (messages: ReadonlyArray<Message>) =>
  messages.map((message) =>
    message._tag === "AppendRequest"
      ? Number(message.prev.index) + 1
      : message._tag === "Heartbeat"
      ? message.readRound
      : 0
  )

describe("Outbox", () => {
  it("gives what waits, oldest first", () => {
    const outbox = new Outbox({ maxMessages: 10, maxBytes: 10_000 })
    for (let i = 1; i <= 5; i++) outbox.push(beat(i))
    assert.deepStrictEqual(names(outbox.take(10_000)), [1, 2, 3, 4, 5])
    assert.strictEqual(outbox.size, 0)
  })

  it("keeps the newest of too many messages, and counts the others", () => {
    const outbox = new Outbox({ maxMessages: 3, maxBytes: 10_000 })
    for (let i = 1; i <= 7; i++) outbox.push(beat(i))
    assert.strictEqual(outbox.dropped, 4)
    assert.deepStrictEqual(names(outbox.take(10_000)), [5, 6, 7])
  })

  it("keeps the newest of too many bytes, but at least one message", () => {
    const outbox = new Outbox({ maxMessages: 100, maxBytes: 2_500 })
    for (let i = 1; i <= 4; i++) outbox.push(bulk(i, 1_000))
    assert.strictEqual(outbox.dropped, 2)
    outbox.push(bulk(5, 50_000))
    assert.deepStrictEqual(names(outbox.take(1)), [5])
    outbox.push(bulk(6, 1_000))
    outbox.push(bulk(7, 1_000))
    assert.strictEqual(outbox.size, 2)
  })

  it("cuts batches at their limit, and gives a larger message alone", () => {
    const outbox = new Outbox({ maxMessages: 100, maxBytes: 1_000_000 })
    for (const [index, bytes] of [[1, 1_000], [2, 1_000], [3, 9_000], [4, 10], [5, 10]] as const) {
      outbox.push(bulk(index, bytes))
    }
    const limit = 2 * messageBytes(bulk(1, 1_000))
    assert.deepStrictEqual(names(outbox.take(limit)), [1, 2])
    assert.deepStrictEqual(names(outbox.take(limit)), [3])
    assert.deepStrictEqual(names(outbox.take(limit)), [4, 5])
  })

  it("tells of each message, and has nothing to give when it is empty", () => {
    const outbox = new Outbox({ maxMessages: 10, maxBytes: 10_000 })
    let told = 0
    outbox.onMessage = () => told += 1
    assert.deepStrictEqual(names(outbox.take(10_000)), [])
    outbox.push(beat(8))
    outbox.push(beat(9))
    assert.strictEqual(told, 2)
    assert.deepStrictEqual(names(outbox.take(10_000)), [8, 9])
  })

  it("forgets what waits on demand, and counts it", () => {
    const outbox = new Outbox({ maxMessages: 10, maxBytes: 10_000 })
    outbox.push(beat(1))
    outbox.push(beat(2))
    outbox.clear()
    assert.deepStrictEqual([outbox.size, outbox.dropped], [0, 2])
  })
})
