/**
 * The cluster that a client keeps to: the first one that it met, or the one it was configured to expect. What a client
 * holds (sessions, leases, locks, positions of watches) belongs to one history and means nothing in another, so every
 * connection is checked here before it is used.
 */
import type { ClusterIdentity } from "../../protocol/ClusterIdentity.ts"
import { WrongCluster } from "../../FlareDbError.ts"
import type { ClusterInfo } from "./Connection.ts"

/** What is known of the node at the other end of a connection. */
export type ClusterCheck = "same" | "unknown" | WrongCluster

export class KnownCluster {
  private expected: ClusterIdentity | undefined
  private name: string | undefined

  constructor(expected?: ClusterIdentity) {
    this.expected = expected
  }

  /** The cluster's identity; `undefined` before the first connection, unless one was expected from the beginning. */
  get identity(): ClusterIdentity | undefined {
    return this.expected
  }

  /** Compares what a node says with what is known. The first node whose identity is known decides for all others. */
  check(endpoint: string, { identity, name }: ClusterInfo): ClusterCheck {
    const { expected } = this
    if (
      expected !== undefined &&
      (identity === undefined ? this.name !== undefined && name !== this.name : identity !== expected)
    ) {
      return new WrongCluster({
        endpoint,
        expected,
        ...(identity === undefined ? {} : { found: identity }),
        foundName: name
      })
    }
    if (identity === undefined) return "unknown"
    this.expected = identity
    this.name = name
    return "same"
  }
}
