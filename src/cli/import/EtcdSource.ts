/** What an import needs of etcd: `EtcdGateway.ts` gets it from a running one. */
import type { Effect } from "effect"
import type { EtcdFailure } from "./ImportFailures.ts"

/** A key of etcd as it was at one revision. */
export interface EtcdEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** The id of its lease, a signed number of 64 bits in digits; `"0"` for none. */
  readonly lease: string
}

export interface EtcdPage {
  readonly entries: ReadonlyArray<EtcdEntry>
  readonly more: boolean
  /** Keys of the whole range, beyond the limit too. */
  readonly count: number
}

export interface EtcdRange {
  /** The first key. */
  readonly from: Uint8Array
  /** The end, not included; empty for "to the last key". */
  readonly end: Uint8Array
  readonly revision: number
  readonly limit: number
  readonly keysOnly?: boolean
}

/** etcd as it is now. */
export interface EtcdHead {
  readonly revision: number
  /** Keys in the range at that revision. */
  readonly keys: number
}

export interface EtcdSource {
  readonly version: string
  /** The id of the cluster, in digits. */
  readonly cluster: string
  readonly head: (range: Pick<EtcdRange, "from" | "end">) => Effect.Effect<EtcdHead, EtcdFailure>
  readonly range: (range: EtcdRange) => Effect.Effect<EtcdPage, EtcdFailure>
  /** Seconds that a lease has left; at most 0 when it has ended. */
  readonly remainingSeconds: (lease: string) => Effect.Effect<number, EtcdFailure>
}
