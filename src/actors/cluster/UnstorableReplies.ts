/**
 * Replies that the store never takes, because they are too large or because the transaction is that they are a part of.
 * Their callers get the reason as a defect, which is stored in the reply's place. Otherwise the request has no exit,
 * its caller waits for ever, and the handler runs again and again.
 *
 * Nothing of a handler's transaction is stored with that defect.
 *
 * A stream ends at a part that cannot be stored: it is interrupted, and the defect takes the place of its exit. Effect
 * forgets a request by its exit alone, and one that it does not forget keeps its entity in memory. It also goes on
 * waiting for the acknowledgement of a part that it could not encode, though that has the request answered.
 */
import { Context, Effect } from "effect"
import type { ClusterError, MessageStorage } from "effect/cluster"
import { ClusterSchema, Reply } from "effect/cluster"
import { MessageTooLarge } from "./MessageSizes.ts"
import type { TransactionBuffer } from "./StorageTransaction.ts"
import { openTransaction, TransactionRefused } from "./StorageTransaction.ts"

type Service = MessageStorage.MessageStorage["Service"]
type AnyReply = Parameters<Service["saveReply"]>[0]
type Unstorable = MessageTooLarge | TransactionRefused
type Saving = Effect.Effect<void, ClusterError.PersistenceError | ClusterError.MalformedMessage>

/** What is being saved is a part of a stream: told when an exit is saved in its place. */
const SavingPart = Context.Reference<{ hasExit: boolean } | undefined>("flaredb/actors/SavingPart", {
  defaultValue: () => undefined
})

/** Whatever saves exits, which says so where a part of a stream was to be saved. */
export const sayingExits = <A, E, R>(save: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(SavingPart, (part) =>
    part === undefined ? save : Effect.tap(save, () =>
      Effect.sync(() => {
        part.hasExit = true
      })))

/** Effect runs a handler again that is interrupted and must not be: its stream ends with a defect. */
const isInterruptible = ({ rpc }: AnyReply): boolean => !ClusterSchema.isUninterruptibleForServer(rpc.annotations)

class Answers {
  private readonly storage: Service
  /** Requests whose streams end here, with what is to be their exit; `undefined` when they have theirs. */
  private readonly ending = new Map<string, Unstorable | undefined>()

  constructor(storage: Service) {
    this.storage = storage
  }

  /** The request begins, or is not handled here any more. */
  forget(requestId: string): void {
    this.ending.delete(requestId)
  }

  save(reply: AnyReply): Saving {
    const requestId = String(reply.reply.requestId)
    if (reply.reply._tag === "Chunk") return this.savePart(reply, requestId)
    if (!this.ending.has(requestId)) return this.saveOne(reply, requestId)
    const defect = this.ending.get(requestId)
    const saved = defect === undefined ? Effect.void : this.answer(reply, defect)
    return Effect.tap(saved, () => Effect.sync(() => this.forget(requestId)))
  }

  private savePart(reply: AnyReply, requestId: string): Saving {
    return Effect.suspend(() => {
      const part = { hasExit: false }
      return Effect.andThen(
        Effect.provideService(this.saveOne(reply, requestId), SavingPart, part),
        Effect.suspend(() => {
          if (part.hasExit) return this.end(reply, requestId, undefined)
          this.forget(requestId)
          return Effect.void
        })
      )
    })
  }

  /** Ends a stream that does not go on behind a part that is missing. */
  private end(reply: AnyReply, requestId: string, defect: Unstorable | undefined): Saving {
    if (isInterruptible(reply)) {
      this.ending.set(requestId, defect)
      return Effect.interrupt
    }
    const answered = defect === undefined ? Effect.void : this.answer(reply, defect)
    return Effect.andThen(answered, Effect.die(defect ?? new Error(`request ${requestId} has its exit already`)))
  }

  private saveOne(reply: AnyReply, requestId: string): Saving {
    return Effect.flatMap(openTransaction, (open) => {
      open?.onRefused.push(({ field, problem }) =>
        Effect.ignore(this.answer(reply, new TransactionRefused({ requestId, field, problem })))
      )
      return Effect.catch(
        this.storage.saveReply(reply),
        (failure) =>
          failure._tag === "PersistenceError" && failure.cause instanceof MessageTooLarge
            ? this.tooLarge(open, reply, failure.cause)
            : Effect.fail(failure)
      )
    })
  }

  private answer({ reply: { id, requestId } }: AnyReply, defect: Unstorable): Saving {
    return Effect.andThen(
      Effect.logError(`a reply cannot be stored, and its caller gets the reason as a defect: ${defect.message}`),
      this.storage.saveReply(Reply.ReplyWithContext.fromDefect({ id, requestId, defect }))
    )
  }

  private tooLarge(open: TransactionBuffer | undefined, reply: AnyReply, defect: MessageTooLarge): Saving {
    const isPart = reply.reply._tag === "Chunk"
    if (isPart && (open === undefined || isInterruptible(reply))) return this.end(reply, defect.requestId, defect)
    if (open === undefined) return this.answer(reply, defect)
    // The transaction is not committed. Then its entity looks whether there is an exit before it runs again.
    open.onEnd.push((revision) => revision === undefined ? Effect.ignore(this.answer(reply, defect)) : Effect.void)
    return Effect.die(defect)
  }
}

/** A storage that stores why a reply cannot be stored, in its place. */
export const answeringUnstorable = (storage: Service): Service => {
  const answers = new Answers(storage)
  return {
    ...storage,
    saveReply: (reply) => Effect.suspend(() => answers.save(reply)),
    registerReplyHandler: (message) => {
      if (message._tag === "IncomingRequest") answers.forget(String(message.envelope.requestId))
      return storage.registerReplyHandler(message)
    },
    unregisterReplyHandler: (requestId, options) =>
      Effect.suspend(() => {
        answers.forget(String(requestId))
        return storage.unregisterReplyHandler(requestId, options)
      })
  }
}
