/**
 * Writes the steps of a process: messages and replies of its entities, or offers, claims and settlements of its queues.
 * A step is a small transaction of its own that cannot take effect twice. Steps that come while others are under way
 * wait for them, and then share one transaction: one command of the log, one revision, one notice to each watcher.
 *
 * A shared transaction takes effect only when the conditions of all its steps hold. When one does not, each step goes
 * on its own. What that says of a kind of steps is remembered: those that fail often share no transaction for a while.
 *
 * Conditions are compared before anything of a transaction is written. So no step shares one with another that writes
 * what it compares or writes: each is as if it had come alone.
 */
import { Clock, Effect, Exit, Latch } from "effect"
import type { KeyValue, WriteFailure } from "../client/KeyValue.ts"
import type { Compare, Op, Ops } from "../client/Txn.ts"
import { maxTransactionOperations } from "../client/Txn.ts"
import { Indeterminate } from "../FlareDbError.ts"
import type { Keyed } from "../bytes/KeyTable.ts"
import { hashOf, KeyTable } from "../bytes/KeyTable.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import { outcomeOf } from "./Outcome.ts"

/** Most steps of one transaction. */
const maxSteps = 128

/** Bytes of a shared transaction at which it takes no more steps. A larger step goes alone. */
const maxSharedBytes = 512 * 1024

/** What a step takes beside its keys and values, about. */
const stepOverheadBytes = 256

/**
 * Turns of the event loop, and milliseconds, that steps wait at most for the callers of the transaction before. Those
 * that were answered together come with their next steps some turns apart, and would otherwise go in two halves that
 * wait for each other. Turns pass at once where the process has nothing else to do.
 */
const maxReturnTurns = 32
const maxReturnMs = 5

/** Turns in which steps of other callers are waited for while more of them come. */
const maxGatheringTurns = 4

/** What a return of all that were expected adds to the share that is expected. */
const regained = 1 / 16

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

/** What is listed of a step, and its time. */
export interface Listed {
  readonly text: string
  readonly ms: number
}

/** A row that steps which share a transaction have in common: it says something of each of them. */
export interface StepList {
  /** Writes the row to a key that no other transaction writes. */
  readonly put: (listed: ReadonlyArray<Listed>) => Op<unknown>
}

export interface Step {
  readonly if: ReadonlyArray<Compare>
  readonly do: Ops
  /** Bytes of its keys and values. */
  readonly bytes: number
  /** Whether it may share a transaction: it only puts and deletes single keys, and is not too large. */
  readonly shares: boolean
  readonly sharing: Sharing
  /** What it adds to a row that it has in common with others. */
  readonly listed: { readonly list: StepList; readonly entry: Listed } | undefined
}

export const stepOf = (
  conditions: ReadonlyArray<Compare>,
  ops: Ops,
  sharing: Sharing,
  listed?: Step["listed"]
): Step => {
  let bytes = listed === undefined ? 0 : listed.entry.text.length
  let writes = 0
  for (let i = 0; i < ops.length; i++) {
    const { operation } = ops[i] as Op<unknown>
    if (operation._tag !== "Put" && operation._tag !== "Delete") continue
    bytes += operation.key.byteLength + (operation._tag === "Put" ? operation.value.byteLength : 0)
    writes++
  }
  for (let i = 0; i < conditions.length; i++) bytes += (conditions[i] as Compare).compare.key.byteLength
  const shares = writes === ops.length && ops.length <= maxTransactionOperations &&
    conditions.length <= maxTransactionOperations
  return { if: conditions, do: ops, bytes, shares, sharing, listed }
}

export interface StepResult {
  /** Whether its conditions held, and it took effect. */
  readonly succeeded: boolean
  readonly revision: number
}

/** What became of a step. */
export type StepExit = Exit.Exit<StepResult, WriteFailure>

interface Waiting {
  readonly step: Step
  readonly done: (exit: StepExit) => void
}

/** A key that the steps of a transaction compare or write. */
interface StepKey extends Keyed {
  isWritten: boolean
}

/** Steps that are to share a transaction. */
class SharedSteps {
  readonly all: Array<Waiting> = []
  private readonly counts = new Map<Sharing, number>()
  private readonly keys = new KeyTable<StepKey>()
  /** Of the keys of the step that a place is looked for: first those that it compares. */
  private readonly hashes: Array<number> = []
  private bytes = 0
  private conditions = 0
  private operations = 0

