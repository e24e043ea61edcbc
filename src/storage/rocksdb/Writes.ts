/**
 * All writes of a node: through the one gate, those of the applied state by way of the write-back cache. Before
 * anything else is written or synced the cache is flushed, because it may be what the dirty rows are computed from;
 * except before an append to the log.
 */
import { Effect } from "effect"
import type { DiskWork, Promised } from "../DiskWork.ts"
import type { FirstFailure } from "../FirstFailure.ts"
import type { StorageError } from "../StorageError.ts"
import type { Sessions } from "./Database.ts"
import type { Family, Operation } from "./Operation.ts"
import { checkOperation, checkRange, isState } from "./Operation.ts"
import { multiGet, scanRows } from "./Reader.ts"
import type { RowView } from "./RowView.ts"
import type { WalSync } from "./WalSync.ts"
import type { RowStore, WriteBackCache } from "./WriteBackCache.ts"
import { WriteGate } from "./WriteGate.ts"

/** Several batches, each in one family. */
export type Batches = ReadonlyArray<{ readonly family: Family; readonly operations: ReadonlyArray<Operation> }>

const checkOperations = (operations: ReadonlyArray<Operation>): void => {
  for (const operation of operations) checkOperation(operation)
}

export class Writes {
  private readonly sessions: Sessions
  private readonly gate: WriteGate
  private readonly promised: Promised
  private readonly failure: FirstFailure
  private readonly cacheOf: (family: Family, store: RowStore) => WriteBackCache
  private readonly caches = new Map<Family, WriteBackCache>()

  constructor(
    sessions: Sessions,
    wal: WalSync,
    work: DiskWork,
    failure: FirstFailure,
    cacheOf: (family: Family, store: RowStore) => WriteBackCache
  ) {
    this.sessions = sessions
    this.gate = new WriteGate(sessions, wal, work, failure)
    this.promised = work.promised
    this.failure = failure
    this.cacheOf = cacheOf
  }

  cache(family: Family): WriteBackCache {
    const known = this.caches.get(family)
    if (known !== undefined) return known
    if (!isState(family)) throw new TypeError(`${family} is no state family`)
    const session = this.sessions[family]
    const made = this.cacheOf(family, {
      write: (operations) => this.gate.enter(() => this.gate.writeLazy(family, operations)),
      read: (keys) => multiGet(session, keys),
      scan: (range, take) => scanRows(session, range, take),
      snapshot: () => {
        const snapshot = session.snapshot()
        return {
          read: (keys) => multiGet(snapshot, keys),
          scan: (range, take) => scanRows(snapshot, range, take),
          close: () => snapshot.close()
        }
      }
    })
    this.caches.set(family, made)
    return made
  }

  /** A snapshot of the rows of a state family. */
  openView(family: Family): Effect.Effect<RowView, StorageError> {
    return Effect.suspend(() =>
      this.failure.error === undefined
        ? Effect.succeed(this.cache(family).openView())
        : Effect.fail(this.failure.error)
    )
  }

  /** Writes what was committed before. */
  get flushed(): Effect.Effect<void, StorageError> {
    return this.promised("write", () => this.flush())
  }

  get sync(): Effect.Effect<void, StorageError> {
    return this.promised("sync", async () => {
      await this.flush()
      await this.gate.enter(() => this.gate.sync())
    })
  }

  commit(
    family: Family,
    operations: ReadonlyArray<Operation>,
    end?: () => ReadonlyArray<Operation>
  ): Effect.Effect<void, StorageError> {
    const cache = this.cache(family)
    checkOperations(operations)
    return this.promised("write", () => cache.commit(operations, end))
  }

  write(
    family: Family,
    operations: ReadonlyArray<Operation>,
    durability: "durable" | "lazy"
  ): Effect.Effect<void, StorageError> {
    checkOperations(operations)
    return this.promised("write", async () => {
      await this.flush()
      await this.aside(
        family,
        () =>
          durability === "durable"
            ? this.gate.writeDurable(family, operations)
            : this.gate.writeLazy(family, operations)
      )
    })
  }

  writeAll(batches: Batches): Effect.Effect<void, StorageError> {
    for (const { operations } of batches) checkOperations(operations)
    return this.promised("write", () => this.gate.enter(() => this.inOrder(batches)))
  }

  /**
   * Removes a range of a family whose later rows stay. A table spans all that was in memory with the deletion, and a
   * compaction of the range would write again all that lies below that table: so the deletion has one to itself. Other
   * writes wait only while the few rows are flushed that came during the first flush.
   */
  removeRange(family: Family, start: Uint8Array, end: Uint8Array): Effect.Effect<void, StorageError> {
    checkRange(start, end)
    const flushTables = () => this.sessions[family].flush()
    return this.promised("write", async () => {
      await this.flush()
      await flushTables()
      await this.aside(family, async () => {
        await flushTables()
        await this.gate.writeLazy(family, [{ _tag: "DeleteRange", start, end }])
        await flushTables()
      })
    })
  }

  /** A write that goes around the cache, where the family has one. */
  private aside(family: Family, write: () => Promise<void>): Promise<void> {
    const entered = () => this.gate.enter(write)
    return isState(family) ? this.cache(family).writeAside(entered) : entered()
  }

  private async inOrder(batches: Batches): Promise<void> {
    // Between two families order is enough. Within one, a power loss that kept the later batch of two WAL files
    // would leave a gap, so the earlier one is made durable first.
    const unsynced = new Set<Family>()
    for (const { family, operations } of batches) {
      if (unsynced.has(family)) {
        await this.gate.sync()
        unsynced.clear()
      }
      await this.gate.apply(family, operations)
      unsynced.add(family)
    }
    await this.gate.sync()
  }

  private async flush(): Promise<void> {
    for (const cache of this.caches.values()) await cache.flush()
  }
}
