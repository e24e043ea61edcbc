/**
 * Group commit. One durable write is in flight at a time; whatever the core asks for meanwhile goes into the next
 * one, so a sync is shared by everything that waited for it. Once it succeeded, and only then, the messages that
 * promise durability leave and the core is told.
 *
 * A write or sync that fails ends the node: what reached the disk is unknown, and asking again would only
 * hide it. (The lesson of "fsyncgate", 2018.)
 */
import { Effect, Queue } from "effect"
import type { Message } from "../raft/Message.ts"
import type { Persist } from "../raft/Output.ts"
import type { LogStore } from "../storage/LogStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { PeerTransport } from "../transport/PeerTransport.ts"
import type { Input } from "./Input.ts"

export interface Persister {
  /** Hands over one persist output. Synchronous; the core's own limits bound what can wait. */
  readonly persistUnsafe: (persist: Persist) => void
  /** The loop. Ends only by failing. */
  readonly run: Effect.Effect<never, StorageError>
}

export const make = Effect.fnUntraced(function*(
  log: LogStore["Service"],
  transport: PeerTransport["Service"],
  inbox: Queue.Enqueue<Input>
) {
  const queue = yield* Queue.unbounded<Persist>()

  const commit = (persists: ReadonlyArray<Persist>): Effect.Effect<void, StorageError> => {
    const writes = persists.filter(writesSomething)
    return Effect.flatMap(writes.length === 0 ? Effect.void : log.append(writes), () => {
      const messages: Array<Message> = []
      for (const persist of persists) messages.push(...persist.thenSend)
      if (messages.length > 0) transport.sendUnsafe(messages)
      const last = persists[persists.length - 1] as Persist
      return Effect.asVoid(Queue.offer(inbox, { _tag: "Persisted", persistId: last.persistId }))
    })
  }

  const persister: Persister = {
    persistUnsafe: (persist) => {
      Queue.offerUnsafe(queue, persist)
    },
    run: Effect.forever(Effect.flatMap(Queue.takeAll(queue), commit))
  }
  return persister
})

/** An empty persist only keeps its messages behind the writes before it. */
const writesSomething = (persist: Persist): boolean =>
  persist.hardState !== undefined || persist.truncateFrom !== undefined || persist.entries.length > 0
