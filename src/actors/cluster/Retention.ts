/**
 * How long messages that were processed are kept: their exits answer who sends them again with the same primary key.
 * Effect's SQL storage keeps them for good.
 *
 * What a workflow did is kept until the workflow's address is cleared: a workflow that sleeps for a month asks for it
 * when it goes on.
 *
 * Messages are looked at in the order of their ids, which is that in which they were made. How far that is stands in a
 * row that all runners share. What is kept longer than the messages around it is passed over, and found when all are
 * looked at from the first one again.
 *
 * A runner whose clock is wrong removes nothing too early, its own exits included: an exit has the later one of its
 * time and of that of most nodes, and what is over is judged by the earlier one.
 */
import { Clock, Duration, Effect } from "effect"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { savedMsOf } from "../overview/SavedTime.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import type { LogTimeFailure } from "../LogTime.ts"
import { repeatable } from "./Failures.ts"
import { HeldShards } from "./HeldShards.ts"
import type { MessageRow } from "./MessageRows.ts"
import { addressOf, rowOf, shardOf } from "./MessageRows.ts"

/** How long processed messages are kept. */
export interface RetentionOptions {
  /**
   * How long a processed message is kept, at least; up to an hour more, and up to an eighth of it more when it took
   * longer than an hour to be processed. Default 7 days, infinite for good. After that its primary key may be used
   * again. Messages of workflows are kept in any case.
   */
  readonly keepProcessedFor?: Duration.Input | undefined
}

const defaultKeep = Duration.days(7)

const millisPerHour = 3_600_000

/** Pause between two looks for messages that are kept no longer, in milliseconds. */
const sweepMs = 60_000

/** When a runner looks at the clocks of the nodes first, in milliseconds: exits come before a sweep. */
const lookMs = 2_000

/** Pause between two pages, in milliseconds: what is handled meanwhile goes first. */
const pagePauseMs = 20

/** Messages looked at, and removed, at once. */
const pageRows = 256
const removedAtOnce = 32

/** All messages are looked at again after this part of the time for which they are kept, at the earliest. */
const againPart = 1 / 8

const isOfWorkflow = (type: string): boolean => type.startsWith("Workflow/")

/** The time by the clocks of most nodes, given this process's own. */
type AgreedTime = (ownMs: number) => Effect.Effect<number, LogTimeFailure>

/** How far messages were looked at. */
interface SweepRow {
  /** The last one, by its id; absent before the first. */
  readonly after?: string
  /** The hour in which all were last looked at from the first one, and the one from which on they are again. */
  readonly from: number
  readonly again: number
}

/** What one look at messages found. */
interface Sweep {
  readonly oldestHour: number
  /** Hours for which exits are kept. */
  readonly keepHours: number
  /** The first hour in which something that was passed over is kept no longer. */
  again: number
  removed: number
}

/** A message that is removed. */
export interface Removed {
  readonly id: string
  readonly shard: string
  /** The key of its row by entity. */
  readonly entityKey: string
  /** Its primary key, when that has a row of its own. */
  readonly primaryKey: string | undefined
}

/** Removes a message with all there is of it. */
export const removalOf = (keys: ClusterKeys, { entityKey, id, primaryKey, shard }: Removed): Array<Op<unknown>> => [
  Op.delete(keys.request(id)),
  Op.delete(keys.envelope(id)),
  Op.delete(keys.acknowledged(id)),
  Op.delete(keys.hasChunks(id)),
  Op.deletePrefix(keys.chunks(id)),
  ...(["r", "a", "i", "u", "k"] as const).map((part) => Op.delete(keys.part(shard, id, part))),
  ...primaryKey === undefined ? [] : [Op.delete(keys.primaryKey(primaryKey))],
  Op.delete(entityKey)
]

export class Retention {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly clock: Clock.Clock
  /** `undefined` for good. */
  private readonly keepHours: number | undefined
  private readonly now: AgreedTime
  /** How far the clocks of most nodes are ahead of this process's, as of the last look; negative when behind. */
  private aheadMs = 0

  private constructor(
    keys: ClusterKeys,
    kv: KeyValue["Service"],
    clock: Clock.Clock,
    keepHours: number | undefined,
    now: AgreedTime
  ) {
    this.now = now
    this.keys = keys
    this.kv = kv
    this.clock = clock
    this.keepHours = keepHours
  }

