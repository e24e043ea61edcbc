/**
 * The one gate through which a node writes to RocksDB. The binding applies two batches in flight in either order.
 *
 * There are two kinds of writes. A *durable* one is synced before the gate opens again. A *lazy* one (the
 * applied state, which can always be computed again from the durable log) is not; but two unsynced batches could end up
 * in two WAL files, and a power loss could keep the later and lose the earlier one, because RocksDB has no continuity
 * check between them. So a lazy write that finds the one before it unsynced syncs first. A durable write after a
 * lazy one needs no such care: losing the lazy one alone only means applying again.
 */
import type { DiskWork } from "../DiskWork.ts"
import type { FirstFailure } from "../FirstFailure.ts"
import { failureIn } from "../StorageError.ts"
import type { Sessions } from "./Database.ts"
import type { Family, Operation } from "./Operation.ts"
import type { WalSync } from "./WalSync.ts"

/** One batch at a time, in the order of the calls; after the first failure none. */
export class WriteGate {
  private readonly sessions: Sessions
  private readonly wal: WalSync
  private readonly work: DiskWork
  private readonly failure: FirstFailure
  private tail: Promise<void> = Promise.resolve()
  private unsynced = false

  constructor(sessions: Sessions, wal: WalSync, work: DiskWork, failure: FirstFailure) {
    this.sessions = sessions
    this.wal = wal
    this.work = work
    this.failure = failure
  }

  enter(work: () => Promise<void>): Promise<void> {
    const turn = this.tail.then(async () => {
      if (this.failure.error !== undefined) throw this.failure.error
      try {
        await work()
      } catch (cause) {
        const error = failureIn("write", this.wal.path, cause)
        this.failure.record(error)
        throw error
      }
    })
    // Only for the order of the writes: the caller has the error, and so has `failure`.
    this.tail = this.work.counted(turn.catch(() => undefined))
    return turn
  }

  async writeDurable(family: Family, operations: ReadonlyArray<Operation>): Promise<void> {
    await this.apply(family, operations)
    await this.sync()
  }

  async writeLazy(family: Family, operations: ReadonlyArray<Operation>): Promise<void> {
    if (this.unsynced) await this.sync()
    await this.apply(family, operations)
    this.unsynced = true
  }

  async sync(): Promise<void> {
    await this.wal.sync()
    this.unsynced = false
  }

  async apply(family: Family, operations: ReadonlyArray<Operation>): Promise<void> {
    const batch = this.sessions[family].write({ capacity: Math.max(32, operations.length) })
    try {
      for (const operation of operations) {
        if (operation._tag === "Put") batch.tryPut(operation.key, operation.value)
        else if (operation._tag === "Delete") batch.tryDelete(operation.key)
        else batch.tryDeleteRange(operation.start, operation.end)
      }
      await batch.flush()
    } finally {
      batch.destroy()
    }
    this.wal.wrote()
  }
}
