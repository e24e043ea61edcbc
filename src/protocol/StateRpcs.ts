/**
 * What operators ask of a node's whole state: to have it sent, and to have it hashed. Both are streams that the asker
 * pulls; what a node holds for one ends with the connection. They share the client port with `ClientRpcs.ts`, on
 * connections of their own.
 */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { AccessError, Fatal, InvalidArgument, NoHello, NotLeader, Overloaded, Unavailable } from "../FlareDbError.ts"

/** Backups that a node serves at a time; more are refused as `Overloaded`. Each holds a view of the state open. */
export const maxBackups = 1

/** Hashes that a node waits for or computes at a time; more are refused as `Overloaded`. */
export const maxStateHashes = 1

/** Milliseconds without a question for the next part after which a node ends a backup. */
export const maxBackupIdleMs = 60_000

/** Milliseconds that a node waits for the command at which it is to hash its state. */
export const maxMarkerWaitMs = 300_000

/** How a node refuses to show its state. */
export const StateError = Schema.Union([InvalidArgument, NotLeader, Overloaded, Unavailable, Fatal, AccessError])
export type StateError = typeof StateError.Type

/** How far a node has come with the hash of its state. */
export const HashStep = Schema.TaggedUnion({
  /** From now on the command that was named will not be missed. */
  Armed: { nodeId: Schema.Natural },
  /** The command was applied, and the state behind it is being gone through. */
  Hashing: { bytes: Schema.Natural, estimatedBytes: Schema.Natural },
  Hashed: {
    nodeId: Schema.Natural,
    /** The place of that command in the log. */
    index: Schema.Natural,
    term: Schema.Natural,
    revision: Schema.Natural,
    rows: Schema.Natural,
    bytes: Schema.Natural,
    /** The SHA-256 of all rows, as in `protocol/SnapshotChunk.ts`. */
    digest: Schema.String
  }
})
export type HashStep = typeof HashStep.Type

const RpcError = Schema.Union([StateError, NoHello])

export class StateRpcs extends RpcGroup.make(
  /**
   * The bytes of a backup file (`protocol/BackupFile.ts`), header first, in chunks of at most 256 KiB: the state as it
   * was when everything acknowledged before the call was applied.
   */
  Rpc.make("Backup", { success: Schema.Uint8Array, error: RpcError, stream: true }),
  /** The hash of the state right behind the next command with these very bytes. */
  Rpc.make("HashState", { payload: { marker: Schema.Uint8Array }, success: HashStep, error: RpcError, stream: true })
).prefix("state.") {}
