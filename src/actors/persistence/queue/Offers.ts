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
import type { QueueRow } from "./Layout.ts"
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
  add(offer: OfferOptions): Effect.Effect<void, unknown> {
    return Effect.withFiber(({ id }) => {
      let encoded: Encoded
      try {
        encoded = encode(offer)
      } catch (cause) {
        return Effect.fail(cause)
      }
      return Effect.flatMap(this.parts.now, (nowMs) => this.addAt(offer, encoded, nowMs, id))
    })
  }

  private addAt(offer: OfferOptions, encoded: Encoded, nowMs: number, fiber: number): Effect.Effect<void, unknown> {
    const { delay, id, isCustomId, name } = offer
    const { claimer: claimerOf, places, prefix } = this.parts
    if (this.lastKeys?.name !== name) this.lastKeys = new QueueKeys(prefix, name)
    const keys = this.lastKeys
    const delayMs = delay === undefined ? 0 : Math.ceil(Duration.toMillis(delay))
    const place = delayMs > 0 ? places.at(nowMs + delayMs) : places.next(nowMs)
    const claimer = claimerOf(name)
    const sharing = isCustomId ? this.givenIds : this.randomIds
    const { json, text } = encoded
    const row = () => ({ place, id, attempts: 0, delayed: delayMs > 0, claim: undefined, copy: copyOf(text) })
    const handOver = delayMs > 0 ? undefined : claimer?.handOver({ place, id, json, sharing }, nowMs, fiber)
    if (handOver === undefined) return this.put(keys, row(), json, sharing, claimer)
    return Effect.flatMap(
      handOver,
      (isClaimed) => isClaimed ? Effect.void : this.put(keys, row(), json, sharing, claimer)
    )
  }

  /** Stores an element that waits for a worker. */
  private readonly put = Effect.fnUntraced({ self: this }, function*(
    this: Offers,
    keys: QueueKeys,
    row: Omit<QueueRow, "revision">,
    json: Uint8Array,
    sharing: Sharing,
    claimer: Claimer | undefined
  ) {
    const key = keys.element(row.id)
    const put = this.parts.steps.take(stepOf(
      [Compare.missing(key), Compare.missing(keys.handedOver(row.id))],
      [Op.put(key, encodePending(json)), Op.put(keys.row(row.place), encodeQueueRow(row))],
      sharing
    ))
    // It takes effect once at most: a second attempt finds its key, as an id that was offered before does.
    const { revision, succeeded } = yield* Effect.retry(put, {
      times: offerRetries,
      while: (failure) => outcomeOf(failure) === "unknown"
    })
    if (succeeded) claimer?.offered({ ...row, revision })
  })
}

/** An element as JSON, in bytes and as text. */
interface Encoded {
  readonly json: Uint8Array
  readonly text: string
}

/** Throws what is wrong with an element that cannot be stored. */
const encode = ({ element, id }: OfferOptions): Encoded => {
  if (id.length > maxIdLength) {
    throw new Error(`the id has ${id.length} characters; at most ${maxIdLength} are allowed`)
  }
  const text: string | undefined = JSON.stringify(element)
  if (text === undefined) throw new Error("the element has no JSON")
  const json = encoder.encode(text)
  if (json.byteLength > maxElementBytes) {
    throw new Error(
      `the element has ${json.byteLength} bytes as JSON; at most ${maxElementBytes} are allowed. Store larger ` +
        "data elsewhere and its name here"
    )
  }
  return { json, text }
}
