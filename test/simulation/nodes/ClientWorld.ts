import type { Timeline } from "../engine/Timeline.ts"
import type { Random } from "../Random.ts"
import type { Answers } from "./Answers.ts"
import type { Ledger } from "./Ledger.ts"
import type { Probes } from "./Probes.ts"
import type { SimNode } from "./SimNode.ts"

/** What clients and watchers of a simulated cluster have in common. */
export interface ClientWorld {
  readonly random: Random
  readonly timeline: Timeline
  readonly nodes: ReadonlyArray<SimNode>
  readonly ledger: Ledger
  readonly answers: Answers
  readonly probes: Probes
  readonly trace: ((line: string) => void) | undefined
  readonly pauseMs: number
  /** Whether owners of leases renew them as late as they can. */
  readonly brinkmanship: boolean
  /** How likely a value is large, and a transaction long. */
  readonly large: number
  readonly largeBytes: number
  /** Releases change, and clients ask for what only newer ones know. */
  readonly upgrades: boolean
}
