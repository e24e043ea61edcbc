/**
 * What a status page shows of the actors: a few figures, for which a bounded number of keys is read, and hardly any
 * values. Where the bound came first the figure is at least that.
 */
import { Effect, Stream } from "effect"
import type { ReadFailure } from "../../client/KeyValue.ts"
import { decodeName } from "../persistence/Keys.ts"
import { failedPrefix, finishedOf, QueueKeys, queuesPrefix } from "../persistence/queue/Layout.ts"
import type { Reader } from "./Reader.ts"
import type { RunnerView } from "./Runners.ts"
import { runners, shards } from "./Runners.ts"

/** A count, which may be larger when counting ended before its end. */
export interface Count {
  readonly count: number
  readonly atLeast: boolean
}

/** A queue in a few figures. */
export interface QueueSummary {
  readonly name: string
  /** Elements that wait, are delayed or are claimed. */
  readonly elements: Count
  readonly deadLetters: number
}

/** A cluster of runners in a few figures, for pages and checks. */
export interface Summary {
  readonly runners: ReadonlyArray<RunnerView>
  readonly shardsHeld: number
  /** Shards that have messages and no owner. Others may have none either. */
  readonly shardsWithoutOwner: ReadonlyArray<string>
  /** Requests that have no exit, those that are due later among them. */
  readonly messages: Count
  /** When the oldest of them was sent, in milliseconds since 1970. */
  readonly oldestMs: number | undefined
  readonly queues: ReadonlyArray<QueueSummary>
  /** Whether there are more queues than these. */
  readonly moreQueues: boolean
  readonly deadLetters: Count
}

/** Keys that are read for the messages, for all queues, and for the dead letters. */
export const maxKeys = 5_000

/** Queues that are listed. */
export const maxQueues = 50

export const summary = Effect.fnUntraced(function*(reader: Reader): Effect.fn.Return<Summary, ReadFailure> {
  const all = yield* shards(reader, { budget: { left: maxKeys } })
  const oldest = all.flatMap(({ oldestMs }) => oldestMs ?? [])
  const names = yield* Stream.runCollect(Stream.take(reader.names(queuesPrefix(reader.prefix)), maxQueues + 1))
  const kind = failedPrefix(reader.prefix)
  const failed = new Map<string, number>()
  let deadLetters = 0
  const allFailed = yield* reader.each(kind, ({ keyText }) => {
    const queue = finishedOf(reader.prefix, kind, keyText)?.queue
    if (queue === undefined) return
    deadLetters++
    failed.set(queue, (failed.get(queue) ?? 0) + 1)
  }, { keysOnly: true, budget: { left: maxKeys } })
  const budget = { left: maxKeys }
  const queues = yield* Effect.forEach(names.slice(0, maxQueues), (part) => {
    const name = decodeName(part)
    const keys = new QueueKeys(reader.prefix, name)
    let count = 0
    const counted = (prefix: string) => reader.each(prefix, () => count++, { keysOnly: true, budget })
    return Effect.map(
      Effect.forEach([keys.rows, keys.handed], counted),
      (complete): QueueSummary => ({
        name,
        elements: { count, atLeast: complete.includes(false) },
        deadLetters: failed.get(part) ?? 0
      })
    )
  })
  return {
    runners: yield* runners(reader),
    shardsHeld: all.filter(({ owner }) => owner !== undefined).length,
    shardsWithoutOwner: all.filter(({ atLeast, messages, owner }) => owner === undefined && (messages > 0 || atLeast))
      .map(({ shard }) => shard),
    messages: {
      count: all.reduce((sum, { messages }) => sum + messages, 0),
      atLeast: all.some(({ atLeast }) => atLeast)
    },
    oldestMs: oldest.length === 0 ? undefined : Math.min(...oldest),
    queues,
    moreQueues: names.length > maxQueues,
    deadLetters: { count: deadLetters, atLeast: !allFailed }
  }
})
