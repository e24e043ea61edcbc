/** Calls that are not answered yet, and their bytes. */
import { assert, it } from "vitest"
import { CallsUnderWay } from "../../src/net/CallsUnderWay.ts"

it("one connection has a quarter of the calls and of their bytes, however large one call is", () => {
  const calls = new CallsUnderWay({ maxPendingCalls: 8, maxPendingCallBytes: 400 })
  assert.isUndefined(calls.begin(1, 1, 1_000))
  assert.deepInclude(calls.begin(1, 2, 1), { limit: "maxPendingCallBytes", maximum: 400 })
  calls.end(1, 1)
  assert.isUndefined(calls.begin(1, 1, 60))
  assert.deepInclude(calls.begin(1, 2, 60), { limit: "maxPendingCallBytes of one connection", maximum: 100 })
  assert.isUndefined(calls.begin(1, 2, 40))
  assert.deepInclude(calls.begin(1, 3, 0), { limit: "maxPendingCalls of one connection", maximum: 2 })
  for (const clientId of [2, 3, 4]) for (const id of [1, 2]) assert.isUndefined(calls.begin(clientId, id, 50))
  assert.deepInclude(calls.begin(5, 1, 0), { limit: "maxPendingCalls", current: 8, maximum: 8 })
  assert.deepEqual([calls.calls, calls.bytes], [8, 400])
})

it("what a connection had is free with its end, and an answer counts once", () => {
  const calls = new CallsUnderWay({ maxPendingCalls: 100, maxPendingCallBytes: 100 })
  calls.begin(1, 1, 10)
  calls.begin(1, 2, 10)
  calls.end(1, 1)
  calls.end(1, 1)
  calls.forget(1)
  calls.end(1, 2)
  assert.deepEqual([calls.calls, calls.bytes, calls.has(1, 2)], [0, 0, false])
})
