/**
 * Leases: times to live that keys can be attached to.
 *
 * ```
 * ttl u64 · deadline u64 · keys u32
 * ```
 *
 * Their clock is the log's (`Figures.logTimeMs`), so every node comes to the same end of a lease, and what is left of
 * its time is the same under the next leader. All leases are in memory as well, because a leader looks for ended ones a
 * few times a second.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"

export interface Lease {
  readonly id: number
  readonly ttlMs: number
  /** When it ends unless it is kept alive, in log time. */
  readonly deadlineMs: number
  /** How many keys are attached. */
  readonly keys: number
}

export const encodeLease = ({ deadlineMs, keys, ttlMs }: Lease): Uint8Array =>
  new Writer(20).u64(ttlMs).u64(deadlineMs).u32(keys).bytes

/** The lease in `bytes`, or `undefined` when they are none. */
export const decodeLease = (id: number, bytes: Uint8Array): Lease | undefined => {
  const reader = new Reader(bytes)
  const lease: Lease = { id, ttlMs: reader.u64(), deadlineMs: reader.u64(), keys: reader.u32() }
  return reader.complete ? lease : undefined
}

/** Every lease of the store. */
export class Leases {
  private readonly leases = new Map<number, Lease>()

  get size(): number {
    return this.leases.size
  }

  get(id: number): Lease | undefined {
    return this.leases.get(id)
  }

  set(lease: Lease): void {
    this.leases.set(lease.id, lease)
  }

  /** How many have ended since this memory was filled. */
  ended = 0

  delete(id: number): void {
    if (this.leases.delete(id)) this.ended += 1
  }

  /** All of them, in the order in which they were granted. */
  get all(): Iterable<Lease> {
    return this.leases.values()
  }

  /** The ids of at most `limit` leases whose time has passed. */
  expired(logTimeMs: number, limit: number): ReadonlyArray<number> {
    const ids: Array<number> = []
    for (const { deadlineMs, id } of this.leases.values()) {
      if (deadlineMs <= logTimeMs && ids.push(id) >= limit) break
    }
    return ids
  }
}
