/** What reaches the owner: events for the core, and the callers' work that becomes such events. */
import type { Deferred } from "effect"
import type { Event, Receive, Tick } from "../raft/Event.ts"
import type { Entry, LogPoint } from "../raft/Types.ts"
import type { SnapshotRequest } from "../transport/PeerTransport.ts"
import type { SnapshotRefused } from "../protocol/SnapshotRefused.ts"
import type { ReadGroup, Submission } from "./Pending.ts"

/** A message, and the connection that it came on, to close it where the message cannot be. */
export interface FromPeer extends Receive {
  readonly connection: number
}

/** Commands of one caller, to be appended in order. */
export interface Submit {
  readonly _tag: "Submit"
  readonly submission: Submission
}

/** Linearizable queries of one caller, waiting for a read index. */
export interface Read {
  readonly _tag: "Read"
  readonly request: ReadGroup
}

/** The applier finished a batch; `replies[i]` answers `entries[i]`. */
export interface AppliedBatch {
  readonly _tag: "AppliedBatch"
  readonly entries: ReadonlyArray<Entry>
  readonly replies: ReadonlyArray<Uint8Array>
  /** Milliseconds that the state machine took. */
  readonly tookMs: number
}

/** A caller wants the status of the node, which only the owner may read. */
export interface Look {
  readonly _tag: "Look"
  readonly look: () => void
}

/** A peer asks to send the state; only the owner knows whether it is wanted. */
export interface SnapshotRequested {
  readonly _tag: "SnapshotRequested"
  readonly request: SnapshotRequest
  readonly answer: Deferred.Deferred<SnapshotRefused | undefined>
}

/** A snapshot is the state of this node now, on disk and in memory. */
export interface Installed {
  readonly _tag: "Installed"
  readonly point: LogPoint
  /** The latest timestamp that the new state has seen. */
  readonly logTimeMs: number
  /** Done once the core knows. */
  readonly known: Deferred.Deferred<void>
}

/** Time has come for something: the owner takes the ticks that have passed with every turn, and this is one. */
export interface Alarm {
  readonly _tag: "Alarm"
}

export type Input =
  | Exclude<Event, Receive | Tick>
  | Alarm
  | FromPeer
  | Submit
  | Read
  | AppliedBatch
  | Look
  | SnapshotRequested
  | Installed
