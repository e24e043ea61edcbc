/**
 * What clients and nodes say to each other. A call carries a whole batch of operations, because the cost of a call
 * does not depend on how many it carries; each operation is answered for itself.
 */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { NodeReport } from "./NodeReport.ts"
import { NodeVitals } from "./NodeVitals.ts"
import type { ProtocolRange } from "./ProtocolRange.ts"
import { rangeText } from "./ProtocolRange.ts"
import { Traces } from "./Trace.ts"
import {
  AccessError,
  InvalidArgument,
  NoHello,
  Overloaded,
  ReadError,
  Unauthenticated,
  Unavailable,
  WatchError,
  WriteError
} from "../FlareDbError.ts"

/** The newest version that this release speaks. Raised by an incompatible change of anything in this file. */
export const clientProtocolVersion = 5

/** The versions that this release speaks. The oldest is the newest of the release before it. */
export const clientProtocols: ProtocolRange = { oldest: 5, newest: clientProtocolVersion }

/** Most operations in one call. */
export const maxBatchOperations = 4096

/** Most bytes of operations in one call, except that one operation may always travel. */
export const maxBatchBytes = 4 * 1024 * 1024

/** Longest time that one question for changes may wait, in milliseconds. */
export const maxWatchWaitMs = 60_000

/** Most characters of a token, a bootstrap token included. */
export const maxTokenCharacters = 256

/** There is no version of this protocol that both sides speak. */
export class WrongProtocol extends Schema.TaggedError<WrongProtocol>()("WrongProtocol", {
  /** The newest version that the node speaks. */
  server: Schema.Natural,
  /** The oldest version that the client speaks. */
  client: Schema.Natural,
  /** The oldest version that the node speaks; absent where that is the newest, too. */
  serverOldest: Schema.optionalKey(Schema.Natural),
  /** The newest version that the client speaks; absent where that is the oldest, too. */
  clientNewest: Schema.optionalKey(Schema.Natural),
  /** The release of the node. Releases before ranges do not say it. */
  release: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    const node = rangeText({ oldest: this.serverOldest ?? this.server, newest: this.server })
    const client = rangeText({ oldest: this.client, newest: this.clientNewest ?? this.client })
    const release = this.release === undefined ? "" : ` (flaredb ${this.release})`
    return `the node speaks client protocol ${node}${release}, this client ${client}; upgrade the older of the two`
  }
}

/** Who answered a `Hello`. */
export const Welcome = Schema.Struct({
  clusterId: Schema.String,
  /**
   * See `protocol/ClusterIdentity.ts`. `null` while the node does not know it; the client asks again before it trusts
   * it.
   */
  identity: Schema.NullOr(Schema.String),
  nodeId: Schema.Natural,
  version: Schema.String,
  /** Who the node takes the caller for; `null` where callers are not asked. */
  name: Schema.NullOr(Schema.String),
  /** The version that is spoken on this connection; absent at nodes that speak one only, which is the client's. */
  protocol: Schema.optionalKey(Schema.Natural)
})

/**
 * How the port refuses any call: it came before `Hello`, is one too many, its caller may not make it, or it could not
 * be written down.
 */
const CallRefused = Schema.Union([NoHello, Overloaded, AccessError, Unavailable])

/**
 * Operations that failed, by their index in the batch, which is called `slot` on the wire; the others have their reply
 * there.
 */
const Failures = <Error extends Schema.Top>(error: Error) =>
  Schema.Array(Schema.Struct({ slot: Schema.Natural, error }))

export class ClientRpcs extends RpcGroup.make(
  Rpc.make("Hello", {
    payload: {
      /** The oldest version that the client speaks; nodes before ranges take this one only if it is their own. */
      protocolVersion: Schema.Natural,
      /** The newest version that the client speaks. */
      newest: Schema.optionalKey(Schema.Natural),
      /** See `kv/model/access/Token.ts`. Only over TLS, or within a machine. */
      token: Schema.optionalKey(Schema.RedactedFromValue(Schema.String.check(Schema.isMaxLength(maxTokenCharacters))))
    },
    success: Welcome,
    error: Schema.Union([WrongProtocol, Overloaded, Unauthenticated, Unavailable])
  }),
  /** `commands` and `replies` are batches (`protocol/Batch.ts`); a failed command's reply is empty. */
  Rpc.make("Write", {
    payload: { commands: Schema.Uint8Array, traces: Schema.optionalKey(Traces) },
    success: Schema.Struct({ replies: Schema.Uint8Array, failures: Failures(WriteError) }),
    error: Schema.Union([InvalidArgument, ...CallRefused.members])
  }),
  /** A node that does not lead answers `NotLeader` to what is asked `from` the leader. */
  Rpc.make("Read", {
    payload: {
      consistency: Schema.Literals(["linearizable", "stale"]),
      from: Schema.Literals(["leader", "any"]),
      queries: Schema.Uint8Array,
      traces: Schema.optionalKey(Traces)
    },
    success: Schema.Struct({ replies: Schema.Uint8Array, failures: Failures(ReadError) }),
    error: Schema.Union([InvalidArgument, ...CallRefused.members])
  }),
  /**
   * Begins a watch of several ranges, written as in `kv/model/KeyRanges.ts`. `from` `null` tells of what is
   * acknowledged from now on.
   */
  Rpc.make("Watch", {
    payload: {
      ranges: Schema.Uint8Array,
      from: Schema.NullOr(Schema.Natural),
      previous: Schema.Boolean,
      only: Schema.NullOr(Schema.Literals(["puts", "deletes"]))
    },
    success: Schema.Struct({ watch: Schema.Natural, from: Schema.Natural }),
    error: Schema.Union([WatchError, NoHello])
  }),
  /**
   * The next part of a watch; `changes` is a batch as in `kv/model/History.ts`. Belongs to the connection that began
   * it.
   */
  Rpc.make("Changes", {
    payload: { watch: Schema.Natural, from: Schema.Natural, waitMs: Schema.Natural },
    success: Schema.Struct({ changes: Schema.Uint8Array, through: Schema.Natural }),
    error: Schema.Union([WatchError, NoHello])
  }),
  /** The question for changes that is open, or the next one, is answered without waiting for a change. */
  Rpc.make("WatchProgress", { payload: { watch: Schema.Natural }, success: Schema.Void, error: CallRefused }),
  Rpc.make("EndWatch", { payload: { watch: Schema.Natural }, success: Schema.Void, error: CallRefused }),
  Rpc.make("Status", { success: NodeReport, error: CallRefused }),
  /** A node of an earlier version does not know it, and its console goes without. */
  Rpc.make("Vitals", { success: NodeVitals, error: CallRefused }),
  /** `target` `null` lets the leader choose. */
  Rpc.make("TransferLeader", {
    payload: { target: Schema.NullOr(Schema.Natural) },
    success: Schema.Void,
    error: CallRefused
  })
).prefix("client.") {}
