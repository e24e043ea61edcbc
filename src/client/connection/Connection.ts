/**
 * One way to one node. `TcpConnection.ts` is the one over the network, `server/NodeOperations.ts` the one within a
 * process.
 */
import type { Consistency, ReadFrom } from "../../protocol/ReadMode.ts"
import { Data, Effect } from "effect"
import type { Exit, Scope } from "effect"
import type { ClusterIdentity } from "../../protocol/ClusterIdentity.ts"
import type { Trace } from "../../protocol/Trace.ts"
import type { AccessError, ReadError, Unauthenticated, WatchError, WriteError } from "../../FlareDbError.ts"
import type { Revision } from "../../kv/model/History.ts"
import type { KeyRanges } from "../../kv/model/KeyRanges.ts"
import type { Endpoint } from "./Endpoint.ts"
import type { NodeReport } from "../../protocol/NodeReport.ts"
import type { NodeVitals } from "../../protocol/NodeVitals.ts"
import type { TlsRefusal } from "../../net/tls/TlsRefusal.ts"

/** The node cannot be reached, or the connection to it was lost. */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  /** `host:port` of the node. */
  readonly endpoint: string
  readonly reason: string
  /** Whether the node may have received what was asked of it. */
  readonly sent: boolean
  /** Whether it was known at once: no process listens there, there is no such host, or TLS refuses it. */
  readonly refused?: boolean
  /** Why TLS did not let the connection come about, where it was that; it is the same at the next attempt. */
  readonly tls?: TlsRefusal | undefined
}> {
  override get message() {
    return `${this.endpoint}: ${this.reason}`
  }
}

/** What is to be watched. */
export interface WatchRequest {
  readonly ranges: KeyRanges
  /** The first revision to tell of; `undefined` for everything that is acknowledged from now on. */
  readonly from: number | undefined
  /** Whether the records that changes replaced are wanted, as far as history has them. */
  readonly previous: boolean
  readonly only: "puts" | "deletes" | undefined
}

/** What came of watching for a while. */
export interface WatchPart {
  /** What changed, in order, each revision whole; empty when nothing did. */
  readonly revisions: ReadonlyArray<Revision>
  /** Everything up to this revision was sent by now. */
  readonly through: number
}

/**
 * A watch at a node. The node does nothing on its own: it is asked for each part, so that it never gets ahead of us.
 */
export interface NodeWatch {
  /** The first revision to ask for. */
  readonly from: number
  /**
   * What changed from revision `from` on; waits up to `waitMs` milliseconds for a change. An answer without one is
   * given only by a node that has just heard from a majority: it says that there was none.
   */
  readonly next: (from: number, waitMs: number) => Effect.Effect<WatchPart, WatchError | ConnectionLost>
  /** Has the node answer what is asked of it, or what is asked next, without waiting for a change. */
  readonly progress: Effect.Effect<void>
}

/** Which cluster a node says it is of. */
export interface ClusterInfo {
  /** The name that people gave it. */
  readonly name: string
  /** `undefined` while the node does not know it. */
  readonly identity: ClusterIdentity | undefined
}

/** Told once what became of a call, at once or later: nearly all traffic passes here, without a fiber for each call. */
export type Done<Failure> = (exit: Exit.Exit<ReadonlyArray<Uint8Array | Failure>, ConnectionLost>) => void

export interface Connection {
  /**
   * Which cluster the node is of. Asked before anything else is, and again while the identity is not known.
   * `ConnectionPool` uses no connection to another cluster than the client's.
   */
  readonly cluster: Effect.Effect<ClusterInfo, ConnectFailure>
  /** Who the node takes this client for; absent where it asks no caller, and within a process. */
  readonly caller?: string | undefined
  /** The version of the protocol that is spoken with the node; absent within a process. */
  readonly protocol?: number
  /** Results in the order of the commands. */
  readonly write: (
    commands: ReadonlyArray<Uint8Array>,
    done: Done<WriteError>,
    traces?: ReadonlyArray<Trace>
  ) => void
  /** Results in the order of the queries. */
  readonly read: (
    queries: ReadonlyArray<Uint8Array>,
    consistency: Consistency,
    from: ReadFrom,
    done: Done<ReadError>,
    traces?: ReadonlyArray<Trace>
  ) => void
  /** Begins to watch; the watch ends with the scope. */
  readonly watch: (request: WatchRequest) => Effect.Effect<NodeWatch, WatchError | ConnectionLost, Scope.Scope>
  readonly status: Effect.Effect<NodeReport, ConnectionLost | AccessError>
  readonly vitals: Effect.Effect<NodeVitals, ConnectionLost | AccessError>
  readonly transferLeader: (target: number | undefined) => Effect.Effect<void, ConnectionLost | AccessError>
}

/** How a connection does not come about. `Unauthenticated`: the node knows better, and so does any other. */
export type ConnectFailure = ConnectionLost | Unauthenticated

/** Opens a connection that lasts as long as its scope. */
export type Connect = (endpoint: Endpoint) => Effect.Effect<Connection, ConnectFailure, Scope.Scope>

/** {@link Connection.read} as an effect. */
export const read = (
  connection: Connection,
  queries: ReadonlyArray<Uint8Array>,
  consistency: Consistency,
  from: ReadFrom
): Effect.Effect<ReadonlyArray<Uint8Array | ReadError>, ConnectionLost> =>
  Effect.callback((resume) => connection.read(queries, consistency, from, resume))

/** {@link Connection.write} as an effect. */
export const write = (
  connection: Connection,
  commands: ReadonlyArray<Uint8Array>
): Effect.Effect<ReadonlyArray<Uint8Array | WriteError>, ConnectionLost> =>
  Effect.callback((resume) => connection.write(commands, resume))
