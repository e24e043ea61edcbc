/** The persisted queues: how many elements wait, are claimed, failed for good, are done. */
import { Effect, Stream } from "effect"
import type { ReadFailure } from "../../client/KeyValue.ts"
import { decodeName } from "../persistence/Keys.ts"
import {
  completedPrefix,
  decodeHanded,
  decodeQueueRow,
  dueMsOfPlace,
  elementsOf,
  failedPrefix,
  finishedOf,
  QueueKeys,
  queuesPrefix
} from "../persistence/queue/Layout.ts"
import type { Budget, Reader } from "./Reader.ts"

/** A persisted queue with its counts. */
export interface QueueView {
  readonly name: string
  /** Elements that may be taken now. */
  readonly waiting: number
  /** Elements that may be taken later: offered with a delay, or tried again after a pause. */
  readonly delayed: number
  /** Elements that a consumer which is there has claimed. */
  readonly claimed: number
  /** Elements whose consumer is gone: the next one that looks takes them. */
  readonly abandoned: number
  /** Consumers: one for each process that takes from the queue. */
  readonly consumers: number
  /** Dead letters that cleanup has not removed. */
  readonly failed: number
  /** Completed elements whose ids cleanup has not removed. */
  readonly done: number
  /** Of these there may be more: counting ended before them. */
  readonly atLeast: ReadonlyArray<"elements" | "failed" | "done">
  /** From when on the oldest element that waits may be taken, by the cluster's clock, in milliseconds since 1970. */
  readonly oldestMs: number | undefined
  /** For how long that has been, in milliseconds. */
  readonly oldestWaitMs: number | undefined
}

type Counts = { -readonly [Name in keyof QueueView]: QueueView[Name] }

/** How much of the queues is read to count them. */
export interface QueuesOptions {
  /** Rows of finished elements to count at most, of each kind. Default 100,000. */
  readonly maxFinished?: number | undefined
  /** Rows to read at most besides, in all. */
  readonly budget?: Budget | undefined
}

const defaultFinished = 100_000

/** Queues that are told apart. */
const maxQueues = 10_000

const counts = (name: string): Counts => ({
  name,
  waiting: 0,
  delayed: 0,
  claimed: 0,
  abandoned: 0,
  consumers: 0,
  failed: 0,
  done: 0,
  atLeast: [],
  oldestMs: undefined,
  oldestWaitMs: undefined
})

/** What waits in a queue. */
const count = Effect.fnUntraced(function*(reader: Reader, queue: Counts, nowMs: number, budget: Budget | undefined) {
  const keys = new QueueKeys(reader.prefix, queue.name)
  const claimers = new Set<string>()
  yield* reader.each(keys.claimers, ({ keyText }) => claimers.add(keyText.slice(keys.claimers.length)), {
    keysOnly: true,
    budget
  })
  queue.consumers = claimers.size
  const complete = yield* reader.each(keys.rows, ({ keyText, modRevision, value }) => {
    const place = keyText.slice(keys.rows.length)
    const row = decodeQueueRow(place, value, modRevision)
    if (row === undefined) return
    const fromMs = dueMsOfPlace(place)
    if (row.claim !== undefined) {
      if (claimers.has(row.claim.claimer)) queue.claimed++
      else queue.abandoned++
    } else if (row.delayed && fromMs > nowMs) queue.delayed++
    else {
      queue.waiting++
      queue.oldestMs = Math.min(queue.oldestMs ?? Infinity, fromMs)
    }
  }, { budget })
  const allHanded = yield* reader.each(keys.handed, ({ modRevision, value }) => {
    const row = decodeHanded(value, modRevision)
    if (row === undefined) return
    if (claimers.has(row.claim.claimer)) queue.claimed++
    else queue.abandoned++
  }, { budget })
  if (queue.oldestMs !== undefined) queue.oldestWaitMs = Math.max(0, nowMs - queue.oldestMs)
  if (!complete || !allHanded) queue.atLeast = [...queue.atLeast, "elements"]
})

/**
 * All queues that hold something, by name. Reads every element that waits or is claimed. `now` is the cluster's clock,
 * by which elements have their places; it is asked once there is a queue.
 */
export const queues = Effect.fnUntraced(function*(
  reader: Reader,
  now: Effect.Effect<number>,
  { budget, maxFinished = defaultFinished }: QueuesOptions = {}
): Effect.fn.Return<ReadonlyArray<QueueView>, ReadFailure> {
  const found = new Map<string, Counts>()
  const queueOf = (part: string): Counts => {
    const known = found.get(part) ?? counts(decodeName(part))
    if (found.size < maxQueues) found.set(part, known)
    return known
  }
  yield* Stream.runForEach(
    Stream.take(reader.names(queuesPrefix(reader.prefix)), maxQueues),
    (part) => Effect.sync(() => queueOf(part))
  )
  const finished = Effect.fnUntraced(function*(kind: string, field: "failed" | "done") {
    const complete = yield* reader.each(kind, ({ keyText, value }) => {
      const queue = finishedOf(reader.prefix, kind, keyText)?.queue
      if (queue !== undefined) queueOf(queue)[field] += elementsOf(reader.prefix, kind, keyText, value).length
    }, { keysOnly: field === "failed", budget: { left: maxFinished } })
    if (!complete) { for (const queue of found.values()) queue.atLeast = [...queue.atLeast, field] }
  })
  yield* finished(failedPrefix(reader.prefix), "failed")
  yield* finished(completedPrefix(reader.prefix), "done")
  if (found.size === 0) return []
  const nowMs = yield* now
  for (const queue of found.values()) yield* count(reader, queue, nowMs, budget)
  return [...found.values()].sort((a, b) => a.name < b.name ? -1 : 1)
})
