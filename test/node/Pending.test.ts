/** Callers that wait: each command has one answer, and it is that of its own entry; each read is served at its index. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit } from "effect"
import { Indeterminate, NotLeader, Unavailable } from "../../src/FlareDbError.ts"
import type { ReadError, WriteError } from "../../src/FlareDbError.ts"
import type { ReadGroup, Submission } from "../../src/node/Pending.ts"
import { Pending } from "../../src/node/Pending.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"

const text = (bytes: Uint8Array | WriteError | undefined): string =>
  bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : bytes?._tag ?? "nothing"
const bytes = (value: string): Uint8Array => Buffer.from(value)

const entry = (index: number, term = 1): Entry => ({
  index: LogIndex(index),
  term: Term(term),
  kind: "command",
  timestampMs: 0,
  payload: bytes("")
})

/** Submits commands; `answers` has what was answered, once all are. */
const submit = (pending: Pending, ...commands: ReadonlyArray<string>) => {
  const answers: Array<string> = []
  const submission: Submission = {
    commands: commands.map((command) => ({ payload: bytes(command) })),
    results: commands.map(() => undefined),
    open: commands.length,
    done: (results) => void answers.push(results.map(text).join())
  }
  pending.admit(submission)
  return { answers, submission }
}

const accept = (pending: Pending, submission: Submission, firstIndex: number, term = 1) => {
  const ids = pending.propose([submission]).map(({ id }) => id)
  pending.accept({ _tag: "Accepted", ids, firstIndex: LogIndex(firstIndex), term: Term(term) })
}

it("a call is answered once, when all of its commands are applied, each with its own reply", () => {
  const pending = new Pending()
  const { answers, submission } = submit(pending, "a", "b")
  accept(pending, submission, 5)
  pending.applied([entry(4), entry(5)], [bytes("of 4"), bytes("of 5")], 1)
  assert.deepStrictEqual(answers, [])
  pending.applied([entry(6)], [bytes("of 6")], 1)
  assert.deepStrictEqual(answers, ["of 5,of 6"])
  pending.abandonCommands(new Indeterminate({ reason: "late" }))
  assert.deepStrictEqual(answers, ["of 5,of 6"])
  assert.strictEqual(pending.waitingCommands, 0)
})

it("an entry of another term at the index, or a snapshot over it, leaves a command's fate unknown", () => {
  const pending = new Pending()
  const [overwritten, covered, later] = [submit(pending, "a"), submit(pending, "b"), submit(pending, "c")]
  accept(pending, overwritten.submission, 5)
  accept(pending, covered.submission, 6)
  accept(pending, later.submission, 8)
  pending.applied([entry(5, 2)], [bytes("not its own")], 1)
  pending.skipped(LogIndex(7))
  pending.applied([entry(8)], [bytes("its own")], 1)
  assert.deepStrictEqual([overwritten, covered, later].map(({ answers }) => answers.join()), [
    "Indeterminate",
    "Indeterminate",
    "its own"
  ])
})

it("what the core refuses is answered with its reason; what it has taken is abandoned when leadership is lost", () => {
  const pending = new Pending()
  const [refused, taken, offered, never] = [1, 2, 3, 4].map((n) => submit(pending, String(n))) as [
    ReturnType<typeof submit>,
    ReturnType<typeof submit>,
    ReturnType<typeof submit>,
    ReturnType<typeof submit>
  ]
  pending.refuse(pending.propose([refused.submission]).map(({ id }) => id), new NotLeader({ nodeId: 1 }))
  accept(pending, taken.submission, 1)
  pending.propose([offered.submission])
  pending.reject(never.submission, new Unavailable({ reason: "it stops" }))
  assert.strictEqual(pending.waitingCommands, 2)
  pending.abandonCommands(new Indeterminate({ reason: "it steps down" }))
  assert.deepStrictEqual([refused, taken, offered, never].map(({ answers }) => answers.join()), [
    "NotLeader",
    "Indeterminate",
    "Indeterminate",
    "Unavailable"
  ])
  assert.strictEqual(pending.waitingCommands, 0)
})

it.effect("reads are released at their index, and refused or abandoned with their own reason", () =>
  Effect.gen(function*() {
    const pending = new Pending()
    const group = (count: number): ReadGroup => ({ count, ready: Deferred.makeUnsafe<void, ReadError>() })
    const groups = [group(1), group(2), group(3), group(4)] as const
    for (const one of groups) pending.admitRead(one)
    assert.strictEqual(pending.waitingQueries, 10)
    const stateOf = (one: ReadGroup) =>
      Effect.map(Effect.exit(Deferred.await(one.ready)), (exit) => Exit.isSuccess(exit) ? "served" : String(exit.cause))
    const ids = groups.map((one) => pending.read([one]))
    pending.readReady({ _tag: "ReadReady", readIds: [ids[0] as number, ids[1] as number], index: LogIndex(7) })
    pending.releaseReads(LogIndex(6))
    assert.strictEqual(pending.waitingQueries, 10)
    pending.releaseReads(LogIndex(7))
    assert.strictEqual(pending.waitingQueries, 7)
    pending.readRefused([ids[2] as number], new Unavailable({ reason: "no majority" }))
    pending.abandonReads(new Unavailable({ reason: "it stops" }))
    assert.strictEqual(pending.waitingQueries, 0)
    const [first, second, third, fourth] = yield* Effect.forEach(groups, stateOf)
    assert.deepStrictEqual([first, second], ["served", "served"])
    assert.include(third, "no majority")
    assert.include(fourth, "it stops")
  }))
