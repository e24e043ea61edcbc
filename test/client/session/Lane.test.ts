/** Operations leave at once, together or later, in their order, each once. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { CallSizes } from "../../../src/client/session/CallSizes.ts"
import { Lane } from "../../../src/client/session/Lane.ts"
import { Operation } from "../../../src/client/session/Operation.ts"

const submitter = { outOfTime: () => "late", settled: () => undefined }
const operation = (id: number): Operation<string> =>
  new Operation<string>(Uint8Array.of(id), 0, Number.POSITIVE_INFINITY, submitter, () => undefined)

/** A lane, and what it sent: the calls that are in flight, and all operations so far. */
const open = (
  limits: { readonly maxCalls?: number; readonly maxWaiting?: number; readonly maxOperations?: number } = {}
) => {
  const { maxCalls = 2, maxOperations = 100, maxWaiting = 100 } = limits
  const inFlight: Array<{ readonly ids: ReadonlyArray<number>; readonly ended: () => void }> = []
  const sent: Array<ReadonlyArray<number>> = []
  const state = { hasRoom: true }
  const lane = new Lane<string>({
    maxWaiting,
    maxCalls,
    sizes: new CallSizes(maxOperations, true),
    hasRoom: () => state.hasRoom,
    microtask: queueMicrotask,
    send: (operations, ended) => {
      const ids = operations.map(({ bytes }) => bytes[0] as number)
      sent.push(ids)
      inFlight.push({ ids, ended })
    }
  })
  return { lane, inFlight, sent, state }
}

/** Every microtask that is due has run. */
const microtasks = Promise.resolve()

describe("a lane", () => {
  it("sends a lone operation within the microtask", async () => {
    const { lane, sent } = open()
    lane.offer(operation(1))
    await microtasks
    assert.deepStrictEqual(sent, [[1]])
  })

  it("sends what comes in one go as one call", async () => {
    const { lane, sent } = open()
    for (let id = 0; id < 50; id++) lane.offer(operation(id))
    await microtasks
    assert.deepStrictEqual(sent.map((ids) => ids.length), [50])
  })

  it("gathers others while as many calls are in flight as may be", async () => {
    const { inFlight, lane, sent } = open({ maxCalls: 1 })
    for (let id = 0; id < 10; id++) {
      lane.offer(operation(id))
      await Promise.resolve()
    }
    assert.deepStrictEqual(sent, [[0]])
    inFlight[0]?.ended()
    await Promise.resolve()
    assert.deepStrictEqual(sent, [[0], [1, 2, 3, 4, 5, 6, 7, 8, 9]])
  })

  it("refuses more than may wait, and only then", async () => {
    const { lane } = open({ maxCalls: 1, maxWaiting: 3 })
    assert.deepStrictEqual([1, 2, 3, 4].map((id) => lane.offer(operation(id))), [true, true, true, false])
    await microtasks
    assert.isTrue(lane.offer(operation(5)))
  })

  it("waits for room, and goes on when it is woken", async () => {
    const { lane, sent, state } = open()
    state.hasRoom = false
    lane.offer(operation(1))
    await Promise.resolve()
    assert.deepStrictEqual(sent, [])
    state.hasRoom = true
    lane.wake()
    await Promise.resolve()
    assert.deepStrictEqual(sent, [[1]])
  })

  const Step = Schema.Literals(["offer", "offer", "offer", "end", "end twice", "turn"])
  it.prop("keeps its limits and the order, and sends each operation once", [Schema.Array(Step)], async ([steps]) => {
    const { inFlight, lane, sent } = open({ maxCalls: 2, maxOperations: 3, maxWaiting: 5 })
    let next = 0
    const accepted: Array<number> = []
    for (const step of steps) {
      if (step === "offer") {
        const id = next++ % 256
        if (lane.offer(operation(id))) accepted.push(id)
      } else if (step === "turn") await Promise.resolve()
      else {
        const call = inFlight.shift()
        call?.ended()
        if (step === "end twice") call?.ended()
      }
      assert.isAtMost(inFlight.length, 2)
    }
    await Promise.resolve()
    while (inFlight.length > 0) {
      inFlight.shift()?.ended()
      await Promise.resolve()
    }
    assert.deepStrictEqual(sent.flat(), accepted)
    for (const ids of sent) assert.isAtMost(ids.length, 3)
  }, { arbitrary: { runs: 200 } })
})
