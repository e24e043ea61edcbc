/**
 * What travels between nodes: a `Hello` that opens each connection, then `Deliver` calls with batches of messages
 * (`protocol/MessageBatch.ts`), whose entries were encoded once, at the leader. A connection may instead carry one
 * snapshot: its offer, then its chunks (`protocol/SnapshotChunk.ts`), each answered once it is stored.
 */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import type { ProtocolRange } from "./ProtocolRange.ts"
import type { LogIndex, LogPoint, Term } from "../raft/Types.ts"
import { SnapshotRefusedOnWire } from "./SnapshotRefused.ts"

/**
 * The newest version that this release speaks. Raised by an incompatible change of anything in this file or in
 * `protocol/MessageBatch.ts`. Rows of the state and commands have feature levels instead (`FeatureLevel.ts`).
 */
export const protocolVersion = 8

/** The versions that this release speaks. The oldest is the newest of the release before it. */
export const peerProtocols: ProtocolRange = { oldest: 8, newest: protocolVersion }

/** The other side refuses the connection; trying again without changing the configuration is of no use. */
export class PeerRefused extends Schema.TaggedError<PeerRefused>()("PeerRefused", {
  reason: Schema.Literals([
    "cluster-id",
    "cluster-identity",
    "node-id",
    "unknown-peer",
    "protocol-version",
    "no-hello",
    "overloaded",
    "malformed",
    // Only ever sent over TLS, which nodes of earlier versions do not speak.
    "certificate"
  ]),
  expected: Schema.String,
  found: Schema.String
}) {
  override get message() {
    const refused = `refused (${this.reason}): expected ${this.expected}, got ${this.found}`
    if (this.reason === "certificate") {
      return `${refused}. A node speaks for itself alone: give each its own certificate with flaredb cert node`
    }
    if (this.reason === "protocol-version") return `${refused}. Upgrade the older of the two; see docs/upgrades.md`
    return this.reason === "cluster-identity"
      ? `${refused}. The two nodes belong to different clusters of the same name: one kept the data directory of an ` +
        "earlier cluster. Stop that node and move its directory away; see deploy/runbooks/lost-node.md"
      : refused
  }
}

const Count = Schema.Natural
const Node = Schema.Int.check(Schema.isGreaterThan(0))
const Point = Schema.Struct({ index: Count, term: Count })
/** Of a stranger, maybe: it is shown in logs. */
const Release = Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,64}$/))

const SnapshotFailure = Schema.Union([PeerRefused, SnapshotRefusedOnWire])

export class PeerRpcs extends RpcGroup.make(
  Rpc.make("Hello", {
    payload: {
      clusterId: Schema.String,
      /** `null` while the caller does not know it. A caller that learns it says `Hello` once more. */
      identity: Schema.NullOr(Schema.String),
      /**
       * The name that the calling process gave itself at its start: 16 random bytes. Protocols before 7 have none, and
       * are to be told that it is their version that is wrong.
       */
      instance: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/))),
      from: Node,
      to: Node,
      /** The oldest version that the caller speaks; releases before ranges speak this one only. */
      protocolVersion: Count,
      /** The newest version that the caller speaks; this and what follows is unknown to older releases. */
      newest: Schema.optionalKey(Count),
      release: Schema.optionalKey(Release),
      /** The highest feature level that the caller knows. */
      level: Schema.optionalKey(Count),
      /** The feature level of the cluster, as far as the caller knows it; absent for the lowest. */
      required: Schema.optionalKey(Schema.Struct({ level: Count, release: Release }))
    },
    error: PeerRefused
  }),
  /** `messages` is a batch as in `protocol/MessageBatch.ts`. */
  Rpc.make("Deliver", {
    payload: { messages: Schema.Uint8Array },
    error: PeerRefused
  }),
  /** What time it is at the other node. Nodes that do not know the call say so, and are not asked again. */
  Rpc.make("Clock", {
    success: Schema.Struct({ wallMs: Count }),
    error: PeerRefused
  }),
  /** Asks the other node to take a snapshot. Calls keep the name that the first version gave them. */
  Rpc.make("OfferSnapshot", {
    payload: { term: Count, point: Point, estimatedBytes: Count },
    error: SnapshotFailure
  }),
  Rpc.make("SnapshotChunk", {
    payload: { chunk: Schema.Uint8Array },
    error: SnapshotFailure
  })
).prefix("peer.") {}

/** A point that arrived. */
export const point = (wire: { readonly index: number; readonly term: number }): LogPoint => ({
  index: wire.index as LogIndex,
  term: wire.term as Term
})
