/**
 * Which entities have messages that wait. The shards are gone through one after the other, because an entity is in one
 * of them: what is in memory are the entities of one shard, up to a bound, and those that are given in the end.
 */
import { Effect, Stream } from "effect"
import type { KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import { decodeName } from "../persistence/Keys.ts"
import { savedMsOf } from "./SavedTime.ts"
import { queuedMessageOf } from "./QueuedMessage.ts"
import type { Reader } from "./Reader.ts"
import { ownerOf } from "./Runners.ts"

/** An entity with messages that wait. */
export interface EntityView {
  readonly type: string
  readonly id: string
  readonly shard: string
  /** The runner that holds the shard; absent while none does, and then nothing is delivered. */
  readonly owner: string | undefined
  /** Requests that could be handled now, or are being handled: which of them the store does not know. */
  readonly waiting: number
  /** Requests that are due later. */
  readonly delayed: number
  /** When the oldest request that waits was sent or became due, in milliseconds since 1970. */
  readonly oldestMs: number | undefined
  /** When the next request that is delayed is due, in milliseconds since 1970. */
  readonly nextDueMs: number | undefined
}

/** Which entities to list. */
export interface EntitiesOptions {
  /** Only entities of this type. */
  readonly type?: string | undefined
  /** Only entities whose oldest request waits longer, in milliseconds. */
  readonly olderThanMs?: number | undefined
  /** Entities given at most: those whose oldest message waits longest. Default 100, at most 10,000. */
  readonly limit?: number | undefined
}

/** Entities with messages that wait, and how many are left out. */
export interface EntitiesView {
  /** Those whose oldest message waits longest come first. */
  readonly entities: ReadonlyArray<EntityView>
  /** Entities that are not given, and their requests. */
  readonly left: { readonly entities: number; readonly messages: number }
  /** Requests of further entities of shards with more of them than are told apart. */
  readonly untold: number
  /** Rows that another version or another program wrote. */
  readonly unreadable: number
}

export const defaultEntities = 100
export const maxEntities = 10_000

/** Entities of one shard that are told apart. */
const maxListed = 100_000

type Counts = { -readonly [Name in keyof EntityView]: EntityView[Name] }

const isBefore = (a: EntityView, b: EntityView): number =>
  (a.oldestMs ?? Infinity) - (b.oldestMs ?? Infinity) || (a.nextDueMs ?? Infinity) - (b.nextDueMs ?? Infinity)

/** The entities of one shard. */
const ofShard = Effect.fnUntraced(function*(
  reader: Reader,
  shard: string,
  nowMs: number,
  type: string | undefined
) {
  const { keys } = reader
  const lock = yield* reader.get(keys.lock(shard))
  const owner = lock._tag === "None" ? undefined : ownerOf(lock.value.text)
  const entities = new Map<string, Counts>()
  let untold = 0
  let unreadable = 0
  const add = (entry: KeyValueEntry) => {
    const [, id, part] = keys.queuedOf(entry.keyText)
    if (part !== "r") return
    const row = queuedMessageOf(entry)
    if (row === undefined) return void unreadable++
    if (type !== undefined && row.type !== type) return
    const name = JSON.stringify([row.type, row.entity])
    const known = entities.get(name)
    if (known === undefined && entities.size >= maxListed) return void untold++
    const counts: Counts = known ?? {
      type: row.type,
      id: row.entity,
      shard,
      owner,
      waiting: 0,
      delayed: 0,
      oldestMs: undefined,
      nextDueMs: undefined
    }
    if (known === undefined) entities.set(name, counts)
    const { deliverAt = -Infinity } = row
    if (deliverAt > nowMs) {
      counts.delayed++
      counts.nextDueMs = Math.min(counts.nextDueMs ?? Infinity, deliverAt)
    } else {
      counts.waiting++
      counts.oldestMs = Math.min(counts.oldestMs ?? Infinity, Math.max(savedMsOf(id), deliverAt))
    }
  }
  yield* reader.each(keys.queue(shard), add)
  return { entities: [...entities.values()], untold, unreadable }
})

/** Entities with messages that have no exit. Reads every message that waits. */
export const entities = Effect.fnUntraced(function*(
  reader: Reader,
  nowMs: number,
  { limit = defaultEntities, olderThanMs, type }: EntitiesOptions = {}
): Effect.fn.Return<EntitiesView, ReadFailure> {
  const most = Math.min(limit, maxEntities)
  let given: ReadonlyArray<EntityView> = []
  const left = { entities: 0, messages: 0 }
  let untold = 0
  let unreadable = 0
  yield* Stream.runForEach(
    reader.names(reader.keys.queues),
    (name) =>
      Effect.map(ofShard(reader, decodeName(name), nowMs, type), (found) => {
        untold += found.untold
        unreadable += found.unreadable
        const wanted = found.entities.filter(({ oldestMs }) =>
          olderThanMs === undefined || (oldestMs !== undefined && nowMs - oldestMs > olderThanMs)
        )
        const all = [...given, ...wanted].sort(isBefore)
        given = all.slice(0, most)
        for (const { delayed, waiting } of all.slice(most)) {
          left.entities++
          left.messages += waiting + delayed
        }
      })
  )
  return { entities: given, left, untold, unreadable }
})
