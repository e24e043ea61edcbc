/**
 * An element that this process has claimed, until it is settled: completed, tried again later, given back, or failed
 * for good. Each is one transaction on the condition that the row is as the claim left it, so that nothing of a claim
 * that another consumer took over has any effect.
 */
import { Effect, Fiber, Schedule } from "effect"
import type { Scope } from "effect"
import type { WriteFailure } from "../../../client/KeyValue.ts"
import type { Ops } from "../../../client/Txn.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import type { Outcome, QueueCounts } from "../../ActorMetrics.ts"
import { outcomeOf } from "../../Outcome.ts"
import type { Claim, QueueKeys, QueueRow } from "./Layout.ts"
import { copyOf, encodeCompleted, encodeFailed, encodeQueueRow } from "./Layout.ts"
import { retryMs } from "./Repeated.ts"
import type { StepResult, StepWriter } from "../../StepWriter.ts"
import { Sharing, stepOf } from "../../StepWriter.ts"

/**
 * How long a worker waits for its settlement after the first attempt failed, before it goes on, in milliseconds. The
 * settlement goes on too.
 */
const patienceMs = 10_000

/** The same at the end of a process, in milliseconds. */
export const lastPatienceMs = 1_000

/** Claims seldom end before their element is settled. */
const settlements = new Sharing()

export interface SettlingParts {
  readonly steps: StepWriter
  readonly keys: QueueKeys
  readonly counts: QueueCounts
  /** What settlements live in that outlast the worker's patience. */
  readonly scope: Scope.Scope
  /** The cluster's time. */
  readonly now: Effect.Effect<number, unknown>
  /** A new place, from which its element may be taken at that moment. */
  readonly place: (ms: number) => string
  /** A row was removed, at a revision. */
  readonly removed: (place: string, revision: number) => void
  /** A row was changed. */
  readonly changed: (row: QueueRow) => void
}

const decoder = new TextDecoder()

export class Claimed {
  readonly id: string
  /** This attempt, from 1. */
  readonly attempts: number
  /** The element as JSON. */
  readonly json: Uint8Array
  private readonly row: QueueRow & { readonly claim: Claim }
  private readonly parts: SettlingParts

  constructor(row: QueueRow & { readonly claim: Claim }, json: Uint8Array, parts: SettlingParts) {
    this.row = row
    this.id = row.id
    this.attempts = row.attempts
    this.json = json
    this.parts = parts
  }

  get text(): string {
    return decoder.decode(this.json)
  }

  get complete(): Effect.Effect<void> {
    const { keys, now } = this.parts
    return this.settle(
      "completed",
      Effect.map(now, (ms) => [
        Op.delete(keys.row(this.row.place)),
        Op.put(keys.element(this.id), encodeCompleted(this.row.claim)),
        Op.put(keys.completed(this.id, ms), "")
      ])
    )
  }

  /** Another attempt, after a while. */
  retry(delayMs: number): Effect.Effect<void> {
    const { keys, now, place } = this.parts
    const { attempts, id } = this
    return this.settle(
      "tried again",
      Effect.map(now, (ms) => [
        Op.delete(keys.row(this.row.place)),
        Op.put(
          keys.row(place(ms + delayMs)),
          encodeQueueRow({ id, attempts, delayed: delayMs > 0, claim: undefined, copy: copyOf(this.text) })
        )
      ])
    )
  }

  /** Gives the attempt back: others find the element where it was. */
  get release(): Effect.Effect<void> {
    return this.settle("given back", Effect.succeed([this.freed.put]), this.freed.row)
  }

  /** The same at the end of a process: there is no time to repeat it. */
  get releaseAtOnce(): Effect.Effect<void> {
    const { put, row } = this.freed
    return Effect.asVoid(
      Effect.timeoutOption(this.settling("given back", Effect.succeed([put]), row), lastPatienceMs)
    )
  }

  private get freed(): { readonly row: QueueRow; readonly put: Op<unknown> } {
    const row = { ...this.row, attempts: this.attempts - 1, claim: undefined, copy: copyOf(this.text) }
    return { row, put: Op.put(this.parts.keys.row(row.place), encodeQueueRow(row)) }
  }

