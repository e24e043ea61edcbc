/**
 * Claims elements that wait: each is one step on the condition that the row is as it was seen, and that its
 * claimer before is gone. What became of a claim is found out however long that takes, because no other process handles
 * a row that this one has claimed.
 */
import { Effect, Fiber, Option } from "effect"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../../client/KeyValue.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import type { StepWriter } from "../../StepWriter.ts"
import { Sharing, stepOf } from "../../StepWriter.ts"
import type { Claim, HandedRow, QueueKeys, QueueRow } from "./Layout.ts"
import { decodeElement, decodeHanded, decodeQueueRow, encodeQueueRow } from "./Layout.ts"
import type { Mirror } from "./Mirror.ts"
import type { Presence } from "./Presence.ts"
import { answered, repeated } from "./Repeated.ts"

export type ClaimedRow = QueueRow & { readonly claim: Claim }

export interface ClaimsParts {
  readonly kv: KeyValue["Service"]
  readonly steps: StepWriter
  readonly keys: QueueKeys
  /** The mirror of now; `undefined` while there is none. */
  readonly mirror: () => Mirror | undefined
  /** Takes a row that was claimed. Without JSON there is no element; `spent` means that it had all its attempts. */
  readonly hand: (row: ClaimedRow, json: Uint8Array | undefined, spent: boolean) => Effect.Effect<void>
}

/** A row as it is, whether its claimer is still there, and when that was so. */
interface Look<Row> {
  readonly found: Row | undefined
  readonly isPresent: boolean
  readonly revision: number
}

export class Claims {
  private readonly parts: ClaimsParts
  private readonly sharing = new Sharing()

  constructor(parts: ClaimsParts) {
    this.parts = parts
  }

  /** Claims one element, and hands it on. Another consumer may be faster. It fails when the store refuses the claim. */
  readonly claim = Effect.fnUntraced({ self: this }, function*(
    this: Claims,
    presence: Presence,
    row: QueueRow,
    maxAttempts: number
  ): Effect.fn.Return<void, WriteFailure> {
    const { hand, keys, mirror, steps } = this.parts
    const claim = presence.claim()
    const spent = row.attempts >= maxAttempts
    const next = { ...row, attempts: row.attempts + (spent ? 0 : 1), claim, copy: undefined }
    const key = keys.row(row.place)
    const conditions = [
      Compare.modRevision(key).equals(row.revision),
      presence.holds,
      ...(row.claim === undefined ? [] : [Compare.missing(keys.claimer(row.claim.claimer))])
    ]
    // The element of a row never changes: reading a large one beside the claim makes one trip of both.
    const element = row.copy === undefined
      ? Fiber.join(yield* Effect.forkChild(this.json(row.id)))
      : Effect.succeed(encoder.encode(row.copy))
    const attempt = yield* repeated(
      steps.take(stepOf(conditions, [Op.put(key, encodeQueueRow(next))], this.sharing))
    )
    if (attempt.succeeded) return yield* hand({ ...next, revision: attempt.revision }, yield* element, spent)
    const { found, isPresent, revision } = yield* answered(
      `what became of a claim in the queue ${keys.name}`,
      this.look(presence, row.place)
    )
    if (!isPresent) return presence.lose()
    if (found === undefined) return mirror()?.remove(row.place, revision)
    // An earlier attempt, whose answer was lost, took effect.
    if (found.claim?.token === claim.token) {
      return yield* hand({ ...next, revision: found.revision }, yield* this.json(row.id), spent)
    }
    if (found.revision !== row.revision) return mirror()?.put(found)
    // Its claimer is there, which the watch has yet to report.
    if (row.claim !== undefined) mirror()?.claimerWasThere(row.claim.claimer, revision)
  })

  /** The element as JSON, if its key still holds it. */
  private json(id: string): Effect.Effect<Uint8Array | undefined> {
    const { keys, kv } = this.parts
    return Effect.map(
      answered(
        `an element of the queue ${keys.name}`,
        kv.get(keys.element(id), { consistency: "linearizable" })
      ),
      jsonOf
    )
  }

  /** Reads a row, and whether its claimer is still there. */
  look(presence: Presence, place: string): Effect.Effect<Look<QueueRow>, ReadFailure | WriteFailure> {
    return this.lookAt(
      presence,
      this.parts.keys.row(place),
      (entry) => decodeQueueRow(place, entry.value, entry.modRevision)
    )
  }

  /** The same of an element that its offer has claimed. */
  lookHanded(presence: Presence, id: string): Effect.Effect<Look<HandedRow>, ReadFailure | WriteFailure> {
    return this.lookAt(
      presence,
      this.parts.keys.handedOver(id),
      (entry) => decodeHanded(entry.value, entry.modRevision)
    )
  }

  private lookAt<Row>(
    presence: Presence,
    key: string,
    decode: (entry: KeyValueEntry) => Row | undefined
  ): Effect.Effect<Look<Row>, ReadFailure | WriteFailure> {
    const read = this.parts.kv.transact(
      { do: [Op.get(key), Op.get(presence.key)] },
      { consistency: "linearizable" }
    )
    return Effect.map(read, (txn) => {
      if (!txn.succeeded) throw new Error("a transaction without conditions did not succeed")
      const [row, own] = txn.results
      return {
        revision: txn.revision,
        isPresent: Option.isSome(own),
        found: Option.isNone(row) ? undefined : decode(row.value)
      }
    })
  }
}

const encoder = new TextEncoder()

const jsonOf = (element: Option.Option<KeyValueEntry>): Uint8Array | undefined => {
  const state = Option.isNone(element) ? undefined : decodeElement(element.value.value)
  return state?._tag === "Pending" ? state.json : undefined
}
