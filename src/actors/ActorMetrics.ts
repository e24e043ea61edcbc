/**
 * What a process of actors measures about itself, each with why it matters. `docs/actors.md` has what each means to an
 * operator, and what one would read wrongly.
 *
 * They are in the registry of the process like all of Effect's: beside Effect's own `effect_cluster_…`, and at
 * `/metrics` of a node that runs in the same process.
 */
import type { Context } from "effect"
import { Clock, Effect, Metric } from "effect"
import type { Scope } from "effect"
import type { ShardTable } from "./cluster/HeldShards.ts"
import { savedMsOf } from "./overview/SavedTime.ts"

const counter = (name: string, description: string, attributes: Readonly<Record<string, string>> = {}) =>
  Metric.counter(`flaredb_actors_${name}`, { description, incremental: true, attributes })

const gauge = (name: string, description: string) => Metric.gauge(`flaredb_actors_${name}`, { description })

/** What comes in and what is done. When the first is faster for long, the runners do not keep up. */
const saved = counter("messages_saved_total", "requests that this process stored")
const processed = counter("messages_processed_total", "requests whose exit this process stored")

/** What lies in the shards of this runner: summed over the runners it is the backlog. */
const waiting = gauge("messages_waiting", "requests of this runner's shards that are due and have no exit")
const delayed = gauge("messages_delayed", "requests of this runner's shards that are due later")

/** The one to alert on: a backlog may be large and move, an old message does not. */
const oldest = gauge(
  "oldest_message_age_seconds",
  "age of the oldest request of this runner's shards that is due and has no exit"
)

/** A process went on after it had lost a shard. The fence kept the harm away; pauses or partitions are the cause. */
const fenced = counter("replies_fenced_total", "replies that were not stored because the shard's lock was lost")

/** Summed over the runners they are all shards, or some have no owner. */
const held = gauge("shard_locks_held", "shards that this runner holds")
const expected = gauge("shards", "shards that there are, by this runner's configuration")

const acquired = counter("shard_locks_acquired_total", "shards that this runner took")

/** Locks that ended against the runner's will: it could not refresh them in time. */
const lost = counter("shard_locks_lost_total", "shards that this runner lost because it refreshed them too late")

/** A handler's transaction was not committed, and the handler runs again: others write what it compares. */
const conflicts = counter("transaction_conflicts_total", "transactions of handlers whose conditions did not hold")

export const messageSaved: Effect.Effect<void> = Metric.update(saved, 1)
export const messageProcessed: Effect.Effect<void> = Metric.update(processed, 1)
export const lockAcquired: Effect.Effect<void> = Metric.update(acquired, 1)
export const locksLost = (count: number): Effect.Effect<void> => Metric.update(lost, count)
export const transactionConflict: Effect.Effect<void> = Metric.update(conflicts, 1)
export const shardsExpected = (count: number): Effect.Effect<void> => Metric.update(expected, count)

export type Outcome = "completed" | "tried again" | "given back" | "failed"

const outcomes: Readonly<Record<Outcome, string>> = {
  completed: "completed",
  "tried again": "retried",
  "given back": "released",
  failed: "failed"
}

/**
 * What this process does at one queue. A counter with attributes is made once, because making one costs more than a
 * count.
 */
export class QueueCounts {
  private readonly context: Context.Context<never>
  private readonly claims: Metric.Counter<number>
  private readonly settlements: ReadonlyMap<Outcome, Metric.Counter<number>>

  private constructor(queue: string, context: Context.Context<never>) {
    this.context = context
    this.claims = counter(
      "queue_claims_total",
      "elements of a persisted queue that this process claimed",
      { queue }
    )
    // `failed` are dead letters. Claims beyond settlements are handlers that run, or processes that ended.
    this.settlements = new Map(
      (Object.keys(outcomes) as Array<Outcome>).map((outcome) => [
        outcome,
        counter(
          "queue_settled_total",
          "elements of a persisted queue that this process settled, by outcome",
          { queue, outcome: outcomes[outcome] }
        )
      ])
    )
  }

