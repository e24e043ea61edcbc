import type { IdentityFiles } from "../input/IdentityFlags.ts"

/** The cluster under measurement. */
export interface Target {
  /** For `--endpoints`. */
  readonly endpoints: string
  readonly nodes: ReadonlyArray<TargetNode>
  /** What is shown to it. */
  readonly identity: IdentityFiles
  /** What all keys of the load begin with. */
  readonly keyPrefix: string
}

/**
 * The same cluster with the endpoint of its leader first; `leads[i]` is of `nodes[i]`. Clients read from the first node
 * that answers, and reads at a follower cost other processes more: chance must not decide which of both is measured.
 */
export const leaderFirst = (target: Target, leads: ReadonlyArray<boolean>): Target => {
  const endpoints = target.endpoints.split(",")
  const [leader] = endpoints.splice(leads.indexOf(true), leads.includes(true) ? 1 : 0)
  return leader === undefined ? target : { ...target, endpoints: [leader, ...endpoints].join(",") }
}

export interface TargetNode {
  /** Where `/metrics` is. */
  readonly http: string
  /** Its process, when it is one of this machine that may be looked at. */
  readonly pid?: number | undefined
  /** The ports it listens on, for the bytes on the wire. */
  readonly ports: ReadonlyArray<number>
}
