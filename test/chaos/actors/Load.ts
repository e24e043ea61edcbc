/**
 * Messages for the entities of `Tally.ts`, at a bounded rate, from a process that runs none. A message that was not
 * answered is sent again until it is, with the same id, so each that was begun has to take effect once.
 */
import { Cause, Effect, Schedule } from "effect"
import type { Random } from "../../simulation/Random.ts"
import { due, effectKey, message, messageTo, Tally } from "./Tally.ts"

export interface LoadOptions {
  readonly random: Random
  readonly entities: number
  /** Messages that wait for their answers at a time. */
  readonly inFlight: number
  readonly perSecond: number
  /** Asked before each message. */
  readonly stopped: () => boolean
}

/** Latest time at which a message is due, in milliseconds from its sending. */
const dueWithinMs = 1_500

/** Messages that are sent once more at the end. */
const askedAgain = 64

/** Pause before a message that failed is sent again. */
const again = Schedule.spaced("100 millis")

/** A call that ended as if its caller had been interrupted. */
const interrupted = { _tag: "Interrupted" } as const

/** What was sent, and what must therefore be there in the end. */
export class Ledger {
  /** The keys of the effects. */
  readonly expected = new Set<string>()
  answered = 0
  /** Answers that were no answers to the message. */
  readonly wrong: Array<string> = []
  /** Calls that failed, and were repeated. */
  readonly failures = new Map<string, number>()
  longestMs = 0
  /** When messages were sent that are not answered, by the keys of their effects. */
  readonly waiting = new Map<string, number>()
  /** Some of the messages that were answered, to be sent once more. */
  readonly recorded: Array<{ readonly entity: string; readonly id: string }> = []
  private sent = 0

  get next(): string {
    this.sent += 1
    return `m${this.sent}`
  }

  /** Sends a message that is recorded until it is answered, and keeps it for another time. */
  record<E extends { readonly _tag: string }, R>(
    entity: string,
    id: string,
    call: Effect.Effect<string, E, R>
  ): Effect.Effect<void, never, R> {
    return Effect.map(this.answer(entity, id, call), () => {
      this.recorded.push({ entity, id })
      if (this.recorded.length > askedAgain) this.recorded.shift()
    })
  }

  /** Sends a message until it is answered. */
  answer<E extends { readonly _tag: string }, R>(
    entity: string,
    id: string,
    call: Effect.Effect<string | void, E, R>
  ): Effect.Effect<void, never, R> {
    return Effect.suspend((): Effect.Effect<void, never, R> => {
      const key = effectKey(entity, id)
      const calledMs = performance.now()
      this.expected.add(key)
      this.waiting.set(key, calledMs)
      return call.pipe(
        Effect.catchCause((cause): Effect.Effect<never, E | typeof interrupted> => {
          if (!Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
          this.wrong.push(`${id} was answered with an interruption, which nobody asked for`)
          return Effect.fail(interrupted)
        }),
        Effect.tapError(({ _tag }) =>
          Effect.sync(() => {
            this.failures.set(_tag, (this.failures.get(_tag) ?? 0) + 1)
          })
        ),
        Effect.retry(again),
        Effect.orDie,
        Effect.map((answer) => {
          this.answered += 1
          this.waiting.delete(key)
          this.longestMs = Math.max(this.longestMs, performance.now() - calledMs)
          if (typeof answer === "string" && answer !== id) this.wrong.push(`${id} was answered ${answer}`)
        })
      )
    })
  }
}

export const entityName = (number: number): string => `tally ${number}`

/** Sends messages until it is told to stop, and ends when the last of them is answered. */
export const run = Effect.fnUntraced(function*(ledger: Ledger, options: LoadOptions) {
  const { entities, inFlight, perSecond, random, stopped } = options
  const tally = yield* Tally.client
  const beganMs = performance.now()
  let turns = 0
  const one = Effect.suspend(() => {
    const entity = entityName(random.below(entities))
    const id = ledger.next
    switch (random.weighted([["record", 60], ["forward", 15], ["discard", 15], ["due", 10]])) {
      case "record":
        return ledger.record(entity, id, tally(entity).Record(message(id)))
      case "forward": {
        const to = entityName(random.below(entities))
        ledger.expected.add(effectKey(to, `${id} forwarded`))
        return ledger.answer(entity, id, tally(entity).Forward(messageTo(id, to)))
      }
      case "discard":
        return ledger.answer(entity, id, tally(entity).Record(message(id), { discard: true }))
      case "due": {
        const atMs = Date.now() + random.below(dueWithinMs)
        return ledger.answer(entity, id, tally(entity).RecordDue(due(id, atMs), { discard: true }))
      }
    }
  })
  const loop = Effect.gen(function*() {
    while (!stopped()) {
      yield* one
      turns += 1
      const aheadMs = beganMs + turns * 1_000 / perSecond - performance.now()
      if (aheadMs > 0) yield* Effect.sleep(aheadMs)
    }
  })
  yield* Effect.all(Array.from({ length: inFlight }, () => loop), { concurrency: "unbounded", discard: true })
})

/** Sends a message to every entity, and ends when all of them have answered. */
export const everyEntity = Effect.fnUntraced(function*(ledger: Ledger, entities: number) {
  const tally = yield* Tally.client
  yield* Effect.forEach(Array.from({ length: entities }, (_, i) => entityName(i)), (entity) => {
    const id = ledger.next
    return ledger.answer(entity, id, tally(entity).Record(message(id)))
  }, { concurrency: "unbounded", discard: true })
})
