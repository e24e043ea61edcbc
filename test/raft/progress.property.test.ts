/** What a leader knows about a follower, against a model that remembers every append that is out. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Progress } from "../../src/raft/Progress.ts"
import { LogIndex } from "../../src/raft/Types.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const limits = { maxInflightMessages: 4, maxInflightBytes: 100 }

const Operation = Schema.Union([
  Schema.Struct({ op: Schema.Literal("send"), entries: upTo(3), bytes: upTo(60) }),
  Schema.Struct({ op: Schema.Literal("accept"), nth: upTo(6) }),
  Schema.Struct({ op: Schema.Literal("reject"), nth: upTo(6), back: upTo(5) }),
  Schema.Struct({ op: Schema.Literal("unreachable") }),
  Schema.Struct({ op: Schema.Literal("snapshot"), installed: upTo(1), beyond: upTo(5) })
])
const Operations = Schema.Array(Operation).check(Schema.isMaxLength(60))

interface Sent {
  readonly prev: number
  readonly last: number
}

/** Plays the operations against a new leader's view and calls `check` after each. */
const play = (
  operations: ReadonlyArray<typeof Operation.Type>,
  check: (progress: Progress, before: { readonly match: number; readonly state: Progress["state"] }) => void
): Progress => {
  const progress = new Progress(LogIndex(10))
  /** Every append ever sent: answers may come late, twice, and in any order. */
  const sent: Array<Sent> = []
  for (const operation of operations) {
    const before = { match: progress.match, state: progress.state }
    switch (operation.op) {
      case "send": {
        if (!progress.canSend(limits)) break
        const prev = progress.next - 1
        const last = prev + operation.entries
        sent.push({ prev, last })
        progress.sent(LogIndex(last), operation.entries === 0 ? 0 : operation.bytes + 1)
        break
      }
      case "accept": {
        const answered = sent[sent.length - 1 - operation.nth]
        if (answered !== undefined) progress.accepted(LogIndex(answered.last))
        break
      }
      case "reject": {
        const answered = sent[sent.length - 1 - operation.nth]
        if (answered === undefined) break
        progress.rejected(LogIndex(answered.prev), LogIndex(Math.max(0, answered.prev - operation.back)))
        break
      }
      case "unreachable":
        if (progress.state === "replicate") progress.becomeProbe()
        break
      case "snapshot":
        progress.becomeSnapshot()
        if (operation.installed === 1) {
          progress.becomeProbe()
          progress.accepted(LogIndex(progress.match + operation.beyond))
        }
        break
    }
    check(progress, before)
  }
  return progress
}

describe("Progress", () => {
  it.prop("match never goes back and next stays above it", [Operations], ([operations]) => {
    play(operations, (progress, before) => {
      assert.isAtLeast(progress.match, before.match)
      assert.isAbove(progress.next, progress.match)
    })
  }, { arbitrary: { runs: 500 } })

  it.prop("the window is never exceeded", [Operations], ([operations]) => {
    play(operations, (progress) => {
      assert.isAtMost(progress.inflightMessages, limits.maxInflightMessages)
      if (progress.state !== "replicate") assert.strictEqual(progress.inflightMessages, 0)
      if (progress.state === "snapshot") assert.isFalse(progress.canSend(limits))
      if (progress.inflightMessages === limits.maxInflightMessages) assert.isFalse(progress.canSend(limits))
    })
  }, { arbitrary: { runs: 500 } })

  it.prop("an acceptance of everything sent empties the window", [Operations], ([operations]) => {
    const progress = play(operations, () => {})
    if (progress.state !== "replicate") return
    progress.accepted(LogIndex(progress.next - 1))
    assert.strictEqual(progress.inflightMessages, 0)
    assert.isTrue(progress.canSend(limits))
  })

  it("probes one append at a time until one is accepted, then runs ahead", () => {
    const progress = new Progress(LogIndex(5))
    progress.sent(LogIndex(6), 10)
    assert.isFalse(progress.canSend(limits))
    progress.accepted(LogIndex(6))
    assert.strictEqual(progress.state, "replicate")
    progress.sent(LogIndex(7), 10)
    assert.isTrue(progress.canSend(limits))
    assert.strictEqual(progress.next, 8)
  })

  it("bounds what is out in bytes", () => {
    const progress = new Progress(LogIndex(1))
    progress.accepted(LogIndex(0))
    progress.sent(LogIndex(1), 60)
    assert.isTrue(progress.canSend(limits))
    progress.sent(LogIndex(2), 60)
    assert.isFalse(progress.canSend(limits))
    progress.accepted(LogIndex(1))
    assert.isTrue(progress.canSend(limits))
  })

  it("ignores refusals it has heard of already", () => {
    const progress = new Progress(LogIndex(8))
    assert.isTrue(progress.rejected(LogIndex(7), LogIndex(3)))
    assert.strictEqual(progress.next, 4)
    assert.isFalse(progress.rejected(LogIndex(7), LogIndex(1)))
    assert.strictEqual(progress.next, 4)
    progress.accepted(LogIndex(5))
    assert.isFalse(progress.rejected(LogIndex(4), LogIndex(0)))
    assert.strictEqual(progress.state, "replicate")
  })
})
