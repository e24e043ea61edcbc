/** How rough a run is; each seed draws its own. */
import type { Limits } from "../../../src/config/Limits.ts"
import type { Random } from "../Random.ts"
import type { NetworkFaults } from "./SimNetwork.ts"

export type FaultKind =
  | "crash"
  | "power"
  | "shutdown"
  | "pause"
  | "suspend"
  | "stale leader"
  | "put back"
  | "isolate"
  | "one-way"
  | "swizzle"
  | "slow disk"
  | "write error"
  | "sync error"
  | "disk full"
  | "damage"
  | "wipe"
  | "clock"
  | "transfer"

export interface Rates {
  readonly network: NetworkFaults
  /** Milliseconds between two faults, on average. */
  readonly everyMs: number
  readonly kinds: ReadonlyArray<readonly [FaultKind, number]>
  readonly clients: number
  /** Longest pause of a client between two operations. */
  readonly pauseMs: number
  readonly syncMs: number
  readonly readMs: number
  readonly limits: Partial<Limits>
  /** Clients renew their leases as late as they can. */
  readonly brinkmanship: boolean
  /** Some callers have to say who they are, and may not do everything. */
  readonly guests: boolean
  /** How likely a value is large, and a transaction long; and most bytes of such a value. */
  readonly large: number
  readonly largeBytes: number
  /** Nodes get newer releases while it goes on. */
  readonly upgrades: boolean
}

export const drawRates = (random: Random): Rates => ({
  network: {
    drop: random.pick([0, 0.01, 0.1]),
    duplicate: random.pick([0, 0.02, 0.1]),
    reorder: random.pick([0, 0.05, 0.5]),
    delayMs: random.pick([[0.2, 1], [1, 8], [2, 30]] as const),
    flip: random.pick([0, 0.05])
  },
  everyMs: random.pick([150, 300, 600]),
  kinds: [
    ["crash", random.pick([1, 4])],
    ["power", random.pick([1, 6])],
    ["shutdown", 1],
    ["pause", random.pick([0, 2, 4])],
    ["suspend", random.pick([0, 0, 1, 3])],
    ["stale leader", random.pick([0, 0, 0, 10])],
    ["put back", random.pick([0, 0, 0, 6])],
    ["isolate", random.pick([0, 2, 6])],
    ["one-way", random.pick([0, 2, 4])],
    ["swizzle", random.pick([0, 1])],
    ["slow disk", random.pick([0, 3])],
    ["write error", random.pick([0, 0.5])],
    ["sync error", random.pick([0, 0.5])],
    ["disk full", random.pick([0, 0.5])],
    ["damage", random.pick([0, 0, 2])],
    ["wipe", random.pick([0, 0, 1])],
    ["clock", random.pick([0, 1])],
    ["transfer", random.pick([0, 3])]
  ],
  clients: random.pick([2, 4, 6]),
  pauseMs: random.pick([20, 60, 150]),
  syncMs: random.pick([0.5, 3, 12]),
  readMs: random.pick([0, 0, 0.5, 4]),
  brinkmanship: random.chance(0.3),
  large: random.pick([0.02, 0.06, 0.12]),
  largeBytes: random.pick([700, 20_000, 60_000]),
  guests: random.chance(0.7),
  upgrades: random.chance(0.7),
  limits: {
    maxCachedBytes: random.pick([400, 3_000, 100_000]),
    maxAppendBytes: random.pick([200, 2_000, 100_000]),
    maxInflightMessages: random.pick([2, 16]),
    maxInflightBytes: random.pick([400, 100_000]),
    maxUncommittedBytes: random.pick([400, 2_000, 100_000, 4_000_000]),
    maxPendingReads: random.pick([2, 1_000]),
    ...random.pick([
      {},
      { maxLogEntries: 20, logSlackEntries: 5 },
      { maxLogEntries: 60, logSlackEntries: 30 },
      { maxLogEntries: 200, logSlackEntries: 20, maxLogBytes: 4_000 }
    ]),
    maxHistoryRevisions: random.pick([10, 60, 1_000])
  }
})
