/** The requests of one entity that have no exit. */
import { Effect, Stream } from "effect"
import type { Envelope } from "effect/cluster"
import type { KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import type { QueuePart } from "../cluster/ClusterKeys.ts"
import { savedMsOf } from "./SavedTime.ts"
import type { QueuedMessage } from "./QueuedMessage.ts"
import { entityRowOf, queuedMessageOf } from "./QueuedMessage.ts"
import type { Reader } from "./Reader.ts"

/** A message of an entity that has no exit. */
export interface MessageView {
  readonly id: string
  /** The name of its RPC; absent when its row cannot be read. */
  readonly tag: string | undefined
  /**
   * `waiting`: it waits, or is being handled; which of them only its runner knows. `delayed`: it is due later.
   * `unacknowledged`: its caller has a chunk that it has not acknowledged, and until then nothing more is delivered.
   * `no owner`: no runner holds its shard.
   */
  readonly state: "waiting" | "delayed" | "unacknowledged" | "no owner"
  /** Whether an interrupt waits to be delivered. */
  readonly interrupted: boolean
  readonly shard: string
  /** When it was sent, by its sender's clock, in milliseconds since 1970. */
  readonly sentMs: number
  /** When it is due; absent for at once. */
  readonly dueMs: number | undefined
}

/** The shards that requests of an entity are in: one, unless the number of shards was changed. */
const shardsOf = Effect.fnUntraced(function*(reader: Reader, type: string, id: string) {
  const prefix = reader.keys.entity(type, id)
  const [first, last] = yield* Effect.all([reader.first(prefix), reader.first(prefix, { reverse: true })], {
    concurrency: 2
  })
  const shards = [...first, ...last].flatMap((row) => entityRowOf(row)?.shard ?? [])
  return [...new Set(shards)]
})

/** Parts of a request that lie beside each other. */
interface Parts {
  readonly id: string
  readonly row: QueuedMessage
  readonly others: Set<QueuePart>
}

const tagOf = Effect.fnUntraced(function*(reader: Reader, { id, row }: Parts) {
  if (row.tag !== undefined) return row.tag
  const found = yield* reader.get(reader.keys.envelope(id))
  if (found._tag === "None") return undefined
  try {
    return (JSON.parse(found.value.text) as Envelope.PartialRequestEncoded).tag
  } catch {
    return undefined
  }
})

/** Large envelopes read at once. */
const concurrency = 16

/**
 * The requests of an entity in the order in which they were sent, a page at a time. It goes through the queue of the
 * entity's shard, which other entities share.
 */
export const messages = (
  reader: Reader,
  nowMs: number,
  type: string,
  id: string
): Stream.Stream<MessageView, ReadFailure> => {
  const { keys } = reader
  const ofShard = (shard: string): Stream.Stream<MessageView, ReadFailure> =>
    Stream.unwrap(Effect.map(reader.get(keys.lock(shard)), (lock) => {
      const owned = lock._tag === "Some"
      const others = new Map<string, Set<QueuePart>>()
      // The parts of a request come in the order of their names: `a`, `i` and `k` before `r`, and `u` behind it.
      return reader.rows(keys.queue(shard)).pipe(
        Stream.mapAccum(
          () => ({ parts: undefined as Parts | undefined }),
          (state, entry: KeyValueEntry) => {
            const [, request, part] = keys.queuedOf(entry.keyText)
            if (part !== "r") {
              const known = others.get(request) ?? new Set<QueuePart>()
              known.add(part)
              others.clear()
              others.set(request, known)
              if (state.parts?.id === request) state.parts.others.add(part)
              return [state, []]
            }
            const row = queuedMessageOf(entry)
            const done = state.parts === undefined ? [] : [state.parts]
            const own = row?.type === type && row.entity === id
            return [{
              parts: own ? { id: request, row, others: new Set(others.get(request)) } : undefined
            }, done]
          },
          { onHalt: ({ parts }) => parts === undefined ? [] : [parts] }
        ),
        Stream.mapEffect((parts) =>
          Effect.map(tagOf(reader, parts), (tag): MessageView => {
            const { deliverAt } = parts.row
            return {
              id: parts.id,
              tag,
              state: deliverAt !== undefined && deliverAt > nowMs
                ? "delayed"
                : parts.others.has("u")
                ? "unacknowledged"
                : owned
                ? "waiting"
                : "no owner",
              interrupted: parts.others.has("i"),
              shard,
              sentMs: savedMsOf(parts.id),
              dueMs: deliverAt
            }
          }), { concurrency })
      )
    }))
  return Stream.unwrap(
    Effect.map(shardsOf(reader, type, id), (shards) => Stream.flatMap(Stream.fromIterable(shards), ofShard))
  )
}