  /** Sweeps for as long as the scope lives, in a process that runs entities. */
  static readonly make = Effect.fnUntraced(function*(
    keys: ClusterKeys,
    { keepProcessedFor }: RetentionOptions,
    now: AgreedTime
  ) {
    const keep = Duration.toMillis(Duration.fromInputUnsafe(keepProcessedFor ?? defaultKeep))
    const keepHours = Number.isFinite(keep) ? Math.ceil(keep / millisPerHour) : undefined
    const retention = new Retention(keys, yield* LatestReads, yield* Clock.Clock, keepHours, now)
    const shards = yield* HeldShards
    if (keepHours !== undefined) {
      const sweep = Effect.suspend(() => shards.isRunner ? Effect.ignore(retention.sweep) : Effect.void)
      const look = Effect.suspend(() => shards.isRunner ? Effect.ignore(retention.look) : Effect.void)
      yield* Effect.forkScoped(Effect.andThen(Effect.sleep(lookMs), look))
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(sweepMs), sweep)))
    }
    return retention
  })

  /** The hour that an exit of an entity's request belongs to; `undefined` when it is kept for good. */
  hourFor(type: string): number | undefined {
    return this.keepHours === undefined || isOfWorkflow(type) ? undefined : this.hourBy(Math.max(0, this.aheadMs))
  }

  private hourBy(aheadMs: number): number {
    return Math.max(0, Math.floor((this.clock.currentTimeMillisUnsafe() + aheadMs) / millisPerHour))
  }

  /** The hour by which messages are removed. */
  private get hour(): number {
    return this.hourBy(Math.min(0, this.aheadMs))
  }

  /** Looks at the clocks of the nodes. */
  private readonly look = Effect.suspend(() => {
    const ownMs = this.clock.currentTimeMillisUnsafe()
    return Effect.map(this.now(ownMs), (ms) => {
      this.aheadMs = ms - ownMs
    })
  })

  /**
   * Removes messages that are kept no longer, and stops when another runner does the same. Gives how many those were.
   */
  readonly sweep = Effect.suspend(() =>
    this.keepHours === undefined ? Effect.succeed(0) : Effect.andThen(this.look, this.sweepAll(this.keepHours))
  )

  private readonly sweepAll = Effect.fnUntraced({ self: this }, function*(this: Retention, keepHours: number) {
    const key = this.keys.sweep
    const stored = yield* this.kv.get(key)
    const { hour } = this
    const before: SweepRow = stored._tag === "None" ? { from: 0, again: 0 } : yield* rowOf<SweepRow>(stored.value)
    const isAnew = before.again <= hour
    let at: SweepRow = isAnew ? { from: hour, again: hour + keepHours + 1 } : before
    let unchanged = stored._tag === "None"
      ? Compare.missing(key)
      : Compare.modRevision(key).equals(stored.value.modRevision)
    const earliest = at.from + Math.max(1, Math.ceil(keepHours * againPart))
    const sweep: Sweep = { oldestHour: hour - keepHours, keepHours, again: at.again, removed: 0 }
    for (let isFirst = isAnew;; isFirst = false) {
      const { hasMore, last } = yield* this.sweepPage(sweep, at.after)
      const next: SweepRow = {
        ...at,
        ...last === undefined ? {} : { after: last },
        again: Math.min(at.again, Math.max(sweep.again, earliest))
      }
      if (isFirst || next.after !== at.after || next.again !== at.again) {
        const { revision, succeeded } = yield* repeatable(
          this.kv.transact({ if: [unchanged], do: [Op.put(key, JSON.stringify(next))] })
        )
        if (!succeeded) return sweep.removed
        unchanged = Compare.modRevision(key).equals(revision)
      }
      at = next
      if (!hasMore) return sweep.removed
      yield* Effect.sleep(pagePauseMs)
    }
  })

  /** Looks at some messages. Gives the last one that is old enough, and whether there may be more of those. */
  private readonly sweepPage = Effect.fnUntraced({ self: this }, function*(
    this: Retention,
    sweep: Sweep,
    after: string | undefined
  ) {
    const page = yield* this.kv.scan(this.keys.requests, {
      limit: pageRows,
      cursor: after === undefined ? undefined : this.keys.request(after)
    })
    const old: Array<KeyValueEntry> = []
    for (const entry of page.entries) {
      if (savedMsOf(this.keys.requestOf(entry.keyText)) >= sweep.oldestHour * millisPerHour) break
      old.push(entry)
    }
    yield* Effect.forEach(old, (entry) =>
      // What another version or another program wrote is not in the way of the others.
      Effect.catchTag(this.removeWhenOver(sweep, entry), "UnknownRow", () => Effect.void), {
      concurrency: removedAtOnce,
      discard: true
    })
    const last = old.at(-1)
    return {
      last: last === undefined ? undefined : this.keys.requestOf(last.keyText),
      hasMore: old.length === page.entries.length && page.cursor !== undefined
    }
  })

  private readonly removeWhenOver = Effect.fnUntraced({ self: this }, function*(
    this: Retention,
    sweep: Sweep,
    entry: KeyValueEntry
  ) {
    const { keys } = this
    const row = yield* rowOf<MessageRow>(entry)
    const hour = "reply" in row ? row.hour : this.hour
    if (hour === undefined) return
    if (!("reply" in row) || hour >= sweep.oldestHour) {
      sweep.again = Math.min(sweep.again, hour + sweep.keepHours + 1)
      return
    }
    const { request } = row
    const { primaryKey } = request
    const address = addressOf(request)
    const { entityId: entity, entityType: type } = address
    const id = keys.requestOf(entry.keyText)
    const { succeeded } = yield* repeatable(this.kv.transact({
      // Otherwise it was cleared meanwhile, or is gone.
      if: [Compare.modRevision(entry.key).equals(entry.modRevision)],
      do: removalOf(keys, {
        id,
        shard: shardOf(address),
        entityKey: keys.ofRequest(type, entity, id, primaryKey),
        primaryKey: keys.isOther(type, entity, primaryKey) ? primaryKey : undefined
      })
    }))
    if (succeeded) sweep.removed++
  })
}
