/**
 * Offers that claim their element with the same step, when a worker of this process is next for it. The caller may
 * be interrupted, and need not wait for ever: what may be claimed becomes known nevertheless.
 */
import { Effect, Exit, FiberSet } from "effect"
import type { WriteFailure } from "../../../client/KeyValue.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import { Indeterminate } from "../../../FlareDbError.ts"
import { outcomeOf } from "../../Outcome.ts"
import type { Sharing, Step, StepExit, StepResult, StepWriter } from "../../StepWriter.ts"
import { stepOf } from "../../StepWriter.ts"
import type { Claims } from "./Claims.ts"
import type { HandedRow, QueueKeys } from "./Layout.ts"
import { encodeHanded } from "./Layout.ts"
import type { Presence } from "./Presence.ts"
import { pause } from "./Repeated.ts"
import type { Returning } from "./Workers.ts"

/** Times that an offer is repeated whose answer was lost. */
export const offerRetries = 3

/** An element that this process offers. */
export interface Offered {
  readonly place: string
  readonly id: string
  readonly json: Uint8Array
  readonly sharing: Sharing
}

export interface HandOversParts {
  readonly steps: StepWriter
  readonly keys: QueueKeys
  readonly claims: Claims
  /** Takes the row that was claimed, for the worker that is held for it; `undefined` when none was. */
  readonly ended: (row: HandedRow | undefined, held: Returning | undefined) => void
}

/** One of them. */
interface HandOver {
  readonly presence: Presence
  readonly held: Returning | undefined
  readonly row: Omit<HandedRow, "revision">
  /** It takes effect once: another attempt finds a key of the element. */
  readonly step: Step
  /** Answers the caller whether the element is claimed. Only the first call counts. */
  readonly answer: (claimed: Exit.Exit<boolean, WriteFailure>) => void
}

export class HandOvers {
  private readonly parts: HandOversParts
  private readonly run: (work: Effect.Effect<void>) => void
  private count = 0
  private isClosed = false

  private constructor(parts: HandOversParts, run: (work: Effect.Effect<void>) => void) {
    this.parts = parts
    this.run = run
  }

  static readonly make = Effect.fnUntraced(function*(parts: HandOversParts) {
    const handOvers: HandOvers = new HandOvers(parts, yield* FiberSet.makeRuntime<never>())
    yield* Effect.addFinalizer(() => Effect.sync(() => handOvers.isClosed = true))
    return handOvers
  })

  /** How many are under way. */
  get size(): number {
    return this.count
  }

  /** Gives `false` when the claimer is gone or the id is taken: offering without a claim says which. */
  offer(
    presence: Presence,
    element: Offered,
    held: Returning | undefined
  ): Effect.Effect<boolean, WriteFailure> {
    return Effect.callback((resume) => {
      const { keys, steps } = this.parts
      const { id, json, place, sharing } = element
      const key = keys.handedOver(id)
      const row = { place, id, claim: presence.claim(), json }
      const step = stepOf(
        [Compare.missing(keys.element(id)), Compare.missing(key), presence.holds],
        [Op.put(key, encodeHanded(row))],
        sharing
      )
      const one: HandOver = { presence, held, row, step, answer: resume }
      this.count++
      steps.submit(step, (exit) => {
        if (Exit.isSuccess(exit) && exit.value.succeeded) {
          return this.end(one, { place, id, claim: row.claim, json, revision: exit.value.revision })
        }
        if (!this.isClosed) return this.run(this.findOut(one, exit))
        one.answer(closed)
        this.end(one, undefined)
      })
    })
  }

  private end(one: HandOver, row: HandedRow | undefined): void {
    this.count--
    this.parts.ended(row, one.held)
    one.answer(Exit.succeed(row !== undefined))
  }

  /** Goes on after a first attempt that did not say that the element is claimed. */
  private findOut(one: HandOver, first: StepExit): Effect.Effect<void> {
    let claimed: HandedRow | undefined
    const attempts = Effect.gen({ self: this }, function*() {
      let doubtful = false
      let exit = first
      for (let failures = 0;;) {
        const found = yield* Effect.result(Effect.flatMap(exit, (result) => this.became(one, result)))
        if (found._tag === "Success") return found.success
        const outcome = outcomeOf(found.failure)
        doubtful ||= outcome === "unknown"
        if (!doubtful || ++failures > offerRetries) one.answer(Exit.fail(found.failure))
        if (!doubtful || outcome === "refused") return undefined
        yield* pause
        exit = yield* Effect.exit(this.parts.steps.take(one.step))
      }
    })
    return Effect.onExit(
      Effect.map(attempts, (row) => {
        claimed = row
      }),
      (exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit)) one.answer(closed)
          this.end(one, claimed)
        })
    )
  }

  /** The row, if this or an earlier attempt claimed it. */
  private became(
    { presence, row }: HandOver,
    { revision, succeeded }: StepResult
  ): Effect.Effect<HandedRow | undefined, WriteFailure> {
    if (succeeded) return Effect.succeed({ ...row, revision })
    return Effect.map(
      this.parts.claims.lookHanded(presence, row.id),
      ({ found }) => found?.claim.token === row.claim.token ? { ...row, revision: found.revision } : undefined
    )
  }
}

const closed = Exit.fail(new Indeterminate({ reason: "the store of the queue was closed" }))
