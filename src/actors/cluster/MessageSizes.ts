/**
 * Messages that no row has room for. A request is refused before it is saved. A reply is found to be too large when its
 * handler has run: its caller then gets the reason as a defect, which is stored in the reply's place. Otherwise the
 * request has no exit, its caller waits for ever, and the handler runs again ten minutes later.
 *
 * Nothing of a handler's transaction is stored with that defect: its reply is part of the transaction.
 */
import { Data, Effect } from "effect"
import type { ClusterError, MessageStorage } from "effect/cluster"
import { Reply } from "effect/cluster"
import { printable } from "../../Printable.ts"
import type { RequestRow } from "./MessageRows.ts"
import { addressOf } from "./MessageRows.ts"
import { OpenTransaction } from "./StorageTransaction.ts"

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

type Service = MessageStorage.MessageStorage["Service"]
type AnyReply = Parameters<Service["saveReply"]>[0]

/** A storage that stores why a reply cannot be stored, in its place. */
export const answeringTooLarge = (storage: Service): Service => {
  const answer = (
    { reply: { id, requestId } }: AnyReply,
    defect: MessageTooLarge
  ): Effect.Effect<void, ClusterError.PersistenceError | ClusterError.MalformedMessage> =>
    Effect.andThen(
      Effect.logError(`a reply cannot be stored, and its caller gets the reason as a defect: ${defect.message}`),
      storage.saveReply(Reply.ReplyWithContext.fromDefect({ id, requestId, defect }))
    )
  const refused = (reply: AnyReply, defect: MessageTooLarge) =>
    Effect.flatMap(OpenTransaction, (open) => {
      if (open === undefined) {
        // A stream does not go on behind a part that is missing.
        return Effect.andThen(answer(reply, defect), reply.reply._tag === "Chunk" ? Effect.die(defect) : Effect.void)
      }
      // The transaction is not committed. Then its entity looks whether there is an exit before it runs again.
      open.onEnd.push((revision) => revision === undefined ? Effect.ignore(answer(reply, defect)) : Effect.void)
      return Effect.die(defect)
    })
  return {
    ...storage,
    saveReply: (reply) =>
      Effect.catch(
        storage.saveReply(reply),
        (failure) =>
          failure._tag === "PersistenceError" && failure.cause instanceof MessageTooLarge
            ? refused(reply, failure.cause)
            : Effect.fail(failure)
      )
  }
}
