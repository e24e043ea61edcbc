/** What a sync that covers several writes lets a node say. */
import { assert, it } from "@effect/vitest"
import { Effect, Latch, Queue, Scheduler } from "effect"
import { Inbox } from "../../src/node/Inbox.ts"
import type { Input } from "../../src/node/Input.ts"
import * as Persister from "../../src/node/Persister.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Persist } from "../../src/raft/Output.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import type { PeerTransport } from "../../src/transport/PeerTransport.ts"

const accepted = (term: number, match: number): Message => ({
  _tag: "AppendAccepted",
  from: NodeId(3),
  to: NodeId(term),
  term: Term(term),
  match: LogIndex(match),
  voter: true
})

const persist = (persistId: number, thenSend: ReadonlyArray<Message>, truncateFrom?: number): Persist => ({
  _tag: "Persist",
  persistId,
  hardState: undefined,
  truncateFrom: truncateFrom === undefined ? undefined : LogIndex(truncateFrom),
  entries: [{
    index: LogIndex(truncateFrom ?? persistId),
    term: Term(1),
    kind: "noop",
    timestampMs: 0,
    payload: new Uint8Array(0)
  }],
  thenSend
})

// Found by the simulation of whole nodes: entries 11 and 12, and their removal from 9 on, were one write.
it.effect("acknowledges no entry that a later write of the same sync removes", () =>
  Effect.gen(function*() {
    const sent: Array<Message> = []
    const busy = yield* Latch.make(false)
    const never = Effect.never
    const log = LogStore.of({
      recovered: {
        hardState: { term: Term(0), votedFor: undefined, commit: LogIndex(0) },
        confState: { voters: [] },
        compacted: origin,
        lastIndex: LogIndex(0),
        bytes: 0,
        lastTimestampMs: 0,
        termRuns: []
      },
      append: () => busy.await,
      read: () => Effect.succeed([]),
      compact: () => Effect.void,
      reset: () => Effect.void,
      failed: never
    })
    const transport = {
      sendUnsafe: (messages: ReadonlyArray<Message>) => void sent.push(...messages)
    } as unknown as PeerTransport["Service"]
    const posted = yield* Queue.unbounded<Input>()
    const inbox = new Inbox(100, (yield* Scheduler.Scheduler).makeDispatcher())
    inbox.open((inputs) => Queue.offerAllUnsafe(posted, inputs), (defect) => assert.fail(String(defect)))
    const persister = Persister.make(log, transport, inbox, { nowMs: () => 0, took: () => undefined })
    persister.handOver(persist(8, [accepted(1, 8)]))
    yield* Effect.forkChild(persister.run, { startImmediately: true })
    // These wait for the disk together.
    persister.handOver(persist(10, [accepted(1, 8), accepted(1, 10)]))
    persister.handOver(persist(11, [accepted(2, 9)], 9))
    persister.start()
    yield* busy.open
    while ((yield* Queue.take(posted))._tag === "Persisted") {
      if (sent.some((message) => message.term === 2)) break
    }
    assert.deepEqual(
      sent.map((message) => message._tag === "AppendAccepted" ? [message.term, message.match] : []),
      [[1, 8], [1, 8], [2, 9]].map(([term, match]) => [Term(term as number), LogIndex(match as number)])
    )
  }))
