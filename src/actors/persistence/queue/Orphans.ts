/**
 * Elements that offers have claimed, and whose claimer is gone: they are moved to where consumers claim. Each is one
 * transaction on the condition that the element is as it was seen and its claimer is not there. So it does no harm that
 * all claimers of a queue look for them at once, nor that an answer is lost.
 */
import { Effect, Latch } from "effect"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../../client/KeyValue.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import type { QueueKeys } from "./Layout.ts"
import { copyOf, decodeHanded, encodePending, encodeQueueRow } from "./Layout.ts"
import type { Mirror } from "./Mirror.ts"
import { repeated } from "./Repeated.ts"
import { utf8Text } from "../../../bytes/Utf8.ts"

export interface OrphansParts {
  readonly kv: KeyValue["Service"]
  readonly keys: QueueKeys
}

/** Rows that are read at once: each may have 960 KiB. */
const pageRows = 64

export class Orphans {
  private readonly parts: OrphansParts
  private readonly wanted = Latch.makeUnsafe(false)

  constructor(parts: OrphansParts) {
    this.parts = parts
  }

  /** There may be some: a claimer is gone, or this one has just come. */
  look(): void {
    this.wanted.openUnsafe()
  }

  /** Moves them whenever there may be some. It fails when the store does, and is to be begun again then. */
  move(mirror: Mirror): Effect.Effect<never, ReadFailure | WriteFailure> {
    return Effect.forever(
      Effect.andThen(
        this.wanted.await,
        Effect.suspend(() => {
          this.wanted.closeUnsafe()
          // After a failure, or an interruption, there may still be some.
          return Effect.onError(this.moveAll(mirror), () => Effect.sync(() => this.look()))
        })
      )
    )
  }

  private readonly moveAll = Effect.fnUntraced({ self: this }, function*(this: Orphans, mirror: Mirror) {
    const { keys, kv } = this.parts
    let cursor: Uint8Array | undefined
    do {
      const page = yield* kv.scan(keys.handed, { cursor, limit: pageRows })
      yield* Effect.forEach(page.entries, (entry) => this.moveOne(mirror, entry), {
        concurrency: "unbounded",
        discard: true
      })
      cursor = page.cursor
    } while (cursor !== undefined)
  })

  private moveOne(mirror: Mirror, { key, modRevision, value }: KeyValueEntry): Effect.Effect<void, WriteFailure> {
    const { keys, kv } = this.parts
    const found = decodeHanded(value, modRevision)
    if (found === undefined || mirror.hasClaimer(found.claim.claimer)) return Effect.void
    const { claim, id, json, place } = found
    const row = { id, attempts: 1, delayed: false, claim: undefined, copy: copyOf(utf8Text(json)) }
    const txn = kv.transact({
      if: [Compare.modRevision(key).equals(modRevision), Compare.missing(keys.claimer(claim.claimer))],
      do: [
        Op.delete(key),
        Op.put(keys.element(id), encodePending(json)),
        Op.put(keys.row(place), encodeQueueRow(row))
      ]
    })
    // Otherwise it is settled, another claimer has moved it, or its claimer came after the list of them was read.
    return Effect.asVoid(repeated(txn))
  }
}
