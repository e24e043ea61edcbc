/**
 * What the log drives: commands in, replies out, the same on every node. `kv/` is the first implementation
 * (`KvStateMachine.ts`); a service with a state machine of its own provides this instead, most easily through
 * `RowMachine.ts`. `docs/state-machines.md` has an example.
 *
 * Commands, queries and their replies are bytes here, so that one encoding made by the client serves the wire, the log
 * and the state machine.
 *
 * What a machine owes the node:
 *
 * - *Everything in the state store.* All that decides a reply or a later change is in the store, written in the same
 *   commit as the applied point. Its keys begin with `01` or more: `00` is the store's own, and the rows `01 "cluster"`
 *   and `01 "level"` are the node's. Snapshots and backups take the store as it is, byte by byte, and know nothing
 *   else of the machine. Memory beside it is a cache, rebuilt by `reload`.
 * - *Determinism.* The same entries give the same rows and replies on every node, however they are cut into batches and
 *   wherever a restart falls between them. `flaredb/testing` has a suite for it (`stateMachineCases`).
 * - *Time from the log.* `entry.timestampMs` is the clock of the cluster, set by the leader. It hardly ever goes back
 * from one entry to the next; a machine takes the maximum of all it has seen.
 * - *Old commands.* What one version accepted the next must be able to apply: it may still be in the log.
 *
 * Two kinds of entries a machine never sees: the identity of the cluster (`OwnIdentity.ts`) and its feature level
 * (`OwnLevel.ts`). `apply` may be called with entries whose indices have gaps there.
 *
 * The node calls `apply` and `reload` one after the other, never side by side; `check`, `query` and `due` at any time,
 * also between two parts of an `apply`.
 */
import { Context } from "effect"
import type { Effect } from "effect"
import type { Entry, LogPoint } from "../raft/Types.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { InvalidArgument, Overloaded } from "../FlareDbError.ts"
import type { AnswerRoom } from "./AnswerRoom.ts"
import type { MachineAccess } from "./MachineAccess.ts"

/** Who proposes a command. */
export type Proposer = "client" | "node"

/** Where a command comes from that is not persisted yet: who proposes it here, or the log of another node. */
export type CommandOrigin = Proposer | "log"

/** What a command is kept in until it is applied: its entry of the log, or what becomes one. */
export interface KeptCommand {
  /** What the machine made of its bytes. */
  decoded?: unknown
}

/**
 * What is replicated: committed commands in, replies out. `docs/state-machines.md` says how to write one.
 *
 * **When to use**
 *
 * To replicate state that is not rows. For rows `layer` makes one of a `RowMachine`, which is less to write.
 *
 * **Gotchas**
 *
 * It has to be deterministic: every node applies the same commands, and `flaredb verify` compares what became of
 * them.
 */
export class StateMachine extends Context.Service<StateMachine, {
  /** The last entry whose effects the state held when the node started. */
  readonly recovered: LogPoint

  /**
   * The latest timestamp of an entry that the state has seen; 0 before the first, and when time means nothing to it.
   */
  readonly logTimeMs: () => number

  /**
   * Refuses a command before it reaches the log: `undefined` when it is well-formed and within every limit.
   * Cheap and synchronous; a command that passes must never fail in `apply`. What the machine's own `due` asks for
   * comes from the node, everything else that is proposed from a client, as if that were said where nothing is.
   * What a client proposes may be held to the settings of this node, which other nodes need not share. The node
   * refuses an entry of another node's log when the answer is an error, whatever the leader says.
   *
   * The machine may keep what it decoded in `kept.decoded`, and use that of the entry in `apply`.
   */
  readonly check: (command: Uint8Array, origin?: CommandOrigin, kept?: KeptCommand) => InvalidArgument | undefined

  /**
   * Applies committed entries in order and answers each with its reply (empty for `noop`). Each atomic write holds
   * whole entries together with the applied index they end at. A machine that would have to keep too much in memory
   * may stop after any entry: it answers with fewer replies, at least one, and is called again with the rest.
   * Deterministic: it reads no clock and no random source, only `entry.timestampMs`.
   */
  readonly apply: (entries: ReadonlyArray<Entry>) => Effect.Effect<ReadonlyArray<Uint8Array>, StorageError>

  /**
   * Answers queries from the applied state, in one batch of reads. With `room`, reserves there before it reads what may
   * be large; work that is interrupted ends soon.
   */
  readonly query: (
    queries: ReadonlyArray<Uint8Array>,
    room?: AnswerRoom
  ) => Effect.Effect<ReadonlyArray<QueryReply>, StorageError>

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

  /**
   * Milliseconds after `logTimeMs` before which `due` has nothing that must come within 200 ms, as the state is now.
   * Where it is a second or more, `due` is asked once a second instead of five times: a command that is applied
   * meanwhile must not make anything due earlier than a second after it. Without it, `due` is asked as often as ever.
   */
  readonly untilDueMs?: (logTimeMs: number) => number

  /**
   * The feature level that a command needs which passed `check`; below it the command is refused. Looks at a few bytes.
   * Without it, every command may be proposed at any level.
   */
  readonly levelOf?: (command: Uint8Array) => number

  /** Who may do what; see `MachineAccess.ts`. */
  readonly access?: MachineAccess
}>()("flaredb/machine/StateMachine") {}

/**
 * A query that is malformed or over a limit is answered by its error and fails no other query of the batch.
 * `Overloaded` asks the caller to ask again, because the answers of one call would be too large.
 */
export type QueryReply = Uint8Array | InvalidArgument | Overloaded
