/** When the owner takes its turns, and what shares one. */
import { assert, it } from "@effect/vitest"
import type { Scheduler } from "effect"
import { Inbox } from "../../src/node/Inbox.ts"
import type { Input } from "../../src/node/Input.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"

/** Runs what is scheduled when the test says that the event loop came round. */
class Rounds implements Scheduler.SchedulerDispatcher {
  private tasks: Array<() => void> = []

  scheduleTask(task: () => void): void {
    this.tasks.push(task)
  }

  flush(): void {
    for (const task of this.tasks.splice(0)) task()
  }
}

const alarm: Input = { _tag: "Alarm" }
const applied = (index: number): Input => ({ _tag: "Applied", index: LogIndex(index) })

const fail = (defect: unknown): void => {
  throw defect
}

const start = (limit = 100) => {
  const rounds = new Rounds()
  const inbox = new Inbox(limit, rounds)
  const turns: Array<ReadonlyArray<string>> = []
  const note = (inputs: ReadonlyArray<Input>) => void turns.push(inputs.map(({ _tag }) => _tag))
  return { inbox, note, rounds, turns }
}

it("gives what a part of the node reports a turn at once, and what callers ask for one together", () => {
  const { inbox, note, rounds, turns } = start()
  inbox.open(note, fail)
  inbox.post(alarm)
  assert.deepStrictEqual(turns.splice(0), [["Alarm"]])
  inbox.offer(applied(1))
  inbox.offer(applied(2))
  assert.deepStrictEqual(turns, [])
  rounds.flush()
  assert.deepStrictEqual(turns.splice(0), [["Applied", "Applied"]])
  inbox.offer(applied(3))
  inbox.post(alarm)
  assert.deepStrictEqual(turns, [], "a turn is due that both can share")
  rounds.flush()
  assert.deepStrictEqual(turns, [["Applied", "Alarm"]])
})

it("takes a packet of messages as one turn", () => {
  const { inbox, note, turns } = start()
  const heartbeat = { _tag: "Heartbeat", match: origin, commit: LogIndex(0), readRound: 1 } as const
  const message = { ...heartbeat, from: NodeId(1), to: NodeId(2), term: Term(1) }
  inbox.open(note, fail)
  inbox.deliver({ messages: [message, message, message], connection: 7 })
  assert.deepStrictEqual(turns, [["Receive", "Receive", "Receive"]])
})

it("forgets what peers said and no turn has taken, once it is known that they may be of another cluster", () => {
  const { inbox, note, turns } = start()
  const heartbeat = { _tag: "Heartbeat", match: origin, commit: LogIndex(0), readRound: 1 } as const
  inbox.deliver({ messages: [{ ...heartbeat, from: NodeId(1), to: NodeId(2), term: Term(1) }], connection: 7 })
  inbox.post(alarm)
  inbox.dropReceived()
  inbox.open(note, fail)
  assert.deepStrictEqual(turns, [["Alarm"]])
})

it("has what comes in the middle of a turn in the next one, and lets the event loop go on now and then", () => {
  const { inbox, rounds, turns } = start()
  let left = 40
  inbox.open((inputs) => {
    turns.push(inputs.map(({ _tag }) => _tag))
    const before = turns.length
    if (left-- > 0) inbox.post(alarm)
    assert.strictEqual(turns.length, before, "a turn in a turn")
  }, fail)
  inbox.post(alarm)
  const before = turns.length
  assert.isBelow(before, 40, "sockets and timers wait")
  inbox.post(alarm)
  assert.strictEqual(turns.length, before, "they still do")
  for (let round = 0; round < 40; round++) rounds.flush()
  assert.strictEqual(turns.flat().length, 42)
})

it("takes no turn after one that threw, tells of it, and keeps what waits for whoever closes it", () => {
  const { inbox, rounds, turns } = start()
  const defects: Array<unknown> = []
  inbox.open((inputs) => {
    turns.push(inputs.map(({ _tag }) => _tag))
    inbox.post(applied(1))
    throw new Error("an invariant")
  }, (defect) => defects.push(defect))
  inbox.post(alarm)
  assert.isTrue(inbox.offer(applied(2)))
  rounds.flush()
  assert.deepStrictEqual(turns, [["Alarm"]])
  assert.deepStrictEqual(defects, [new Error("an invariant")])
  assert.deepStrictEqual(inbox.close(), [applied(1), applied(2)])
  assert.isFalse(inbox.offer(applied(3)))
})

it("bounds what callers and peers may have waiting", () => {
  const { inbox, note, rounds, turns } = start(2)
  inbox.open(note, fail)
  assert.deepStrictEqual([1, 2, 3].map((index) => inbox.offer(applied(index))), [true, true, false])
  rounds.flush()
  assert.strictEqual(turns.flat().length, 2)
})

it("measures once a turn how long the oldest call has waited", () => {
  const rounds = new Rounds()
  const took: Array<number> = []
  let nowMs = 0
  const inbox = new Inbox(100, rounds, { nowMs: () => nowMs, took: (ms) => took.push(ms) })
  inbox.open(() => undefined, fail)
  inbox.post(alarm)
  inbox.offer(applied(1))
  nowMs = 3
  inbox.offer(applied(2))
  nowMs = 5
  rounds.flush()
  inbox.post(alarm)
  assert.deepStrictEqual(took, [5])
})
