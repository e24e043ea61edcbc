/**
 * Puts elements into the queues of a store. An element is handed to a worker of this process in the same step, when one
 * is next for it.
 */
import { Duration, Effect } from "effect"
import type { PersistedQueue } from "effect/persistence"
import { Compare, Op } from "../../../client/Txn.ts"
import type { LogTime } from "../../LogTime.ts"
import { outcomeOf } from "../../Outcome.ts"
import type { StepWriter } from "../../StepWriter.ts"
import { Sharing, stepOf } from "../../StepWriter.ts"
import type { Claimer } from "./Claimer.ts"
import { offerRetries } from "./HandOvers.ts"
import { copyOf, encodePending, encodeQueueRow, maxElementBytes, maxIdLength, QueueKeys } from "./Layout.ts"
import type { PlaceSequence } from "./Places.ts"

const encoder = new TextEncoder()

type OfferOptions = Parameters<PersistedQueue.PersistedQueueStore["Service"]["offer"]>[0]

export interface OffersParts {
  readonly steps: StepWriter
  readonly now: LogTime["Service"]["now"]
  readonly places: PlaceSequence
  /** Before every key. */
  readonly prefix: string
  /** The claimer of a queue, when this process has one. */
  readonly claimer: (name: string) => Claimer | undefined
}

export class Offers {
  private readonly parts: OffersParts
  // A random id is new; one that the caller gave may be there already.
  private readonly randomIds = new Sharing()
  private readonly givenIds = new Sharing()
  /** Of the queue that got an element last. */
  private lastKeys: QueueKeys | undefined

  constructor(parts: OffersParts) {
    this.parts = parts
  }

  /** Stores an element, unless its id is there. The failure is of any kind. */
  add({ delay, element, id, isCustomId, name }: OfferOptions): Effect.Effect<void, unknown> {
    return Effect.gen({ self: this }, function*() {
      const { claimer: claimerOf, now, places, prefix, steps } = this.parts
      const { json, text } = yield* encode(id, element)
      if (this.lastKeys?.name !== name) this.lastKeys = new QueueKeys(prefix, name)
      const keys = this.lastKeys
      const nowMs = yield* now
      const delayMs = delay === undefined ? 0 : Math.ceil(Duration.toMillis(delay))
      const place = delayMs > 0 ? places.at(nowMs + delayMs) : places.next(nowMs)
      const claimer = claimerOf(name)
      const sharing = isCustomId ? this.givenIds : this.randomIds
      const fiber = yield* Effect.withFiber(({ id }) => Effect.succeed(id))
      const handOver = delayMs > 0 ? undefined : claimer?.handOver({ place, id, json, sharing }, nowMs, fiber)
      if (handOver !== undefined && (yield* handOver)) return
      const row = { id, attempts: 0, delayed: delayMs > 0, claim: undefined, copy: copyOf(text) }
      const key = keys.element(id)
      const put = steps.take(stepOf(
        [Compare.missing(key), Compare.missing(keys.handedOver(id))],
        [Op.put(key, encodePending(json)), Op.put(keys.row(place), encodeQueueRow(row))],
        sharing
      ))
      // It takes effect once at most: a second attempt finds its key, as an id that was offered before does.
      const { revision, succeeded } = yield* Effect.retry(put, {
        times: offerRetries,
        while: (failure) => outcomeOf(failure) === "unknown"
      })
      if (succeeded) claimer?.offered({ ...row, place, revision })
    })
  }
}

/** An element as JSON, in bytes and as text. */
const encode = Effect.fnUntraced(function*(id: string, element: unknown) {
  if (id.length > maxIdLength) {
    return yield* Effect.fail(new Error(`the id has ${id.length} characters; at most ${maxIdLength} are allowed`))
  }
  const text = yield* Effect.try({ try: () => JSON.stringify(element), catch: (cause) => cause })
  if (text === undefined) return yield* Effect.fail(new Error("the element has no JSON"))
  const json = encoder.encode(text)
  if (json.byteLength > maxElementBytes) {
    return yield* Effect.fail(
      new Error(
        `the element has ${json.byteLength} bytes as JSON; at most ${maxElementBytes} are allowed. Store larger ` +
          "data elsewhere and its name here"
      )
    )
  }
  return { json, text }
})
