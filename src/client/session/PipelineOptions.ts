/** What a pipeline is made of. */
import type { NodeFailure } from "./OperationFailure.ts"
import type { Effect } from "effect"
import type { Trace } from "../../protocol/Trace.ts"
import type { ResolvedClientOptions } from "../ClientOptions.ts"
import type { ClientSession } from "./ClientSession.ts"
import type { Connection, Done } from "../connection/Connection.ts"
import type { ConnectionPool } from "../connection/ConnectionPool.ts"
import type { Deadlines } from "./Deadlines.ts"
import type { Router } from "./Router.ts"

export interface PipelineOptions {
  readonly client: ResolvedClientOptions
  readonly pool: ConnectionPool
  /** Which node to ask. Pipelines that ask the same node share it. */
  readonly router: Router
  /** Those of all pipelines of the client. */
  readonly deadlines: Deadlines
  /** The clock of deadlines. */
  readonly nowMs: () => number
  /**
   * Whether an operation may be repeated although it may have been carried out, and what it means when it is given up.
   */
  readonly kind: "read" | "write" | "repeatable write"
  /** Numbers the operations, which makes each of them repeatable for as long as the session lives. */
  readonly session?: ClientSession | undefined
  readonly call: (
    connection: Connection,
    operations: ReadonlyArray<Uint8Array>,
    done: Done<NodeFailure>,
    traces: ReadonlyArray<Trace> | undefined
  ) => void
  readonly microtask: (task: () => void) => void
  /** Runs what is seldom and takes its time, for as long as the client is there. */
  readonly fork: (work: Effect.Effect<void>) => void
}
