/**
 * Rows that are changed by steps, each of them atomic: read, compute, and written if the row is still as it was read.
 * What waits for the same row in this process becomes one write: the steps follow each other in memory, in the order in
 * which they came.
 *
 * A row is remembered after its last write, so that a step costs one round trip while no other process comes between,
 * and one more for each time one did. A step that changes nothing is answered by what a read has confirmed.
 *
 * A write whose answer was lost is repeated as it is: it cannot take effect twice, because the first time changes the
 * revision that it depends on, and the row says whose write it is.
 */
import { Data, Deferred, Effect, Option, Random } from "effect"
import { randomUUID } from "node:crypto"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { ExpiryLeases } from "./ExpiryLeases.ts"
import type { LogTimeFailure } from "../LogTime.ts"
import type { LongLived } from "./LongLived.ts"
import { outcomeOf } from "../Outcome.ts"

/** Others changed the row in every attempt. No step of this call took effect. */
class RowContended extends Data.TaggedError("RowContended")<{
  readonly key: string
  readonly attempts: number
}> {
  override get message() {
    return `the row ${this.key} was changed by others in each of ${this.attempts} attempts; try again later`
  }
}

export type StepFailure = ReadFailure | WriteFailure | LogTimeFailure | RowContended

/** What a row has to say of its time. */
export interface TimedState {
  /** When it was last changed. */
  readonly at: number
  /** When it may be forgotten. */
  readonly expiresAt: number
}

type AnyStep = (known: unknown, now: number) => readonly [unknown, unknown]

interface Waiting {
  readonly step: AnyStep
  readonly answered: Deferred.Deferred<unknown, StepFailure>
}

/** A row as it was last seen. */
interface Seen {
  readonly state: TimedState | undefined
  readonly by: string | undefined
  readonly revision: number
  readonly lease: number
  /** Whether it was read after the steps that wait for it had come. */
  readonly confirmed: boolean
}

const absent: Seen = { state: undefined, by: undefined, revision: 0, lease: 0, confirmed: false }

/** Steps of one write. */
const maxSteps = 1_024

/** Rows that are remembered. */
const maxRemembered = 4_096

/** Times that a row is read and written before its steps fail, and the longest pause between two, in milliseconds. */
const maxAttempts = 100
const longestPauseMs = 32

/** Times that a write is repeated whose answer was lost. */
const maxRepeats = 2

export interface AtomicRowsParts {
  readonly kv: KeyValue["Service"]
  readonly leases: ExpiryLeases
  readonly longLived: LongLived
  readonly now: Effect.Effect<number, LogTimeFailure>
}

export class AtomicRows {
  private readonly parts: AtomicRowsParts
  private readonly waiting = new Map<string, Array<Waiting>>()
  private readonly remembered = new Map<string, Seen>()

  constructor(parts: AtomicRowsParts) {
    this.parts = parts
  }

  /** Takes a step at a row. A caller that is interrupted may have taken it nevertheless. */
  step<State extends TimedState, Answer>(
    key: string,
    step: (known: State | undefined, now: number) => readonly [State | undefined, Answer]
  ): Effect.Effect<Answer, StepFailure> {
    return Effect.suspend(() => {
      const answered = Deferred.makeUnsafe<unknown, StepFailure>()
      const waiting: Waiting = { step: step as AnyStep, answered }
      const others = this.waiting.get(key)
      const answer = Deferred.await(answered) as Effect.Effect<Answer, StepFailure>
      if (others !== undefined) {
        others.push(waiting)
        return answer
      }
      this.waiting.set(key, [waiting])
      // The first caller works for all, also when it is interrupted.
      return Effect.andThen(Effect.forkDetach(this.work(key)), answer)
    })
  }

  private readonly work = Effect.fnUntraced({ self: this }, function*(this: AtomicRows, key: string) {
    for (;;) {
      // What comes in the same turn goes along.
      yield* Effect.yieldNow
      const all = this.waiting.get(key) as Array<Waiting>
      const steps = all.splice(0, maxSteps)
      if (steps.length === 0) {
        this.waiting.delete(key)
        return
      }
      const result = yield* Effect.exit(this.take(key, steps))
      for (const [i, { answered }] of steps.entries()) {
        Deferred.doneUnsafe(answered, result._tag === "Success" ? Effect.succeed(result.value[i]) : result)
      }
    }
  })

