/**
 * An element that this process has claimed, until it is settled: completed, tried again later, given back, or failed
 * for good. Each is one transaction on the condition that the row is as the claim left it, so that nothing of a claim
 * that another consumer took over has any effect.
 */
import { Effect, Fiber } from "effect"
import type { Scope } from "effect"
import type { WriteFailure } from "../../../client/KeyValue.ts"
import type { Ops } from "../../../client/Txn.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import type { Outcome, QueueCounts } from "../../ActorMetrics.ts"
import { outcomeOf } from "../../Outcome.ts"
import type { Claim, QueueKeys, QueueRow } from "./Layout.ts"
import { copyOf, encodeCompleted, encodeFailed, encodePending, encodeQueueRow, listedId } from "./Layout.ts"
import { retryMs } from "./Repeated.ts"
import type { Step, StepList, StepResult, StepWriter } from "../../StepWriter.ts"
import { Sharing, stepOf } from "../../StepWriter.ts"
import { utf8Text } from "../../../bytes/Utf8.ts"

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
  /** Where completed elements are listed. */
  readonly completions: StepList
  /** What settlements live in that outlast the worker's patience. */
  readonly scope: Scope.Scope
  /** The cluster's time, however long it takes to learn it. */
  readonly now: Effect.Effect<number>
  /** A new place, whose element is due at that time. */
  readonly place: (ms: number) => string
  /** A row was removed, at a revision. */
  readonly removed: (place: string, revision: number) => void
  /** A row was changed. */
  readonly changed: (row: QueueRow) => void
}

/** What settles an element. */
interface Settlement {
  readonly do: Ops
  readonly listed?: Step["listed"]
}

export class Claimed {
  readonly id: string
  /** This attempt, from 1. */
  readonly attempts: number
  /** The element as JSON. */
  readonly json: Uint8Array
  private readonly row: QueueRow & { readonly claim: Claim }
  /** Whether its offer has claimed it: then it has a key of another kind. */
  private readonly isHanded: boolean
  private readonly key: string
  private readonly parts: SettlingParts

  constructor(
    row: QueueRow & { readonly claim: Claim },
    json: Uint8Array,
    isHanded: boolean,
    parts: SettlingParts
  ) {
    this.row = row
    this.isHanded = isHanded
    this.id = row.id
    this.attempts = row.attempts
    this.json = json
    this.parts = parts
    this.key = isHanded ? parts.keys.handedOver(row.id) : parts.keys.row(row.place)
  }

  get text(): string {
    return utf8Text(this.json)
  }

  /** Puts the row in a place. An element that its offer has claimed gets the key that the others have. */
  private moveTo(place: string, row: Omit<QueueRow, "place" | "revision">): Ops {
    const { keys } = this.parts
    return [
      ...this.isHanded ? [Op.put(keys.element(this.id), encodePending(this.json))] : [],
      ...this.key === keys.row(place) ? [] : [Op.delete(this.key)],
      Op.put(keys.row(place), encodeQueueRow(row))
    ]
  }

  get complete(): Effect.Effect<void> {
    const { completions: list, keys, now } = this.parts
    return Effect.flatMap(now, (ms) =>
      this.settleBy("completed", {
        do: [Op.delete(this.key), Op.put(keys.element(this.id), encodeCompleted(this.row.claim))],
        listed: { list, entry: { text: listedId(this.id), ms } }
      }))
  }

  /** Another attempt, after a while. */
  retry(delayMs: number): Effect.Effect<void> {
    const { now, place } = this.parts
    const { attempts, id } = this
    const row = { id, attempts, delayed: delayMs > 0, claim: undefined, copy: copyOf(this.text) }
    return this.settle("tried again", Effect.map(now, (ms) => ({ do: this.moveTo(place(ms + delayMs), row) })))
  }

  /** Gives the attempt back: others find the element where it was. */
  get release(): Effect.Effect<void> {
    const { freed } = this
    return this.settle("given back", Effect.succeed({ do: this.moveTo(freed.place, freed) }), freed)
  }

  /** The same at the end of a process: there is no time to repeat it. */
  get releaseAtOnce(): Effect.Effect<void> {
    const { freed } = this
    const settlement = Effect.succeed({ do: this.moveTo(freed.place, freed) })
    return Effect.asVoid(Effect.timeoutOption(this.settling("given back", settlement, freed), lastPatienceMs))
  }

  private get freed(): QueueRow {
    return { ...this.row, attempts: this.attempts - 1, claim: undefined, copy: copyOf(this.text) }
  }

  /** No more attempts: a dead letter. */
  fail(reason: string): Effect.Effect<void> {
    const { keys, now } = this.parts
    const { attempts, id } = this
    return this.settle(
      "failed",
      Effect.map(now, (ms) => ({
        do: [
          Op.delete(this.key),
          Op.put(keys.element(id), encodeFailed(this.json, { id, attempts, reason })),
          Op.put(keys.failed(id, ms), "")
        ]
      }))
    )
  }

  /** Settles, and waits for it as long as that is reasonable. `left` is the row that there is afterwards. */
  private settle(what: Outcome, made: Effect.Effect<Settlement>, left?: QueueRow): Effect.Effect<void> {
    return Effect.flatMap(made, (settlement) => this.settleBy(what, settlement, left))
  }

  private settleBy(what: Outcome, settlement: Settlement, left?: QueueRow): Effect.Effect<void> {
    const attempt = this.attemptOf(settlement)
    return Effect.matchEffect(attempt, {
      onSuccess: (result) => this.settled(what, result, left, false),
      onFailure: (failure) => this.settleLater(what, attempt, left, failure)
    })
  }

  private settling(what: Outcome, made: Effect.Effect<Settlement>, left?: QueueRow): Effect.Effect<void> {
    return Effect.flatMap(made, (settlement) => this.repeat(what, this.attemptOf(settlement), left))
  }

  /** One attempt, made once, so that repeating it is repeating the same. */
  private attemptOf(settlement: Settlement): Effect.Effect<StepResult, WriteFailure> {
    const unchanged = Compare.modRevision(this.key).equals(this.row.revision)
    return this.parts.steps.take(stepOf([unchanged], settlement.do, settlements, settlement.listed))
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
    else if (succeeded && !this.isHanded) removed(this.row.place, revision)
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
