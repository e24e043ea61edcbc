/** What one runner's process knows of the locks that it takes. */
import type { Fiber } from "effect"
import { Semaphore } from "effect"
import type { WriteFailure } from "../../client/KeyValue.ts"

/** What is known of one address. */
export interface LockOwner {
  readonly address: string
  /** What is written in locks. Another process of the same address has another one. */
  readonly holder: string
  /** The lease of the locks; 0 for none. */
  lockLease: number
  /** When the lock lease was last known to be alive, by the monotonic clock. */
  confirmedMs: number
  readonly locks: Map<string, number>
  /** When each shard was last named by an acquisition or a refresh, by the monotonic clock. */
  readonly namedMs: Map<string, number>
  /** Acquisitions under way. */
  readonly acquiring: Map<string, Acquisition>
  /** Shards whose locks are being released because no caller named them. */
  readonly leaving: Set<string>
  /** One grant of a lock lease at a time. */
  readonly turn: Semaphore.Semaphore
}

export interface Acquisition {
  readonly lease: number
  readonly fiber: Fiber.Fiber<boolean, WriteFailure>
}

/** One that holds nothing. `instance` tells its process from others at the same address. */
export const lockOwner = (address: string, instance: string): LockOwner => ({
  address,
  holder: JSON.stringify({ address, instance }),
  lockLease: 0,
  confirmedMs: -Infinity,
  locks: new Map(),
  namedMs: new Map(),
  acquiring: new Map(),
  leaving: new Set(),
  turn: Semaphore.makeUnsafe(1)
})

/** The address of what is written in a lock. */
export const addressOf = (holder: string): string | undefined => {
  try {
    return (JSON.parse(holder) as { readonly address?: string }).address
  } catch {
    return undefined
  }
}
