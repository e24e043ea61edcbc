/**
 * Cron singletons, from the runs that they keep as messages. Singletons without a schedule keep nothing: the store does
 * not know of them.
 */
import { Effect, Stream } from "effect"
import type { ReadFailure } from "../../client/KeyValue.ts"
import { decodeName, encodeName } from "../persistence/Keys.ts"
import { savedMsOf } from "./SavedTime.ts"
import { entityRowOf, queuedMessageOf } from "./QueuedMessage.ts"
import type { Reader } from "./Reader.ts"
import { ownerOf } from "./Runners.ts"

/** A cron singleton: its next run and its last one. */
export interface CronJobView {
  readonly name: string
  /** When the next run that the store knows of is due, in milliseconds since 1970; absent when none waits. */
  readonly nextMs: number | undefined
  /** The shard of that run, or of the last one, and the runner that holds it. */
  readonly shard: string | undefined
  readonly runner: string | undefined
  /** When the last run that is done was scheduled by its predecessor, in milliseconds since 1970. */
  readonly lastSentMs: number | undefined
}

const typePrefix = "ClusterCron/"

/** The latest runs that are looked at. */
const lookedAt = 16

const view = Effect.fnUntraced(function*(reader: Reader, type: string) {
  const { keys } = reader
  // Runs are entities named by their times, or requests of one entity: the latest come last either way.
  const rows = yield* reader.first(keys.entitiesOf(type), { limit: lookedAt, reverse: true })
  let next: { readonly ms: number; readonly shard: string } | undefined
  let last: { readonly ms: number; readonly shard: string } | undefined
  for (const row of rows) {
    const found = entityRowOf(row)
    if (found === undefined) continue
    const { id, shard } = found
    const waits = yield* reader.get(keys.part(shard, id, "r"))
    if (waits._tag === "Some") {
      const ms = queuedMessageOf(waits.value)?.deliverAt ?? savedMsOf(id)
      if (next === undefined || ms < next.ms) next = { ms, shard }
    } else last ??= { ms: savedMsOf(id), shard }
  }
  const shard = next?.shard ?? last?.shard
  const lock = shard === undefined ? undefined : yield* reader.get(keys.lock(shard))
  return {
    name: type.slice(typePrefix.length),
    nextMs: next?.ms,
    shard,
    runner: lock?._tag === "Some" ? ownerOf(lock.value.text) : undefined,
    lastSentMs: last?.ms
  } satisfies CronJobView
})

/** Every cron singleton that ever scheduled a run which is still kept, by name. */
export const cronJobs = (reader: Reader): Stream.Stream<CronJobView, ReadFailure> =>
  reader.names(reader.keys.entities).pipe(
    Stream.filter((part) => part.startsWith(encodeName(typePrefix))),
    Stream.mapEffect((part) => view(reader, decodeName(part)))
  )
