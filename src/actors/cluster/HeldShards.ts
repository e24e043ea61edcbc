/**
 * The shards that this process holds, as far as it knows. What is committed for a shard is committed only if its lock
 * is still the one that is named here: so a process that lost a shard without noticing changes nothing.
 */
import { Context, Layer } from "effect"
import { Compare } from "../../client/Txn.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import { ShardLockLost } from "./Failures.ts"

/**
 * The shards that this runner holds the locks of. The storages of one runner share it, so that each write depends
 * on its lock.
 *
 * **When to use**
 *
 * To put a runner together by hand; `Actors.layer` has it already.
 */
export class HeldShards extends Context.Service<HeldShards, ShardTable>()("flaredb/actors/HeldShards") {
  static readonly layer: Layer.Layer<HeldShards> = Layer.sync(HeldShards, () => new ShardTable())
}

/** The lock of a shard that this process holds. */
interface Lock {
  readonly createRevision: number
  /** Made once, so that steps which share a transaction compare it once. */
  fence: { readonly key: string; readonly conditions: ReadonlyArray<Compare> } | undefined
}

export class ShardTable {
  private readonly locks = new Map<string, Lock>()
  private acquired = false

  /** Whether this process ever held a shard. One that did commits for no shard that it does not hold. */
  get isRunner(): boolean {
    return this.acquired
  }

  get size(): number {
    return this.locks.size
  }

  hold(shard: string, createRevision: number): void {
    this.acquired = true
    if (this.lockOf(shard) === createRevision) return
    this.locks.set(shard, { createRevision, fence: undefined })
  }

  /** The create revision of the shard's lock; `undefined` when the shard is not held. */
  lockOf(shard: string): number | undefined {
    return this.locks.get(shard)?.createRevision
  }

  /** What holds as long as this process may commit for a shard. */
  fence(keys: ClusterKeys, shard: string): ReadonlyArray<Compare> | ShardLockLost {
    const lock = this.locks.get(shard)
    if (lock !== undefined) {
      const key = keys.lock(shard)
      if (lock.fence?.key === key) return lock.fence.conditions
      const conditions = [Compare.createRevision(key).equals(lock.createRevision)]
      lock.fence = { key, conditions }
      return conditions
    }
    // A process that never held a shard runs no entities of others: a test, or a tool.
    return this.isRunner ? new ShardLockLost({ shard }) : []
  }

  /** Forgets a shard; with `createRevision`, only while it is held with that lock. */
  release(shard: string, createRevision?: number): void {
    if (createRevision === undefined || this.lockOf(shard) === createRevision) this.locks.delete(shard)
  }
}
