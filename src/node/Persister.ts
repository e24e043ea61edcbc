/**
 * Group commit. One durable write is in flight at a time; whatever the core asks for meanwhile goes into the next
 * one, so a sync is shared by everything that waited for it. Once it succeeded, and only then, the messages that
 * promise durability leave and the core learns of it.
 *
 * What a snapshot means for the log takes its place among the writes, in the order in which the core put them out.
 *
 * A write or sync that fails ends the node: what reached the disk is unknown, and asking again would only
 * hide it. (The lesson of "fsyncgate", 2018.)
 */
import { Effect } from "effect"
import type { Message } from "../raft/Message.ts"
import type { Persist, RestartLog } from "../raft/Output.ts"
import type { LogStore } from "../storage/LogStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { PeerTransport } from "../transport/PeerTransport.ts"
import type { Inbox } from "./Inbox.ts"
import { SerialWork } from "./SerialWork.ts"
import type { Stopwatch } from "./Stopwatch.ts"

/** The core's own limits bound what can wait. */
export type Persister = SerialWork<Persist | RestartLog, StorageError>

export const make = (
  log: LogStore["Service"],
  transport: PeerTransport["Service"],
  inbox: Inbox,
  stopwatch: Stopwatch
): Persister => {
  const commit = (persists: ReadonlyArray<Persist>): Effect.Effect<void, StorageError> => {
    const writes = persists.filter(writesSomething)
    const sinceMs = stopwatch.nowMs()
    return Effect.map(writes.length === 0 ? Effect.void : log.append(writes), () => {
      if (writes.length > 0) stopwatch.took(stopwatch.nowMs() - sinceMs)
      const messages = promisesKept(persists)
      if (messages.length > 0) transport.sendUnsafe(messages)
      const last = persists[persists.length - 1] as Persist
      inbox.post({ _tag: "Persisted", persistId: last.persistId })
    })
  }

  const restart = ({ keepsTail, point }: RestartLog): Effect.Effect<void, StorageError> =>
    keepsTail ? log.compact(point) : log.reset(point)

  return new SerialWork((outputs: ReadonlyArray<Persist | RestartLog>): Effect.Effect<void, StorageError> => {
    if (outputs.every(isPersist)) return commit(outputs)
    const steps: Array<Effect.Effect<void, StorageError>> = []
    let gathered: Array<Persist> = []
    for (const output of outputs) {
      if (output._tag === "Persist") {
        gathered.push(output)
        continue
      }
      if (gathered.length > 0) steps.push(commit(gathered))
      gathered = []
      steps.push(restart(output))
    }
    if (gathered.length > 0) steps.push(commit(gathered))
    return Effect.all(steps, { discard: true })
  })
}

/**
 * What may be said now that all of these writes are durable. Entries that a later one of them removed never were on
 * the disk, so this node does not acknowledge them.
 */
const promisesKept = (persists: ReadonlyArray<Persist>): Array<Message> => {
  const messages: Array<Message> = []
  for (let i = 0; i < persists.length; i++) {
    for (const message of (persists[i] as Persist).thenSend) {
      const removed = message._tag === "AppendAccepted" &&
        persists.slice(i + 1).some(({ truncateFrom }) => truncateFrom !== undefined && truncateFrom <= message.match)
      if (!removed) messages.push(message)
    }
  }
  return messages
}

const isPersist = (output: Persist | RestartLog): output is Persist => output._tag === "Persist"

/** An empty persist only keeps its messages behind the writes before it. */
const writesSomething = (persist: Persist): boolean =>
  persist.hardState !== undefined || persist.truncateFrom !== undefined || persist.entries.length > 0
