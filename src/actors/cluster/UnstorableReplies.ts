/**
 * Replies that the store never takes, because they are too large or because the transaction is that they are a part of.
 * Their callers get the reason as a defect, which is stored in the reply's place. Otherwise the request has no exit,
 * its caller waits for ever, and the handler runs again and again.
 *
 * Nothing of a handler's transaction is stored with that defect.
 */
import { Effect } from "effect"
import type { ClusterError, MessageStorage } from "effect/cluster"
import { Reply } from "effect/cluster"
import { MessageTooLarge } from "./MessageSizes.ts"
import type { TransactionBuffer } from "./StorageTransaction.ts"
import { OpenTransaction, TransactionRefused } from "./StorageTransaction.ts"

type Service = MessageStorage.MessageStorage["Service"]
type AnyReply = Parameters<Service["saveReply"]>[0]
type Unstorable = MessageTooLarge | TransactionRefused

/** A storage that stores why a reply cannot be stored, in its place. */
export const answeringUnstorable = (storage: Service): Service => {
  const answer = (
    { reply: { id, requestId } }: AnyReply,
    defect: Unstorable
  ): Effect.Effect<void, ClusterError.PersistenceError | ClusterError.MalformedMessage> =>
    Effect.andThen(
      Effect.logError(`a reply cannot be stored, and its caller gets the reason as a defect: ${defect.message}`),
      storage.saveReply(Reply.ReplyWithContext.fromDefect({ id, requestId, defect }))
    )
  const tooLarge = (open: TransactionBuffer | undefined, reply: AnyReply, defect: MessageTooLarge) => {
    if (open === undefined) {
      // A stream does not go on behind a part that is missing.
      return Effect.andThen(answer(reply, defect), reply.reply._tag === "Chunk" ? Effect.die(defect) : Effect.void)
    }
    // The transaction is not committed. Then its entity looks whether there is an exit before it runs again.
    open.onEnd.push((revision) => revision === undefined ? Effect.ignore(answer(reply, defect)) : Effect.void)
    return Effect.die(defect)
  }
  return {
    ...storage,
    saveReply: (reply) =>
      Effect.flatMap(OpenTransaction, (open) => {
        const requestId = String(reply.reply.requestId)
        open?.onRefused.push(({ field, problem }) =>
          Effect.ignore(answer(reply, new TransactionRefused({ requestId, field, problem })))
        )
        return Effect.catch(
          storage.saveReply(reply),
          (failure) =>
            failure._tag === "PersistenceError" && failure.cause instanceof MessageTooLarge
              ? tooLarge(open, reply, failure.cause)
              : Effect.fail(failure)
        )
      })
  }
}
