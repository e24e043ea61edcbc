/**
 * Messages that no row has room for. A request is refused before it is saved. A reply is found to be too large when its
 * handler has run: then `UnstorableReplies.ts` answers.
 */
import { Data, Effect } from "effect"
import { printable } from "../../Printable.ts"
import type { RequestRow } from "./MessageRows.ts"
import { addressOf } from "./MessageRows.ts"

/** Most bytes of a row of a message: those of a value of the store. */
const maxRowBytes = 1024 * 1024

/** Characters of an entity's id that an error shows. */
const shownCharacters = 100

const advice = {
  request: "Send less, or keep what is large under keys of its own and send their names",
  reply: "Answer with less, or keep what is large under keys of its own and answer with their names",
  chunk: "A part has what the stream emits at once: emit less of it with Stream.rechunk, or smaller elements"
}

const names = { request: "the request", reply: "the reply to request", chunk: "a part of the stream of request" }

/** A message that cannot be stored: a request, the reply to one, or what a stream emitted at once. */
export class MessageTooLarge extends Data.TaggedError("MessageTooLarge")<{
  readonly kind: "request" | "reply" | "chunk"
  readonly requestId: string
  readonly entityType: string
  readonly entityId: string
  /** As JSON, with what is kept beside it: the address of its request and the primary key. */
  readonly bytes: number
  readonly maxBytes: number
}> {
  override get message() {
    const { bytes, entityId, entityType, kind, maxBytes, requestId } = this
    const entity = printable(entityId.length <= shownCharacters ? entityId : `${entityId.slice(0, shownCharacters)}…`)
    return `${names[kind]} ${requestId} of ${printable(entityType)} "${entity}" has ${bytes} bytes as JSON, with its ` +
      `address and primary key; at most ${maxBytes} are allowed. ${advice[kind]}`
  }
}

/** Fails when one of the rows of a message is too large. `request` is the row of the request that it concerns. */
export const checkSize = (
  kind: MessageTooLarge["kind"],
  requestId: string,
  request: string,
  rows: ReadonlyArray<string | undefined>
): Effect.Effect<void, MessageTooLarge> => {
  for (const row of rows) {
    // A character takes three bytes at most.
    if (row === undefined || row.length * 3 <= maxRowBytes) continue
    const bytes = Buffer.byteLength(row)
    if (bytes <= maxRowBytes) continue
    const { entityId, entityType } = addressOf(JSON.parse(request) as RequestRow)
    return Effect.fail(new MessageTooLarge({ kind, requestId, entityType, entityId, bytes, maxBytes: maxRowBytes }))
  }
  return Effect.void
}