  /** Takes steps one after another, and writes what is known after them. */
  private readonly take = Effect.fnUntraced({ self: this }, function*(
    this: AtomicRows,
    key: string,
    steps: ReadonlyArray<Waiting>
  ): Effect.fn.Return<ReadonlyArray<unknown>, StepFailure> {
    let seen = { ...(this.remembered.get(key) ?? absent), confirmed: false }
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const nowMs = Math.max(yield* this.parts.now, seen.state?.at ?? 0)
      const answers: Array<unknown> = []
      let state: unknown = seen.state
      for (const { step } of steps) {
        const [next, answer] = step(state, nowMs)
        state = next
        answers.push(answer)
      }
      if (state === seen.state || state === undefined) {
        if (seen.confirmed) return answers
        const found = yield* this.parts.kv.get(key, { consistency: "linearizable" })
        seen = this.remember(key, seenOf(found))
        continue
      }
      const after = yield* this.write(key, seen, state as TimedState, nowMs)
      this.remember(key, after.seen)
      if (after.written) return answers
      seen = after.seen
      // Others in this process wait for this one; it gives way to other processes.
      yield* Effect.sleep(yield* Random.nextIntBetween(0, Math.min(2 ** attempt, longestPauseMs)))
    }
    return yield* new RowContended({ key, attempts: maxAttempts })
  })

  private readonly write = Effect.fnUntraced({ self: this }, function*(
    this: AtomicRows,
    key: string,
    seen: Seen,
    state: TimedState,
    nowMs: number
  ): Effect.fn.Return<{ readonly written: boolean; readonly seen: Seen }, StepFailure> {
    const { kv, leases, longLived } = this.parts
    const marks = seen.lease === 0 && seen.state !== undefined
      ? longLived.moveMark(key, seen.state.expiresAt, state.expiresAt)
      : [longLived.mark(key, state.expiresAt)]
    const by = randomUUID()
    const row = JSON.stringify({ by, state })
    const ttlMs = Math.max(1, state.expiresAt - nowMs)
    let used = 0
    const put = (lease: number) => {
      used = lease
      return kv.transact({
        if: [Compare.modRevision(key).equals(seen.revision)],
        // A transaction that reads shares no call with others: what the row holds otherwise is read afterwards.
        do: [Op.put(key, row, { lease }), ...(lease === 0 ? marks : [])]
      })
    }
    const txn = yield* Effect.retry(leases.with({ ttlMs, had: seen.lease }, put), {
      times: maxRepeats,
      while: (failure) => outcomeOf(failure) === "unknown"
    })
    if (txn.succeeded) {
      return { written: true, seen: { state, by, revision: txn.revision, lease: used, confirmed: false } }
    }
    const found = seenOf(yield* kv.get(key, { consistency: "linearizable" }))
    return { written: found.by === by, seen: found }
  })

  private remember(key: string, seen: Seen): Seen {
    this.remembered.delete(key)
    this.remembered.set(key, seen)
    if (this.remembered.size > maxRemembered) {
      for (const oldest of this.remembered.keys()) {
        this.remembered.delete(oldest)
        break
      }
    }
    return seen
  }
}

const seenOf = (found: Option.Option<KeyValueEntry>): Seen => {
  if (Option.isNone(found)) return { ...absent, confirmed: true }
  const { lease, modRevision, text } = found.value
  const { by, state } = parsed(text)
  return { state, by, revision: modRevision, lease, confirmed: true }
}

/** A row that another writer made holds nothing, and is written over. */
const parsed = (text: string): { readonly by: string | undefined; readonly state: TimedState | undefined } => {
  try {
    const { by, state } = JSON.parse(text) as {
      readonly by?: unknown
      readonly state?: { readonly at?: unknown; readonly expiresAt?: unknown }
    }
    // JSON has null in place of an infinite number: such a window never ends.
    const expiresAt = state?.expiresAt === null ? Infinity : state?.expiresAt
    return typeof by === "string" && typeof state?.at === "number" && typeof expiresAt === "number"
      ? { by, state: { ...state, at: state.at, expiresAt } }
      : { by: undefined, state: undefined }
  } catch {
    return { by: undefined, state: undefined }
  }
}
