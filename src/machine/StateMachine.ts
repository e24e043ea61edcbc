/**
 * What the log drives: commands in, replies out, the same on every node. `kv/` is the first
 * implementation (`KvStateMachine.ts`); a service with a state machine of its own provides this instead.
 *
 * Commands, queries and their replies are bytes here, so that one encoding made by the
 * client serves the wire, the log and the state machine.
 */
import { Context } from "effect"
import type { Effect } from "effect"
import type { Entry, LogPoint } from "../raft/Types.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { InvalidArgument } from "../FlareDbError.ts"

export class StateMachine extends Context.Service<StateMachine, {
  /** The last entry whose effects the state held when the node started. */
  readonly recovered: LogPoint

  /** The latest stamp of an entry that the state has seen; 0 before the first, and when time means nothing to it. */
  readonly logTimeMs: () => number

  /**
   * Refuses a command before it reaches the log: `undefined` when it is well-formed and within every limit.
   * Cheap and synchronous; a command that passes must never fail in `apply`.
   */
  readonly check: (command: Uint8Array) => InvalidArgument | undefined

  /**
   * Applies committed entries in order and answers each with its reply (empty for `noop`), in one atomic write
   * together with the applied index. Deterministic: it reads no clock and no random source, only `entry.stampMs`.
   */
  readonly apply: (entries: ReadonlyArray<Entry>) => Effect.Effect<ReadonlyArray<Uint8Array>, StorageError>

  /** Answers queries from the applied state, in one batch of reads. */
  readonly query: (queries: ReadonlyArray<Uint8Array>) => Effect.Effect<ReadonlyArray<QueryReply>, StorageError>

  /**
   * A snapshot took the place of everything in the state store: read again whatever is kept in memory. Never runs
   * beside `apply`.
   */
  readonly reload: Effect.Effect<void, StorageError>

  /**
   * Commands that are due by themselves at `logTimeMs`, such as the end of a lease. Asked only at a leader that has
   * just proved its leadership, a few times a second; the commands are proposed like any other and must be harmless
   * when they come twice or late. `[]` when time means nothing to the machine.
   */
  readonly due: (logTimeMs: number) => Effect.Effect<ReadonlyArray<Uint8Array>, StorageError>
}>()("flaredb/machine/StateMachine") {}

/** A query that is malformed or over a limit is answered by its error and fails no other query of the batch. */
export type QueryReply = Uint8Array | InvalidArgument
