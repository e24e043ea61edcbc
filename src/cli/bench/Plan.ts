/** What is measured: one point is one kind of operation at one number of clients. */

import type { IdentityFiles } from "../input/IdentityFlags.ts"

export const operations = ["put", "get", "stale-get", "txn"] as const
export type BenchOperation = (typeof operations)[number]

export interface Plan {
  readonly operation: BenchOperation
  /** Closed loops: each waits for its answer, then asks again. */
  readonly clients: number
  /** TCP connections to the leader, divided between the processes; a client of the library has one. */
  readonly connections: number
  /** Processes that make the load. */
  readonly processes: number
  readonly valueBytes: number
  /** Keys the load spreads over. */
  readonly keys: number
  /** Milliseconds before the measurement: connections, caches and compilers warm up. */
  readonly warmUpMs: number
  readonly measureMs: number
}

/** The part of a plan that one process carries out. */
export interface LoadShare extends Plan {
  readonly endpoints: string
  /** What is shown to the cluster. */
  readonly identity: IdentityFiles
  /** What all keys begin with. */
  readonly keyPrefix: string
  /** The clients of this process are `first`, `first + 1`, … `first + count - 1`. */
  readonly first: number
  readonly count: number
  /** Connections of this process. */
  readonly sockets: number
}

/**
 * Divides a plan between its processes, as evenly as it goes. Each process has at least one client and one connection.
 */
export const shares = (
  plan: Plan,
  { endpoints, identity, keyPrefix }: Pick<LoadShare, "endpoints" | "identity" | "keyPrefix">
): ReadonlyArray<LoadShare> => {
  const processes = Math.min(plan.processes, plan.clients)
  const part = (total: number, i: number) => Math.floor(total * (i + 1) / processes) - Math.floor(total * i / processes)
  let first = 0
  return Array.from({ length: processes }, (_, i) => {
    const count = part(plan.clients, i)
    const share = {
      ...plan,
      endpoints,
      identity,
      keyPrefix,
      first,
      count,
      sockets: Math.min(count, Math.max(1, part(plan.connections, i)))
    }
    first += count
    return share
  })
}

/** Connections for so many clients, unless it is said otherwise: what `etcd`'s own benchmark is run with beside it. */
export const usualConnections = (clients: number): number => clients === 1 ? 1 : 8
