import { assert, describe, it } from "@effect/vitest"
import {
  describeEntries,
  describeEntry,
  describeEvent,
  describeMessage,
  describeOutput,
  describeOutputLines,
  describeState
} from "../../src/raft/Describe.ts"
import type { Message } from "../../src/raft/Message.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { Cluster, entry, logOf } from "./Cluster.ts"

const heartbeat: Message = {
  _tag: "Heartbeat",
  from: NodeId(1),
  to: NodeId(2),
  term: Term(3),
  match: { index: LogIndex(9), term: Term(2) },
  commit: LogIndex(7),
  readRound: 4
}

describe("Describe", () => {
  it("shows entries by place and text, and bytes that are no text by their number", () => {
    assert.strictEqual(describeEntry(entry(7, 3, "put a")), "7@3 \"put a\"")
    assert.strictEqual(describeEntry(entry(8, 3)), "8@3 noop")
    assert.strictEqual(describeEntry({ ...entry(9, 3, "x"), payload: new Uint8Array([0, 255]) }), "9@3 2 bytes")
    assert.strictEqual(describeEntry(entry(9, 3, "x".repeat(25))), "9@3 25 bytes")
    assert.strictEqual(describeEntries([]), "[]")
    assert.strictEqual(describeEntries(logOf([1, 1, 1, 1, 2])), "[1@1 \"1.1\" … 5@2 \"2.5\"]")
  })

  it("shows messages with sender, receiver and term", () => {
    assert.strictEqual(describeMessage(heartbeat), "n1→n2 Heartbeat term 3 match 9@2 commit 7 round 4")
    assert.strictEqual(
      describeEvent({ _tag: "Receive", message: heartbeat }),
      "Receive n1→n2 Heartbeat term 3 match 9@2 commit 7 round 4"
    )
  })

  it("keeps what leaves now apart from what waits for the disk", () => {
    assert.deepEqual(
      describeOutputLines({
        _tag: "Persist",
        persistId: 4,
        hardState: { term: Term(3), votedFor: NodeId(1), commit: LogIndex(0) },
        truncateFrom: LogIndex(5),
        entries: [entry(5, 3)],
        thenSend: [heartbeat]
      }),
      [
        "Persist #4 · term 3 vote n1 commit 0 · truncate from 5 · [5@3 noop]",
        "  then n1→n2 Heartbeat term 3 match 9@2 commit 7 round 4"
      ]
    )
    assert.deepEqual(describeOutputLines({ _tag: "Send", messages: [heartbeat] }), [
      "→ n1→n2 Heartbeat term 3 match 9@2 commit 7 round 4"
    ])
  })

  it("says why a proposal was refused", () => {
    assert.strictEqual(
      describeOutput({ _tag: "Refused", ids: [1, 2], reason: { _tag: "NotLeader", leader: undefined } }),
      "Refused #1 #2 no node leads"
    )
  })

  it("shows a leader with what it knows of its followers", () => {
    const cluster = new Cluster()
    cluster.elect(1)
    assert.strictEqual(
      describeState(cluster.member(1).raft),
      "n1 leader term 1 vote n1 leader n1 commit 1 applied 1 stable 1 log 1..1@1 n2:replicate 1/2 n3:replicate 1/2"
    )
  })
})
