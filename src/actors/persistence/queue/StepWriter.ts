/**
 * Writes the steps of all queues of a process: offers, claims and settlements. A step is a small transaction of its own
 * that cannot take effect twice. Steps that come while others are under way wait for them, and then share one
 * transaction: one command of the log, one revision, one notice to whoever watches.
 *
 * A shared transaction takes effect only when the conditions of all its steps hold. When one does not, each step goes on
 * its own. What that says of a kind of steps is remembered: those that fail often share no transaction for a while.
 */
import { Effect, Exit, Latch } from "effect"
import type { KeyValue, WriteFailure } from "../../../client/KeyValue.ts"
import type { Compare, Ops } from "../../../client/Txn.ts"
import { Indeterminate } from "../../../FlareDbError.ts"
import { outcomeOf } from "../Outcome.ts"

/** Most steps of one transaction, of three operations and three conditions each. */
const maxSteps = 128

/** Bytes of a shared transaction at which it takes no more steps. A larger step goes alone. */
const maxSharedBytes = 512 * 1024

/** What a step's keys and bookkeeping take beside its values, about. */
const stepOverheadBytes = 512

/** How many steps of a kind may share a transaction: fewer after one of them failed, more while they succeed. */
export class Sharing {
  most = maxSteps

  succeeded(): void {
    this.most = Math.min(2 * this.most, maxSteps)
  }

  failed(): void {
    this.most = 1
  }
}

export interface Step {
  /** What it is about: two steps of one transaction never have the same subject, because they would write one key twice. */
  readonly subject: string
  readonly if: ReadonlyArray<Compare>
  readonly do: Ops
  /** Bytes of its values. */
  readonly bytes: number
  readonly sharing: Sharing
}

/** A step whose bytes are those of the values that it puts. */
export const stepOf = (subject: string, conditions: ReadonlyArray<Compare>, ops: Ops, sharing: Sharing): Step => ({
  subject,
  if: conditions,
  do: ops,
  bytes: ops.reduce((sum, { operation }) => sum + (operation._tag === "Put" ? operation.value.byteLength : 0), 0),
  sharing
})

export interface StepResult {
  /** Whether its conditions held, and it took effect. */
  readonly succeeded: boolean
  readonly revision: number
}

interface Waiting {
  readonly step: Step
  readonly resume: (answer: Effect.Effect<StepResult, WriteFailure>) => void
}

export class StepWriter {
  private readonly kv: KeyValue["Service"]
  private readonly wake = Latch.makeUnsafe(false)
  private waiting: Array<Waiting> = []
  private readonly underWay = new Set<Waiting>()
  private isClosed = false

  private constructor(kv: KeyValue["Service"]) {
    this.kv = kv
  }

  /** A writer that works for as long as the scope lives. */
  static readonly make = Effect.fnUntraced(function*(kv: KeyValue["Service"]) {
    const writer = new StepWriter(kv)
    // Whoever still waits at the end is told so.
    yield* Effect.addFinalizer(() => Effect.sync(() => writer.close()))
    yield* Effect.forkScoped(writer.run)
    return writer
  })

  private close(): void {
    this.isClosed = true
    for (const { resume } of [...this.waiting, ...this.underWay]) resume(closed)
  }

  /** Takes a step. A caller that is interrupted may have taken it nevertheless. */
  take(step: Step): Effect.Effect<StepResult, WriteFailure> {
    return Effect.callback((resume) => {
      if (this.isClosed) return resume(closed)
      this.waiting.push({ step, resume })
      this.wake.openUnsafe()
    })
  }

  private readonly run: Effect.Effect<never> = Effect.forever(
    Effect.suspend(() => {
      this.wake.closeUnsafe()
      if (this.waiting.length === 0) return this.wake.await
      // What comes in the same turn goes along.
      return Effect.andThen(Effect.yieldNow, Effect.suspend(() => this.round()))
    })
  )

  /** Writes what waits: most of it together, and the rest beside it. Begun within one turn, that is one call. */
  private round(): Effect.Effect<void> {
    const shared: Array<Waiting> = []
    const alone: Array<Waiting> = []
    const later: Array<Waiting> = []
    const subjects = new Set<string>()
    const counts = new Map<Sharing, number>()
    let bytes = 0
    for (const one of this.waiting) {
      const { sharing, subject } = one.step
      const count = (counts.get(sharing) ?? 0) + 1
      if (subjects.has(subject) || shared.length >= maxSteps || bytes >= maxSharedBytes) {
        later.push(one)
        continue
      }
      subjects.add(subject)
      counts.set(sharing, count)
      const more = one.step.bytes + stepOverheadBytes
      if (more >= maxSharedBytes || sharing.most === 1 || count > sharing.most) {
        alone.push(one)
        continue
      }
      bytes += more
      shared.push(one)
    }
    this.waiting = later
    for (const one of shared) this.underWay.add(one)
    for (const one of alone) this.underWay.add(one)
    if (alone.length === 0) return this.together(shared)
    const [only] = alone
    if (shared.length === 0 && alone.length === 1 && only !== undefined) return this.single(only)
    return Effect.forEach(
      [...shared.length === 0 ? [] : [this.together(shared)], ...alone.map((one) => this.single(one))],
      (write) => write,
      { concurrency: "unbounded", discard: true }
    )
  }

  private together(all: ReadonlyArray<Waiting>): Effect.Effect<void> {
    const [only] = all
    if (all.length === 1 && only !== undefined) return this.single(only)
    const steps = all.map(({ step }) => step)
    return Effect.flatMap(Effect.exit(this.transact(steps)), (exit) => {
      // A refusal may be about one of them, and so may a condition that does not hold.
      const apart = Exit.isSuccess(exit) ? !exit.value.succeeded : isRefusal(exit)
      if (apart) return Effect.forEach(all, (one) => this.single(one), { concurrency: "unbounded", discard: true })
      if (Exit.isSuccess(exit)) {
        for (const sharing of new Set(steps.map((step) => step.sharing))) sharing.succeeded()
      }
      for (const one of all) this.answer(one, exit)
      return Effect.void
    })
  }

  private single(one: Waiting): Effect.Effect<void> {
    const { sharing } = one.step
    return Effect.map(Effect.exit(this.transact([one.step])), (exit) => {
      if (Exit.isSuccess(exit)) exit.value.succeeded ? sharing.succeeded() : sharing.failed()
      this.answer(one, exit)
    })
  }

  private transact(steps: ReadonlyArray<Step>): Effect.Effect<StepResult, WriteFailure> {
    const txn = { if: steps.flatMap((step) => step.if), do: steps.flatMap((step) => step.do) }
    return Effect.catchTag(
      this.kv.transact(txn) as Effect.Effect<StepResult, WriteFailure>,
      "ResultsNotKept",
      ({ revision, succeeded }) => Effect.succeed({ revision, succeeded })
    )
  }

  private answer(one: Waiting, answer: Exit.Exit<StepResult, WriteFailure>): void {
    this.underWay.delete(one)
    one.resume(answer)
  }
}

const isRefusal = (exit: Exit.Failure<unknown, WriteFailure>): boolean => {
  const failure = Exit.findErrorOption(exit)
  return failure._tag === "Some" && outcomeOf(failure.value) === "refused"
}

const closed = Effect.fail(new Indeterminate({ reason: "the store of the queue was closed" }))
