/**
 * Where a node stands, written once. `NodeReport` is what its client port says, and with it clients, the console, and
 * `flaredb status`, `top`, `doctor` and `upgrade`. `StatusDocument` is what `/status` says of the same, with what only
 * somebody beside the node looks at. The core's own view of it is `raft/Status.ts`, which `node/NodeStatus.ts`
 * completes.
 */
import { Schema } from "effect"
import { membershipField, MembershipRole } from "./Membership.ts"

/** How far a peer's log is known to match the leader's, and how it is brought on. */
const Match = Schema.Struct({
  peer: Schema.Natural,
  match: Schema.Natural,
  state: Schema.Literals(["probe", "replicate", "snapshot"])
})

/** A snapshot in transfer to or from a peer; `estimatedBytes` says about how much it will be. */
const Transfer = Schema.Struct({ peer: Schema.Natural, bytes: Schema.Natural, estimatedBytes: Schema.Natural })

/** What both say of the link to a peer. */
const link = { peer: Schema.Natural, connected: Schema.Boolean, dropped: Schema.Natural }

/** How far a peer's clock is ahead, in milliseconds. */
const clock = { offsetMs: Schema.Finite, uncertaintyMs: Schema.Finite }

/** What runs as a peer: the highest feature level that it knows, and the protocol that is spoken with it. */
const peerProcess = { level: Schema.Natural, protocol: Schema.Natural }

/** What a node knows about its link to a peer. */
const Peer = Schema.Struct({
  ...link,
  /** That two processes run under the peer's id, in words; `null` when one does. */
  conflict: Schema.NullOr(Schema.String),
  /** What runs there, while it is connected to this node. */
  process: Schema.optionalKey(
    Schema.Struct({ release: Schema.NullOr(Schema.String), ...peerProcess })
  ),
  /** How far its clock is ahead of the node's, in milliseconds; nodes that cannot say leave it out. */
  clock: Schema.optionalKey(Schema.Struct({
    ...clock,
    /** That this is too much, in words; `null` while it is not. */
    problem: Schema.NullOr(Schema.String)
  }))
})

/** What a node can read and speak. */
const Versions = Schema.Struct({
  /** The feature level of the cluster, as far as the node has applied its log. */
  level: Schema.Natural,
  /** The highest feature level that the node knows. */
  known: Schema.Natural,
  clientProtocols: Schema.Struct({ oldest: Schema.Natural, newest: Schema.Natural }),
  peerProtocols: Schema.Struct({ oldest: Schema.Natural, newest: Schema.Natural })
})

/** What both say, under the same names: a node in its cluster. */
const membership = {
  clusterId: Schema.String,
  /** `null` while the node does not know it. */
  identity: Schema.NullOr(Schema.String),
  version: Schema.String,
  nodeId: Schema.Natural,
  voters: Schema.Array(Schema.Natural),
  role: Schema.Literals(["follower", "pre-candidate", "candidate", "leader"]),
  /** Only a voter votes; a node with an empty disk is unknown or a learner until it has caught up. */
  membership: MembershipRole,
  term: Schema.Natural
}

/** The same of its log. */
const log = {
  commit: Schema.Natural,
  applied: Schema.Natural,
  firstIndex: Schema.Natural,
  lastIndex: Schema.Natural,
  /** At a leader: how far each follower is known to be. */
  matches: Schema.Array(Match)
}

/** Where a node stands. */
export const NodeReport = Schema.Struct({
  ...membership,
  /** The leader this node follows; `null` when it knows none. */
  leader: Schema.NullOr(Schema.Natural),
  ...log,
  sending: Schema.Array(Transfer),
  /** `null` when no snapshot is in transfer to this node. */
  receiving: Schema.NullOr(Transfer),
  peers: Schema.Array(Peer),
  /** What the node waits for before it can serve, in words; `null` when it can. */
  waiting: Schema.NullOr(Schema.String),
  /** Absent at nodes of releases before feature levels. */
  versions: Schema.optionalKey(Versions),
  /**
   * The latest time that the clocks of a majority of the voters have reached, in milliseconds since 1970. Absent while
   * the node knows too few of them, and at nodes of earlier builds.
   */
  wallMs: Schema.optionalKey(Schema.Natural)
}).pipe(Schema.encodeKeys({ membership: membershipField }))
/** Where a node stands: role, term, log, and what it waits for. */
export type NodeReport = typeof NodeReport.Type

/** What `/status` says of the process. Nodes that write no directory leave its disk out. */
export const ProcessReport = Schema.Struct({
  /** By the clock of the node's machine, in milliseconds since 1970. */
  timeMs: Schema.Finite,
  uptimeMs: Schema.Finite,
  memoryBytes: Schema.Natural,
  /** The version of Node.js. */
  node: Schema.String,
  platform: Schema.String,
  diskBytes: Schema.optionalKey(Schema.Natural),
  diskFreeBytes: Schema.optionalKey(Schema.Natural)
})
export type ProcessReport = typeof ProcessReport.Type

/** The same transfer, with the last entry that the state covers. */
const StatusTransfer = Schema.Struct({
  ...Transfer.fields,
  point: Schema.Struct({ index: Schema.Natural, term: Schema.Natural })
})

/** The same link, with what it takes to find out why there is none. What is `undefined` is not in the JSON. */
const StatusPeer = Schema.Struct({
  ...link,
  address: Schema.optional(Schema.String),
  /** When the link last changed, in milliseconds since 1970. */
  sinceMs: Schema.Finite,
  queued: Schema.Natural,
  lastError: Schema.optional(Schema.String),
  conflict: Schema.optional(Schema.String),
  clock: Schema.optional(Schema.Struct({ ...clock, problem: Schema.optional(Schema.String) }))
})

/**
 * The JSON at `/status`. Programs that add sections have a field each beside these.
 */
export const StatusDocument = Schema.Struct({
  ...membership,
  /** The role by its name here: the document has no literals of earlier formats. */
  membership: Schema.toType(MembershipRole),
  /** While its membership is unknown: the peers that said that they have never taken part either. */
  fresh: Schema.Array(Schema.Natural),
  leader: Schema.optional(Schema.Natural),
  ...log,
  snapshots: Schema.Struct({
    sending: Schema.Array(StatusTransfer),
    receiving: Schema.optional(StatusTransfer),
    sentBytes: Schema.Natural,
    receivedBytes: Schema.Natural
  }),
  peers: Schema.Array(StatusPeer),
  levels: Schema.Struct({ current: Schema.Natural, known: Schema.Natural }),
  /** As in {@link NodeReport}. */
  wallMs: Schema.optional(Schema.Natural),
  /** What the peers run, by their ids, while they are connected. */
  processes: Schema.Record(Schema.String, Schema.Struct({ release: Schema.optional(Schema.String), ...peerProcess })),
  waiting: Schema.NullOr(
    Schema.Struct({ kind: Schema.String, nodes: Schema.Array(Schema.Natural), text: Schema.String })
  ),
  process: ProcessReport
})
export type StatusDocument = typeof StatusDocument.Type

/** Committed entries that a node has yet to apply, when `commit` is known to be. */
export const lagOf = (commit: number, { applied }: Pick<NodeReport, "applied">): number => Math.max(0, commit - applied)
