/** The rows of messages, as JSON. */
import { Effect } from "effect"
import type { Envelope, Reply } from "effect/cluster"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import { UnknownRow } from "./Failures.ts"

type Request = Envelope.PartialRequestEncoded
type Address = Envelope.Encoded["address"]

/** Envelopes of at most so many characters are kept within other rows, where they need no read of their own. */
export const maxQueuedEnvelope = 1_024

/** Characters of an exit beyond which the request's envelope is not kept beside it: together they may be too large. */
const maxSharedExit = 64 * 1024

/** A request that is to be saved. */
export interface NewRequest {
  readonly envelope: Request
  readonly primaryKey: string | null
  readonly deliverAt: number | null
}

/** A request. It has its envelope, or the address and the row `E/<id>` has the envelope. */
export type RequestRow =
  & {
    readonly primaryKey?: string
    readonly deliverAt?: number
    /** Its place in the queue, when that is not where the row was put. */
    readonly order?: number
  }
  & ({ readonly envelope: Request } | { readonly address: Address })

/** What is kept of a message by its id while it waits. */
export interface PendingRow {
  readonly shard: string
}

/** What is kept of a message by its id from its exit on. */
export interface FinishedRow {
  readonly request: RequestRow
  readonly reply: Reply.WithExitEncoded
  /** The hour in which it was stored, since 1970; absent when it is kept for good. */
  readonly hour?: number
}

export type MessageRow = PendingRow | FinishedRow

/** A request of an entity. */
export interface EntityRow {
  readonly id: string
  readonly shard: string
  /** Absent when the key of the row says it, and when there is none. */
  readonly primaryKey?: string
}

/** The request of a primary key that says nothing of its entity. */
export interface PrimaryKeyRow {
  readonly id: string
}

/** What a row says; fails for one that is no JSON. */
export const rowOf = <Row>(entry: KeyValueEntry): Effect.Effect<Row, UnknownRow> =>
  Effect.try({
    try: () => JSON.parse(entry.text) as Row,
    catch: () => new UnknownRow({ key: entry.keyText })
  })

export const addressOf = (row: RequestRow): Address => "envelope" in row ? row.envelope.address : row.address

export const shardOf = ({ shardId }: Address): string => `${shardId.group}:${shardId.id}`

/** The rows of a new request: its own, and that of a large envelope. */
export const requestRows = (
  { deliverAt, envelope, primaryKey }: NewRequest
): { readonly text: string; readonly envelope: string | undefined } => {
  const text = JSON.stringify(envelope)
  const isLarge = text.length > maxQueuedEnvelope
  const rest = {
    ...primaryKey === null ? {} : { primaryKey },
    ...deliverAt === null ? {} : { deliverAt }
  }
  const head = JSON.stringify(rest).slice(0, -1)
  const [name, value] = isLarge ? ["address", JSON.stringify(envelope.address)] : ["envelope", text]
  return {
    text: `${head}${head.length === 1 ? "" : ","}"${name}":${value}}`,
    envelope: isLarge ? text : undefined
  }
}

/** The row of a request that waits again at its old place. */
export const returnedRow = (request: RequestRow, order: number): string => JSON.stringify({ ...request, order })

/** The rows of a request with its exit. `request` is its row, as it is stored. */
export const finishedRows = (
  request: string,
  reply: Reply.WithExitEncoded,
  hour: number | undefined
): { readonly text: string; readonly envelope: string | undefined } => {
  const exit = JSON.stringify(reply)
  const rest = hour === undefined ? "" : `,"hour":${hour}`
  if (exit.length <= maxSharedExit) {
    return { text: `{"request":${request},"reply":${exit}${rest}}`, envelope: undefined }
  }
  const row = JSON.parse(request) as RequestRow
  if (!("envelope" in row)) return { text: `{"request":${request},"reply":${exit}${rest}}`, envelope: undefined }
  const { envelope, ...others } = row
  const without: RequestRow = { ...others, address: envelope.address }
  return {
    text: `{"request":${JSON.stringify(without)},"reply":${exit}${rest}}`,
    envelope: JSON.stringify(envelope)
  }
}
