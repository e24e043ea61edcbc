/** The rows of messages, as JSON. */
import { Effect } from "effect"
import type { Envelope, Reply } from "effect/cluster"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import { UnknownRow } from "./Failures.ts"

/** Envelopes of at most so many characters are kept in the queue as well, where they need no read of their own. */
export const maxQueuedEnvelope = 1_024

/** A request, as it was saved. */
export interface RequestRow {
  readonly envelope: Envelope.PartialRequestEncoded
  readonly shard: string
  readonly primaryKey: string | null
  readonly deliverAt: number | null
}

/** A request that waits. */
export interface WaitingRow {
  readonly type: string
  readonly entity: string
  readonly deliverAt?: number
  /** Its place in the queue, when that is not where the row was put. */
  readonly order?: number
  /** Absent for a large one, which is in the request's row. */
  readonly envelope?: Envelope.PartialRequestEncoded
}

export interface ExitRow {
  readonly reply: Reply.WithExitEncoded
  /** The hour in which it was stored, of the row for retention; absent when it is kept for good. */
  readonly hour?: number
}

export interface PrimaryKeyRow {
  readonly id: string
  readonly shard: string
}

export interface EntityRow {
  readonly shard: string
  readonly primaryKey: string | null
}

export interface FinishedRow {
  readonly type: string
  readonly entity: string
}

/** What a row says; fails for one that is no JSON. */
export const rowOf = <Row>(entry: KeyValueEntry): Effect.Effect<Row, UnknownRow> =>
  Effect.try({
    try: () => JSON.parse(entry.text) as Row,
    catch: () => new UnknownRow({ key: entry.keyText })
  })

export const waitingRow = ({ deliverAt, envelope }: RequestRow, order?: number): string => {
  const text = JSON.stringify(envelope)
  const row: WaitingRow = {
    type: envelope.address.entityType,
    entity: envelope.address.entityId,
    ...(deliverAt === null ? {} : { deliverAt }),
    ...(order === undefined ? {} : { order }),
    ...(text.length > maxQueuedEnvelope ? {} : { envelope })
  }
  return JSON.stringify(row)
}

export const shardOf = ({ shardId }: Envelope.Encoded["address"]): string => `${shardId.group}:${shardId.id}`
