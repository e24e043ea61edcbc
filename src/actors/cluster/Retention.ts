/**
 * How long messages that were processed are kept: their exits answer who sends them again with the same primary key.
 * Effect's SQL storage keeps them for good.
 *
 * What a workflow did is kept until the workflow's address is cleared: a workflow that sleeps for a month asks for it
 * when it goes on.
 */
import { Clock, Duration, Effect } from "effect"
import { KeyValue } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import { repeatable } from "./Failures.ts"
import { HeldShards } from "./HeldShards.ts"
import type { EntityRow, ExitRow, FinishedRow } from "./MessageRows.ts"
import { rowOf } from "./MessageRows.ts"

export interface RetentionOptions {
  /**
   * How long a processed message is kept, at least; up to an hour more. Default 7 days, infinite for good. After that
   * its primary key may be used anew. Messages of workflows are kept in any case.
   */
  readonly keepProcessedFor?: Duration.Input | undefined
}

const defaultKeep = Duration.days(7)

const millisPerHour = 3_600_000

/** Pause between two looks for messages that are kept no longer, in milliseconds. */
const sweepMs = 60_000

/** Pause between two pages, in milliseconds: what is handled meanwhile goes first. */
const pagePauseMs = 20

/** Messages looked at, and removed, at once. */
const pageRows = 256
const removedAtOnce = 32

const isOfWorkflow = (type: string): boolean => type.startsWith("Workflow/")

export class Retention {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly clock: Clock.Clock
  /** `undefined` for good. */
  private readonly keepHours: number | undefined

  private constructor(keys: ClusterKeys, kv: KeyValue["Service"], clock: Clock.Clock, keepHours: number | undefined) {
    this.keys = keys
    this.kv = kv
    this.clock = clock
    this.keepHours = keepHours
  }

  /** Sweeps for as long as the scope lives, in a process that runs entities. */
  static readonly make = Effect.fnUntraced(function*(keys: ClusterKeys, { keepProcessedFor }: RetentionOptions) {
    const keep = Duration.toMillis(Duration.fromInputUnsafe(keepProcessedFor ?? defaultKeep))
    const keepHours = Number.isFinite(keep) ? Math.ceil(keep / millisPerHour) : undefined
    const retention = new Retention(keys, yield* KeyValue, yield* Clock.Clock, keepHours)
    const shards = yield* HeldShards
    if (keepHours !== undefined) {
      const sweep = Effect.suspend(() => shards.isRunner ? Effect.ignore(retention.sweep) : Effect.void)
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(sweepMs), sweep)))
    }
    return retention
  })

  /** The hour that an exit of an entity's request belongs to; `undefined` when it is kept for good. */
  hourFor(type: string): number | undefined {
    return this.keepHours === undefined || isOfWorkflow(type) ? undefined : this.hour
  }

  private get hour(): number {
    return Math.max(0, Math.floor(this.clock.currentTimeMillisUnsafe() / millisPerHour))
  }

  /** Removes all messages that are kept no longer. Gives how many those were. */
  readonly sweep = Effect.suspend(() => this.sweepAll())

  private readonly sweepAll = Effect.fnUntraced({ self: this }, function*(this: Retention) {
    const oldest = this.hour - (this.keepHours ?? Infinity)
    let removed = 0
    let cursor: Uint8Array | undefined
    do {
      const page = yield* this.kv.scan(this.keys.finished, { limit: pageRows, cursor })
      // In order of their hours.
      const over = page.entries.filter(({ keyText }) => this.keys.hourOf(keyText) < oldest)
      yield* Effect.forEach(
        over,
        (entry) => Effect.flatMap(rowOf<FinishedRow>(entry), (row) => this.removeFinished(entry.keyText, row)),
        {
          concurrency: removedAtOnce,
          discard: true
        }
      )
      removed += over.length
      cursor = over.length < page.entries.length ? undefined : page.cursor
      if (cursor !== undefined) yield* Effect.sleep(pagePauseMs)
    } while (cursor !== undefined)
    return removed
  })

  private readonly removeFinished = Effect.fnUntraced({ self: this }, function*(
    this: Retention,
    key: string,
    { entity, type }: FinishedRow
  ) {
    const id = this.keys.lastIdOf(key)
    const found = yield* Effect.all([
      this.kv.get(this.keys.exit(id)),
      this.kv.get(this.keys.ofEntity(type, entity, id))
    ], { concurrency: 2 })
    const [exit, ofEntity] = found
    const current = exit._tag === "Some" && (yield* rowOf<ExitRow>(exit.value)).hour === this.keys.hourOf(key)
    if (exit._tag === "Some" && ofEntity._tag === "Some" && current) {
      const row = yield* rowOf<EntityRow>(ofEntity.value)
      yield* this.remove(id, type, entity, row, [
        Compare.modRevision(this.keys.exit(id)).equals(exit.value.modRevision)
      ])
    }
    // It was cleared meanwhile, or got another exit with a row of its own, or is gone.
    yield* repeatable(this.kv.delete(key))
  })

  /** Removes a message with all there is of it. Repeating it does no harm. */
  remove(id: string, type: string, entity: string, { primaryKey, shard }: EntityRow, conditions: Array<Compare> = []) {
    const { keys } = this
    return repeatable(this.kv.transact({
      if: conditions,
      do: [
        Op.delete(keys.request(id)),
        Op.delete(keys.exit(id)),
        Op.delete(keys.acknowledged(id)),
        Op.delete(keys.hasChunks(id)),
        Op.deletePrefix(keys.chunks(id)),
        ...(["r", "a", "i", "u", "k"] as const).map((part) => Op.delete(keys.part(shard, id, part))),
        ...primaryKey === null ? [] : [Op.delete(keys.primaryKey(primaryKey))],
        Op.delete(keys.ofEntity(type, entity, id))
      ]
    }))
  }
}