  /** No more attempts: a dead letter. */
  fail(reason: string): Effect.Effect<void> {
    const { keys, now } = this.parts
    const { attempts, id } = this
    return this.settle(
      "failed",
      Effect.map(now, (ms) => [
        Op.delete(keys.row(this.row.place)),
        Op.put(keys.element(id), encodeFailed(this.json, { id, attempts, reason })),
        Op.put(keys.failed(id, ms), "")
      ])
    )
  }

  /** Settles, and waits for it as long as that is reasonable. `left` is the row that there is afterwards. */
  private settle(what: Outcome, operations: Effect.Effect<Ops, unknown>, left?: QueueRow): Effect.Effect<void> {
    return Effect.flatMap(this.attemptOf(operations), (attempt) =>
      Effect.matchEffect(attempt, {
        onSuccess: (result) => this.settled(what, result, left, false),
        onFailure: (failure) => this.settleLater(what, attempt, left, failure)
      }))
  }

  private settling(what: Outcome, operations: Effect.Effect<Ops, unknown>, left?: QueueRow): Effect.Effect<void> {
    return Effect.flatMap(this.attemptOf(operations), (attempt) => this.repeat(what, attempt, left))
  }

  /** One attempt, made once, so that repeating it is repeating the same. */
  private attemptOf(operations: Effect.Effect<Ops, unknown>): Effect.Effect<Effect.Effect<StepResult, WriteFailure>> {
    const { keys, steps } = this.parts
    const { place, revision } = this.row
    const key = keys.row(place)
    return Effect.map(
      // They seldom fail: the machinery of a schedule is made when they do.
      Effect.catch(operations, () => Effect.orDie(Effect.retry(operations, Schedule.spaced(retryMs)))),
      (ops) => steps.take(stepOf([Compare.modRevision(key).equals(revision)], ops, settlements))
    )
  }

  /** Goes on in the background after an attempt failed. */
  private settleLater(
    what: Outcome,
    attempt: Effect.Effect<StepResult, WriteFailure>,
    left: QueueRow | undefined,
    failure: WriteFailure
  ): Effect.Effect<void> {
    return Effect.flatMap(
      Effect.forkIn(this.repeat(what, attempt, left, failure), this.parts.scope),
      (fiber) =>
        Effect.raceFirst(
          Effect.asVoid(Fiber.await(fiber)),
          Effect.andThen(
            Effect.interruptible(Effect.sleep(patienceMs)),
            Effect.logWarning(
              `an element of the queue ${this.parts.keys.name} is not ${what} yet: no answer for ${patienceMs} ms; ` +
                "it is repeated"
            )
          )
        )
    )
  }

  private readonly repeat = Effect.fnUntraced({ self: this }, function*(
    this: Claimed,
    what: Outcome,
    attempt: Effect.Effect<StepResult, WriteFailure>,
    left: QueueRow | undefined,
    failure?: WriteFailure
  ) {
    let doubtful = false
    for (let last = failure;;) {
      if (last !== undefined) {
        if (outcomeOf(last) === "refused") {
          yield* Effect.logError(`an element of the queue ${this.parts.keys.name} could not be ${what}`, last)
          return
        }
        doubtful ||= outcomeOf(last) === "unknown"
        yield* Effect.sleep(retryMs)
      }
      const result = yield* Effect.result(attempt)
      if (result._tag === "Success") return yield* this.settled(what, result.success, left, doubtful)
      last = result.failure
    }
  })

  private settled(
    what: Outcome,
    { revision, succeeded }: StepResult,
    left: QueueRow | undefined,
    doubtful: boolean
  ): Effect.Effect<void> {
    const { changed, counts, keys, removed } = this.parts
    if (succeeded && left !== undefined) changed({ ...left, revision })
    else if (succeeded) removed(this.row.place, revision)
    // After an answer that was lost, the first attempt may be what changed the row.
    if (succeeded || doubtful) {
      counts.settled(what)
      return Effect.void
    }
    return Effect.logWarning(
      `an element of the queue ${keys.name} could not be ${what}: its claim ended, and another consumer has it`,
      { id: this.id, attempts: this.attempts }
    )
  }
}
