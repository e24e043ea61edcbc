/**
 * How many shards each group has, which all runners and callers of a cluster have to agree on (`SHARDS_PER_GROUP`). An
 * entity belongs to a shard by that number: a process with another one sends to shards that no runner has, and its
 * callers wait for ever; or it runs an entity that another process runs at the same time.
 *
 * A registration of a runner puts the number, and is refused while runners with another one are there. It puts it each
 * time, so that one that replaces it on the condition that it did not change meets none that came between.
 */
import { Data, Effect } from "effect"
import type { KeyValue, ReadFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import { joined } from "./Joined.ts"

/** This process counts on another number of shards than the runners that are there. Nothing was stored. */
export class OtherShardCount extends Data.TaggedError("OtherShardCount")<{
  readonly key: string
  readonly own: number
  readonly runners: number
}> {
  override get message() {
    return `the runners of this cluster have ${this.runners} shards in each group (${this.key}), and this process ` +
      `has ${this.own}. Give it the same number (SHARDS_PER_GROUP, or sharding.shardsPerGroup). ` +
      "To change the number, let the runners handle what waits, stop all of them, and start them before the callers"
  }
}

export class ShardCount {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly own: number
  private isKnown = false
  private unchanged: ReadonlyArray<Compare> | undefined
  private readonly asked = joined(Effect.suspend(() => this.look()))

  constructor(keys: ClusterKeys, kv: KeyValue["Service"], own: number) {
    this.keys = keys
    this.kv = kv
    this.own = own
  }

  /** What a registration adds to its transaction. Fails while a runner of another address has another number. */
  readonly registration = Effect.fnUntraced({ self: this }, function*(this: ShardCount, address: string) {
    const { key, text } = this
    const put = Op.put(key, text)
    const found = yield* this.kv.get(key)
    if (found._tag === "None") return { condition: Compare.missing(key), put }
    if (found.value.text === text) return { condition: Compare.value(key).equals(text), put }
    if (yield* this.hasRunners(address)) return yield* this.other(found.value.text)
    return { condition: Compare.modRevision(key).equals(found.value.modRevision), put }
  })

  /** Fails while runners are there that have another number. Asks the store until it knows. */
  readonly check = Effect.suspend(() => this.isKnown ? Effect.void : this.asked)

  /** The same after {@link conditions} did not hold: runners may have begun with another number since. */
  readonly checkAgain = Effect.suspend(() => {
    this.isKnown = false
    return this.check
  })

  /**
   * What holds while the number that was asked for last is the one that is there. One object, so that steps which share
   * a transaction compare it once.
   */
  get conditions(): ReadonlyArray<Compare> {
    if (!this.isKnown) return []
    return this.unchanged ??= [Compare.value(this.key).equals(this.text)]
  }

  private readonly look = Effect.fnUntraced({ self: this }, function*(
    this: ShardCount
  ): Effect.fn.Return<void, ReadFailure | OtherShardCount> {
    const found = yield* this.kv.get(this.key)
    if (found._tag === "None") return
    this.isKnown = found.value.text === this.text
    if (!this.isKnown && (yield* this.hasRunners())) yield* this.other(found.value.text)
  })

  private hasRunners(except?: string): Effect.Effect<boolean, ReadFailure> {
    const own = except === undefined ? undefined : this.keys.runner(except)
    return Effect.map(
      this.kv.scan(this.keys.runners, { limit: 2, keysOnly: true }),
      ({ entries }) => entries.some(({ keyText }) => keyText !== own)
    )
  }

  private other(text: string): Effect.Effect<never, OtherShardCount> {
    return Effect.fail(new OtherShardCount({ key: this.key, own: this.own, runners: Number(text) }))
  }

  private get key(): string {
    return this.keys.shardCount
  }

  private get text(): string {
    return String(this.own)
  }
}