  /** Where a step has its place: here, in a transaction of its own, or in a later one. */
  place(one: Waiting): "shared" | "alone" | "later" {
    const { bytes, do: operations, if: conditions, listed, shares, sharing } = one.step
    if (this.all.length === maxSteps || this.bytes >= maxSharedBytes) return "later"
    const count = (this.counts.get(sharing) ?? 0) + 1
    const size = bytes + stepOverheadBytes
    const writes = operations.length + (listed === undefined ? 0 : 1)
    if (!shares || size >= maxSharedBytes || sharing.most === 1 || count > sharing.most) return "alone"
    if (
      this.conditions + conditions.length > maxTransactionOperations ||
      this.operations + writes > maxTransactionOperations ||
      this.meets(one.step)
    ) return "later"
    this.addKeys(one.step)
    this.counts.set(sharing, count)
    this.bytes += size
    this.conditions += conditions.length
    this.operations += writes
    this.all.push(one)
    return "shared"
  }

  /** Whether a step compares what another one writes, or writes what another one compares or writes. */
  private meets({ do: ops, if: conditions }: Step): boolean {
    const { hashes, keys } = this
    hashes.length = 0
    for (let i = 0; i < conditions.length; i++) {
      const { key } = (conditions[i] as Compare).compare
      const hash = hashOf(key)
      hashes.push(hash)
      if (keys.get(key, hash)?.isWritten === true) return true
    }
    for (let i = 0; i < ops.length; i++) {
      const key = writtenKey(ops[i] as Op<unknown>)
      const hash = hashOf(key)
      hashes.push(hash)
      if (keys.get(key, hash) !== undefined) return true
    }
    return false
  }

  private addKeys({ do: ops, if: conditions }: Step): void {
    for (let i = 0; i < conditions.length; i++) this.addKey((conditions[i] as Compare).compare.key, i, false)
    for (let i = 0; i < ops.length; i++) this.addKey(writtenKey(ops[i] as Op<unknown>), conditions.length + i, true)
  }

  private addKey(key: Uint8Array, position: number, isWritten: boolean): void {
    const hash = this.hashes[position] as number
    const known = this.keys.get(key, hash)
    if (known === undefined) this.keys.add({ key, hash, isWritten })
    else known.isWritten ||= isWritten
  }
}

/** The key of an operation of a step that shares a transaction: it has one. */
const writtenKey = ({ operation }: Op<unknown>): Uint8Array => (operation as { readonly key: Uint8Array }).key

export class StepWriter {
  private readonly kv: KeyValue["Service"]
  private readonly clock: Clock.Clock
  private readonly wake = Latch.makeUnsafe(false)
  private waiting: Array<Waiting> = []
  private readonly underWay = new Set<Waiting>()
  /** Steps that the round before answered, and those that came while it was under way. */
  private answered = 0
  private early: number | undefined = 0
  /** The share of the answered that is expected to come back in time, learned from those that did. */
  private share = 1
  private isClosed = false

  private constructor(kv: KeyValue["Service"], clock: Clock.Clock) {
    this.kv = kv
    this.clock = clock
  }

  /** A writer that works for as long as the scope lives. */
  static readonly make = Effect.fnUntraced(function*(kv: KeyValue["Service"]) {
    const writer = new StepWriter(kv, yield* Clock.Clock)
    // Steps that still wait at the end fail, so that their callers end too.
    yield* Effect.addFinalizer(() => Effect.sync(() => writer.close()))
    yield* Effect.forkScoped(writer.run)
    return writer
  })

  private close(): void {
    this.isClosed = true
    for (const { done } of [...this.waiting, ...this.underWay]) done(closed)
  }

  /** Takes a step. A caller that is interrupted may have taken it nevertheless. */
  take(step: Step): Effect.Effect<StepResult, WriteFailure> {
    return Effect.callback((resume) => this.submit(step, resume))
  }

  /** Takes a step without a fiber that waits for it. `done` is called once, also when the writer is closed. */
  submit(step: Step, done: (exit: StepExit) => void): void {
    if (this.isClosed) return done(closed)
    this.waiting.push({ step, done })
    this.wake.openUnsafe()
  }

