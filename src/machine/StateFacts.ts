/** What the first rows of a state say about it: whose it is, how far it has come, what time it is in it. */
import { identityRowKey } from "../protocol/ClusterIdentity.ts"
import { Reader } from "../bytes/Binary.ts"
import { decodeMetadata } from "../kv/model/StoreMetadata.ts"
import { metadataKey } from "../kv/model/Keyspace.ts"
import type { StateRow } from "../storage/StateStore.ts"
import { identityKey } from "./Identity.ts"

/** How the key-value store is called where machines have names. */
export const keyValueMachine = "key-value"

export interface StateFacts {
  /** The identity of the cluster whose state it is; `undefined` for a state from before the first one. */
  readonly identity: string | undefined
  readonly machine: string
  /** 0 for a machine without revisions. */
  readonly revision: number
  /** 0 when the machine knows no time. */
  readonly logTimeMs: number
}

/** Where a machine made of rows keeps its clock. */
export const clockKey: Uint8Array = Uint8Array.of(0x01, ...new TextEncoder().encode("time"))

const find = (rows: ReadonlyArray<StateRow>, key: Uint8Array): Uint8Array | undefined =>
  rows.find((row) => Buffer.compare(row.key, key) === 0)?.value

/** The facts, from the rows whose keys begin with `01`: the first ones of every state. */
export const factsOf = (rows: ReadonlyArray<StateRow>): StateFacts => {
  const cluster = find(rows, identityRowKey)
  const identity = cluster === undefined ? undefined : new TextDecoder().decode(cluster)
  const machine = find(rows, identityKey)
  if (machine === undefined) {
    const metadata = decodeMetadata(find(rows, metadataKey))
    return {
      identity,
      machine: keyValueMachine,
      revision: metadata?.revision ?? 0,
      logTimeMs: metadata?.logTimeMs ?? 0
    }
  }
  const clock = new Reader(find(rows, clockKey) ?? new Uint8Array(0))
  const timeMs = clock.u64()
  return { identity, machine: new TextDecoder().decode(machine), revision: 0, logTimeMs: clock.failed ? 0 : timeMs }
}
