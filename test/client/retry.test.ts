/** What each error leaves to its caller. A new error has to be put into the table. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Client from "../../src/client/index.ts"
import * as Errors from "../../src/FlareDbError.ts"
import { failureSchema, failureTags } from "../../src/http/api/Failures.ts"
import * as FlareDb from "../../src/index.ts"

type Left = "retry" | "unknown" | "neither"

const leaves: Readonly<Record<string, Left>> = {
  Compacted: "neither",
  Conflict: "retry",
  CredentialsError: "neither",
  Fatal: "unknown",
  FutureRevision: "neither",
  Indeterminate: "unknown",
  InvalidArgument: "neither",
  InvalidConfig: "neither",
  InvalidEndpoint: "neither",
  LeaseLost: "neither",
  LeaseNotFound: "neither",
  MirrorFull: "neither",
  NoHello: "neither",
  NotLeader: "retry",
  Overloaded: "retry",
  ResultsNotKept: "neither",
  SessionExpired: "unknown",
  Unauthenticated: "neither",
  Unauthorized: "neither",
  Unavailable: "retry",
  WatchCancelled: "neither",
  WrongCluster: "neither"
}

const left = (error: unknown): Left => {
  const [again, unknown] = [Client.isRetryable(error), Client.isOutcomeUnknown(error)]
  assert.isFalse(again && unknown)
  return again ? "retry" : unknown ? "unknown" : "neither"
}

const isErrorClass = (value: unknown): boolean => typeof value === "function" && value.prototype instanceof Error

it("each error that a caller sees says whether to try again, and whether its outcome is known", () => {
  const names = Object.entries({ ...Errors, ...Client }).filter(([, value]) => isErrorClass(value)).map(([name]) =>
    name
  )
  assert.deepStrictEqual([...new Set(names)].sort(), Object.keys(leaves).sort())
  for (const [name, expected] of Object.entries(leaves)) assert.strictEqual(left({ _tag: name }), expected, name)
  assert.strictEqual(left(new Errors.Unavailable({ reason: "no leader" })), "retry")
  for (const other of [undefined, null, "Unavailable", {}, { _tag: 1 }, new Error("Unavailable")]) {
    assert.strictEqual(left(other), "neither")
  }
})

it("the HTTP API says the same of its failures", () => {
  for (const tag of failureTags.filter((one) => one in leaves)) {
    const { retry, wasWritten } = failureSchema(tag).fields
    assert.strictEqual(wasWritten.literal === "unknown", leaves[tag] === "unknown", tag)
    const expected = retry.literal === "later" || tag === "Conflict"
    assert.strictEqual(expected, leaves[tag] === "retry", tag)
  }
})

it.effect("a call is made again while that changed nothing", () =>
  Effect.gen(function*() {
    let calls = 0
    const call = Effect.suspend(() =>
      Effect.fail(
        ++calls < 3 ? new Errors.Unavailable({ reason: "no leader" }) : new Errors.Indeterminate({ reason: "" })
      )
    )
    const error = yield* Effect.flip(Effect.retry(call, { while: FlareDb.isRetryable }))
    assert.deepStrictEqual([error._tag, calls], ["Indeterminate", 3])
  }))