  private readonly run: Effect.Effect<never> = Effect.forever(
    Effect.suspend(() => {
      this.wake.closeUnsafe()
      if (this.waiting.length === 0) return this.wake.await
      // A lone caller has no other step to wait for.
      if (this.waiting.length === 1 && this.answered <= 1 && !this.early) return this.round()
      return Effect.andThen(this.gathered, Effect.suspend(() => this.round()))
    })
  )

  /**
   * What comes in the same turn goes along, and in the next ones as long as more comes, or callers of the round before
   * are expected to come back.
   */
  private readonly gathered = Effect.suspend(() => {
    const { answered, early = 0, share } = this
    const expected = Math.min(maxSteps, early + Math.floor(share * answered))
    const untilMs = monotonicMsOf(this.clock) + maxReturnMs
    const turn = (count: number): Effect.Effect<void> => {
      const before = this.waiting.length
      return Effect.flatMap(Effect.yieldNow, () => {
        const { length } = this.waiting
        const mayWait = count < maxReturnTurns && monotonicMsOf(this.clock) < untilMs
        if (length < expected && mayWait) return turn(count + 1)
        if (length > before && length < maxSteps && count < maxGatheringTurns) return turn(count + 1)
        // One that did not return in time may have been answered by the store's watch before.
        this.share = length < expected
          ? Math.max(share / 2, (length - early) / answered)
          : Math.min(1, share + regained)
        return Effect.void
      })
    }
    return turn(1)
  })

  /** Writes what waits: most of it together, and the rest beside it. Begun within one turn, that is one call. */
  private round(): Effect.Effect<void> {
    const [first] = this.waiting
    if (first !== undefined && this.waiting.length === 1) {
      this.waiting = []
      this.underWay.add(first)
      return this.ended(1, this.single(first))
    }
    const steps = new SharedSteps()
    const alone: Array<Waiting> = []
    const later: Array<Waiting> = []
    for (const one of this.waiting) {
      const place = alone.length === maxSteps ? "later" : steps.place(one)
      if (place === "later") {
        later.push(one)
        continue
      }
      this.underWay.add(one)
      if (place === "alone") alone.push(one)
    }
    const count = this.waiting.length - later.length
    this.waiting = later
    const shared = steps.all
    if (alone.length === 0) return this.ended(count, this.together(shared))
    return this.ended(
      count,
      Effect.forEach(
        [...shared.length === 0 ? [] : [this.together(shared)], ...alone.map((one) => this.single(one))],
        (write) => write,
        { concurrency: "unbounded", discard: true }
      )
    )
  }

  /** Remembers how many callers are expected after a round. */
  private ended(count: number, round: Effect.Effect<void>): Effect.Effect<void> {
    this.answered = count
    this.early = undefined
    return round
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
    // Steps of one owner have conditions in common: each is compared once.
    const conditions = new Set<Compare>()
    const ops: Array<Op<unknown>> = []
    for (const step of steps) {
      for (const condition of step.if) conditions.add(condition)
      for (const op of step.do) ops.push(op)
    }
    const txn = { if: [...conditions], do: [...ops, ...listsOf(steps)] }
    return Effect.catchTag(
      this.kv.transact(txn) as Effect.Effect<StepResult, WriteFailure>,
      "ResultsNotKept",
      ({ revision, succeeded }) => Effect.succeed({ revision, succeeded })
    )
  }

  private answer(one: Waiting, exit: StepExit): void {
    // Counted before the first of them comes back.
    this.early ??= this.waiting.length
    this.underWay.delete(one)
    one.done(exit)
  }
}

/** The rows that steps have in common. */
const listsOf = (steps: ReadonlyArray<Step>): Ops => {
  const lists = new Map<StepList, Array<Listed>>()
  for (const { listed } of steps) {
    if (listed === undefined) continue
    const entries = lists.get(listed.list)
    if (entries === undefined) lists.set(listed.list, [listed.entry])
    else entries.push(listed.entry)
  }
  return [...lists].map(([list, entries]) => list.put(entries))
}

const isRefusal = (exit: Exit.Failure<unknown, WriteFailure>): boolean => {
  const failure = Exit.findErrorOption(exit)
  return failure._tag === "Some" && outcomeOf(failure.value) === "refused"
}

const closed = Exit.fail(new Indeterminate({ reason: "the store was closed" }))
