/**
 * One way to one node. `TcpConnection.ts` is the one over the network, `server/NodeOperations.ts` the one within a
 * process.
 */
import { Data } from "effect"
import type { Effect, Scope } from "effect"
import type { ReadError, WriteError } from "../FlareDbError.ts"
import type { Endpoint } from "./Endpoint.ts"
import type { NodeReport } from "./ClientRpcs.ts"

/** The node cannot be reached, or the connection to it was lost. */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  /** `host:port` of the node. */
  readonly endpoint: string
  readonly reason: string
  /** Whether the node may have received what was asked of it. */
  readonly sent: boolean
}> {
  override get message() {
    return `${this.endpoint}: ${this.reason}`
  }
}

export interface Connection {
  /** Results in the order of the commands. */
  readonly write: (
    commands: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | WriteError>, ConnectionLost>
  /** Results in the order of the queries. */
  readonly read: (
    queries: ReadonlyArray<Uint8Array>,
    consistency: "linearizable" | "stale"
  ) => Effect.Effect<ReadonlyArray<Uint8Array | ReadError>, ConnectionLost>
  readonly status: Effect.Effect<NodeReport, ConnectionLost>
  readonly transferLeader: (target: number | undefined) => Effect.Effect<void, ConnectionLost>
}

/** Opens a connection that lasts as long as its scope. */
export type Connect = (endpoint: Endpoint) => Effect.Effect<Connection, ConnectionLost, Scope.Scope>
