/** The settings of the consensus core, counted in ticks and bytes, each with its consequence. */
import type { NodeId } from "./Types.ts"

export interface Config {
  /** This node. Must be one of `voters`. */
  readonly id: NodeId
  /** All voters, ascending: one or three. */
  readonly voters: ReadonlyArray<NodeId>
  /** Ticks between two heartbeats of a leader. Lower finds dead leaders sooner and costs messages. */
  readonly heartbeatTicks: number
  /**
   * The shortest election timeout, in ticks. Each wait draws a new timeout between this and `electionTicksMax - 1`, so
   * that two nodes rarely campaign together. (Raft §9.3)
   */
  readonly electionTicksMin: number
  /** Upper end (exclusive) of the election timeout. */
  readonly electionTicksMax: number
  /** Most entry bytes in one AppendRequest. A single larger entry still travels alone. */
  readonly maxAppendBytes: number
  /** Most entries in one AppendRequest. */
  readonly maxAppendEntries: number
  /** Most AppendRequests to one follower without an answer. */
  readonly maxInflightMessages: number
  /** Most entry bytes to one follower without an answer. */
  readonly maxInflightBytes: number
  /** Proposals are refused as `Overloaded` once this many entry bytes wait for commitment or application. */
  readonly maxUncommittedBytes: number
  /** Most entry bytes in one Apply output. */
  readonly maxApplyBytes: number
  /**
   * Most entry bytes of durable log kept in memory: for followers that are a little behind, and for applying. What has
   * left memory is read from the disk, applied or not.
   */
  readonly maxCachedBytes: number
  /** Most linearizable reads waiting for a round at the leader or for an answer at a follower. */
  readonly maxPendingReads: number
  /**
   * A leader steps down once a persist has been outstanding for this many ticks: its heartbeats would otherwise hide a
   * disk that has stopped answering.
   */
  readonly maxPersistTicks: number
  /**
   * Seeds the core's only randomness: election timeouts, and the numbers of forwarded reads. Must differ from one
   * start of a node to the next, or an answer to a read from before the restart could be taken for a new one.
   */
  readonly seed: number
}

/** Bytes an entry counts for in every byte limit: its payload plus a fixed share for its frame. */
export const entryBytes = (entry: { readonly payload: Uint8Array }): number => entry.payload.byteLength + 32
