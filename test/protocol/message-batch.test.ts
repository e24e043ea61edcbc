/** What nodes say to each other: every kind of message there and back, its very bytes, and what is refused. */
import { assert, describe, it } from "@effect/vitest"
import { CodecError } from "../../src/bytes/CodecError.ts"
import { decodeMessages, encodeMessages } from "../../src/protocol/MessageBatch.ts"
import { maxTerm } from "../../src/raft/Claims.ts"
import type { Message } from "../../src/raft/Message.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"

const envelope = { from: NodeId(1), to: NodeId(2), term: Term(3) }
const last = { index: LogIndex(4), term: Term(2) }
const far = LogIndex(2 ** 40 + 1)

/** One of each kind, and of each form that a kind has, with what follows `kind · from · to · term` on the wire. */
const all: ReadonlyArray<readonly [message: Message, kind: string, rest: string]> = [
  [{ ...envelope, _tag: "PreVoteRequest", last }, "00", "0000000000000004 0000000000000002"],
  [{ ...envelope, _tag: "PreVoteResponse", granted: true }, "01", "01"],
  [{ ...envelope, _tag: "VoteRequest", last, transfer: true }, "02", "0000000000000004 0000000000000002 01"],
  [{ ...envelope, _tag: "VoteResponse", granted: false }, "03", "00"],
  [
    { ...envelope, _tag: "AppendRequest", prev: last, commit: far, entries: [] },
    "04",
    "0000000000000004 0000000000000002 0000010000000001 00000000"
  ],
  [{ ...envelope, _tag: "AppendAccepted", match: far, voter: true }, "05", "0000010000000001 01"],
  [
    { ...envelope, _tag: "AppendRejected", rejected: LogIndex(9), hint: last, lastIndex: far, voter: false },
    "06",
    "0000000000000009 0000000000000004 0000000000000002 0000010000000001 00"
  ],
  [
    { ...envelope, _tag: "Heartbeat", match: last, commit: far, readRound: 7 },
    "07",
    "0000000000000004 0000000000000002 0000010000000001 0000000000000007"
  ],
  [{ ...envelope, _tag: "HeartbeatResponse", readRound: 7, voter: true }, "08", "0000000000000007 01"],
  [{ ...envelope, _tag: "ReadIndexRequest", readId: 8 }, "09", "0000000000000008"],
  [{ ...envelope, _tag: "ReadIndexResponse", readId: 8, index: far }, "0a", "0000000000000008 01 0000010000000001"],
  [{ ...envelope, _tag: "ReadIndexResponse", readId: 8, index: undefined }, "0a", "0000000000000008 00"],
  [{ ...envelope, _tag: "TimeoutNow" }, "0b", ""],
  [{ ...envelope, _tag: "JoinRequest", joinId: 5 }, "0c", "0000000000000005"],
  [
    { ...envelope, _tag: "JoinResponse", joinId: 5, fresh: false, learnThrough: far },
    "0d",
    "0000000000000005 00 01 0000010000000001"
  ],
  [
    { ...envelope, _tag: "JoinResponse", joinId: 5, fresh: true, learnThrough: undefined },
    "0d",
    "0000000000000005 01 00"
  ]
]

const entries = [1, 2].map((index) => ({
  index: LogIndex(index),
  term: Term(3),
  kind: "command" as const,
  timestampMs: 1_000 + index,
  payload: new Uint8Array(5).fill(index)
}))

const append: Message = { ...envelope, _tag: "AppendRequest", prev: origin, commit: LogIndex(0), entries }

const problem = (bytes: Uint8Array): string => {
  const decoded = decodeMessages(bytes)
  return decoded instanceof CodecError ? decoded.message : assert.fail("it was taken")
}

describe("a batch of messages", () => {
  for (const [message, kind, rest] of all) {
    it(`has a ${message._tag} as it is written down`, () => {
      const bytes = encodeMessages([message])
      const head = `${kind} 0000000000000001 0000000000000002 0000000000000003`
      assert.strictEqual(Buffer.from(bytes).toString("hex"), `${head}${rest}`.replaceAll(" ", ""))
      assert.deepStrictEqual(decodeMessages(bytes), [message])
    })
  }

  it("has entries as their records", () => {
    const decoded = decodeMessages(encodeMessages([append]))
    assert.isFalse(decoded instanceof CodecError)
    const [message] = decoded as ReadonlyArray<Message>
    if (message?._tag !== "AppendRequest") return assert.fail("it is another kind")
    assert.deepStrictEqual(
      message.entries.map(({ index, kind, payload, timestampMs, term }) => ({
        index,
        kind,
        payload: [...payload],
        timestampMs,
        term
      })),
      entries.map(({ index, kind, payload, timestampMs, term }) => ({
        index,
        kind,
        payload: [...payload],
        timestampMs,
        term
      }))
    )
  })

  it("keeps the order of its messages, and may be empty", () => {
    const messages = all.map(([message]) => message)
    assert.deepStrictEqual(decodeMessages(encodeMessages(messages)), messages)
    assert.deepStrictEqual(decodeMessages(encodeMessages([])), [])
  })

  it("that is cut short anywhere is refused", () => {
    for (const message of [...all.map(([message]) => message), append]) {
      const whole = encodeMessages([message])
      for (let length = 1; length < whole.byteLength; length++) {
        assert.isTrue(
          decodeMessages(whole.subarray(0, length)) instanceof CodecError,
          `${message._tag}, ${length} bytes`
        )
      }
    }
  })

  it("with a kind, node, term, flag or number that cannot be is refused", () => {
    const heartbeat: Message = { ...envelope, _tag: "Heartbeat", match: origin, commit: LogIndex(1), readRound: 1 }
    const granted = encodeMessages([{ ...envelope, _tag: "VoteResponse", granted: true }])
    assert.include(problem(Uint8Array.of(14, ...new Uint8Array(24))), "no kind 14")
    assert.include(problem(encodeMessages([{ ...heartbeat, from: 0 as NodeId }])), "nodes count from 1")
    assert.include(problem(encodeMessages([{ ...heartbeat, term: maxTerm + 1 as Term }])), "is beyond")
    assert.include(problem(granted.fill(2, 25)), "message 1")
    assert.include(problem(encodeMessages([heartbeat]).fill(0xff, 25, 33)), "message 1")
  })

  it("with entries that are damaged or not consecutive is refused", () => {
    const [first, second] = entries as [typeof entries[0], typeof entries[0]]
    assert.include(problem(encodeMessages([{ ...append, entries: [second, first] }])), "not consecutive")
    const bytes = encodeMessages([append])
    bytes[bytes.byteLength - 1] = 9
    assert.include(problem(bytes), "checksum")
  })
})
