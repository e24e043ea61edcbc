/**
 * Leases: times to live that keys can be attached to.
 *
 * ```
 * ttl u64 · deadline u64 · keys u32 · caller, to the end
 * ```
 *
 * Their clock is the log's (`StoreMetadata.logTimeMs`), so every node comes to the same end of a lease, and what is
 * left of its time is the same under the next leader. All leases are in memory as well, because a leader looks for
 * ended ones a few times a second.
 *
 * The caller is whose certificate or token was shown when the lease was granted, and only it, administrators and nodes
 * may use the lease. A lease without one is from a port that asks for no names; where names are asked for, it is for
 * administrators and nodes: ids can be guessed, and the end of a lease deletes keys.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"
import { CallerCounts } from "./access/CallerCounts.ts"
import { callerProblem } from "./Limits.ts"

export interface Lease {
  readonly id: number
  readonly ttlMs: number
  /** When it ends unless it is kept alive, in log time. */
  readonly deadlineMs: number
  /** How many keys are attached. */
  readonly keys: number
  /** Whose it is; empty when no name was asked for. */
  readonly caller: string
}

export const encodeLease = ({ caller, deadlineMs, keys, ttlMs }: Lease): Uint8Array =>
  new Writer(20 + caller.length).u64(ttlMs).u64(deadlineMs).u32(keys).raw(new TextEncoder().encode(caller)).bytes

/** The lease in `bytes`, or `undefined` when they are none. */
export const decodeLease = (id: number, bytes: Uint8Array): Lease | undefined => {
  const reader = new Reader(bytes)
  const lease: Lease = {
    id,
    ttlMs: reader.u64(),
    deadlineMs: reader.u64(),
    keys: reader.u32(),
    caller: new TextDecoder().decode(reader.rest())
  }
  return reader.complete && callerProblem(lease.caller) === undefined ? lease : undefined
}

/** Every lease of the store. */
export class Leases {
  private readonly leases = new Map<number, Lease>()
  private readonly counts = new CallerCounts()

  get size(): number {
    return this.leases.size
  }

  get(id: number): Lease | undefined {
    return this.leases.get(id)
  }

  /** The caller of a lease never changes. */
  set(lease: Lease): void {
    if (!this.leases.has(lease.id)) this.counts.add(lease.caller)
    this.leases.set(lease.id, lease)
  }

  /** How many leases a caller has. */
  countOf(caller: string): number {
    return this.counts.of(caller)
  }

  /** How many have ended since this memory was filled. */
  ended = 0

  delete(id: number): void {
    const lease = this.leases.get(id)
    if (lease === undefined) return
    this.leases.delete(id)
    this.counts.remove(lease.caller)
    this.ended += 1
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