  /** A series that begins with its first event hides it: alerts compare with what was there before. */
  private begin(): this {
    for (const counted of [this.claims, ...this.settlements.values()]) counted.updateUnsafe(0, this.context)
    return this
  }

  static readonly make = (queue: string): Effect.Effect<QueueCounts> =>
    Effect.map(Effect.context<never>(), (context) => new QueueCounts(queue, context).begin())

  claimed(): void {
    this.claims.updateUnsafe(1, this.context)
  }

  settled(outcome: Outcome): void {
    this.settlements.get(outcome)?.updateUnsafe(1, this.context)
  }
}

/** Counts the replies that the fence refused. */
export const countFenced = <A, E extends { readonly cause?: unknown }, R>(
  reply: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.tapError(
    reply,
    ({ cause }) =>
      (cause as { readonly _tag?: unknown } | undefined)?._tag === "ShardLockLost"
        ? Metric.update(fenced, 1)
        : Effect.void
  )

/** How often the queues are looked at, in milliseconds. All that waits is gone through. */
const sampleMs = 5_000

/** A request that waits, as the mirror of a runner has it. */
export interface WaitingRequest {
  readonly id: string
  readonly items: ReadonlyMap<string, { readonly deliverAt: number }>
}

/** What a mirror says when it is asked. */
export const sampled = (
  shards: Iterable<ReadonlyMap<string, WaitingRequest>>,
  nowMs: number
): { readonly waiting: number; readonly delayed: number; readonly ageMs: number } => {
  let due = 0
  let later = 0
  let first: string | undefined
  let sinceMs = Infinity
  for (const requests of shards) {
    for (const { id, items } of requests.values()) {
      const deliverAt = items.get("r")?.deliverAt ?? -Infinity
      if (deliverAt > nowMs) {
        later++
        continue
      }
      due++
      if (deliverAt !== -Infinity) sinceMs = Math.min(sinceMs, deliverAt)
      else if (first === undefined || isLess(id, first)) first = id
    }
  }
  if (first !== undefined) sinceMs = Math.min(sinceMs, savedMsOf(first))
  return { waiting: due, delayed: later, ageMs: due === 0 ? 0 : Math.max(0, nowMs - sinceMs) }
}

/** Whether an id is less than another one, without making numbers of them: there may be a hundred thousand. */
const isLess = (a: string, b: string): boolean =>
  a.startsWith("-") || b.startsWith("-") ? BigInt(a) < BigInt(b) : a.length === b.length ? a < b : a.length < b.length

/** Publishes what a runner's mirror says for as long as the scope lives, and that nothing was counted so far. */
export const watchQueues = (
  shards: ReadonlyMap<string, ReadonlyMap<string, WaitingRequest>>,
  table: ShardTable
): Effect.Effect<void, never, Scope.Scope> => {
  const sample = Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
    // Mirrors of shards that were lost stay for a while.
    const own = [...shards].filter(([shard]) => table.lockOf(shard) !== undefined).map(([, requests]) => requests)
    const found = sampled(own, nowMs)
    return Effect.all([
      Metric.update(held, table.size),
      Metric.update(waiting, found.waiting),
      Metric.update(delayed, found.delayed),
      Metric.update(oldest, found.ageMs / 1_000)
    ], { discard: true })
  })
  const counters = [saved, processed, fenced, acquired, lost, conflicts]
  const begin = Effect.forEach(counters, (counted) => Metric.update(counted, 0), { discard: true })
  const samples = Effect.when(sample, Effect.sync(() => table.isRunner))
  return Effect.andThen(
    begin,
    Effect.asVoid(Effect.forkScoped(Effect.forever(Effect.andThen(samples, Effect.sleep(sampleMs)))))
  )
}
