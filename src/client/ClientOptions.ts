/** The settings of a client, each with its default and its consequence. */
import type { Consistency, ReadFrom } from "../protocol/ReadMode.ts"
import type { Credentials } from "../net/tls/Credentials.ts"
import type { Endpoint } from "./connection/Endpoint.ts"
import type { ClientToken } from "./connection/Hello.ts"
import type { TcpConnectionOptions } from "./connection/TcpConnection.ts"

/** How nodes are reached over TLS. */
export interface ClientTls {
  /** The authorities that are trusted, and the client's certificate, if it has one. */
  readonly credentials: Credentials
  /** The name of the cluster that nodes must be of. By default any that the authorities issue certificates for. */
  readonly cluster?: string | undefined
}

/** Settings of a client. Only `endpoints` is required; times are milliseconds. */
export interface ClientOptions {
  /** Client endpoints of the nodes. One is enough to find the leader, all survive the loss of any. */
  readonly endpoints: ReadonlyArray<Endpoint>
  /**
   * The identity of the cluster to use (`flaredb status`, `ClusterAdmin.identity`). A program that keeps revisions,
   * leases or fencing revisions from one run to the next keeps this beside them: then the client fails with
   * `WrongCluster` wherever another cluster answers. By default a client keeps to the first cluster that it meets.
   */
  readonly clusterIdentity?: string | undefined
  /**
   * What this client is called where operators see it (`flaredb session list`): up to 64 letters, digits, dots, dashes
   * or underscores. It is not verified. Default empty.
   */
  readonly name?: string | undefined
  /** TLS, with what is trusted and shown. By default connections are plain, for clusters on this machine alone. */
  readonly tls?: ClientTls | undefined
  /**
   * What is shown instead of a certificate: `fdb_NAME_SECRET`, as `Access.createToken` gives it, or an effect that
   * reads it. It is read for each connection, so a file whose token changes is followed. Without TLS it is only sent
   * to nodes of this machine: anything else is an `InvalidConfig`.
   */
  readonly token?: ClientToken | undefined
  /**
   * Milliseconds an operation may take, retries included. Default 5000: enough for the election that follows the
   * loss of a leader. A write that was sent and not answered by then is `Indeterminate`.
   */
  readonly requestTimeoutMs?: number | undefined
  /**
   * Milliseconds after which an operation that was not sent fails while every endpoint refuses connections or its name
   * is unknown. Default: the whole time of the operation, because nodes that restart refuse connections for seconds. A
   * command line sets it low, so that a wrong endpoint is known at once.
   */
  readonly refusedTimeoutMs?: number | undefined
  /**
   * Milliseconds until the next node is tried when a connection is not open. Default 1000. It goes on being opened for
   * four times as long, for callers that ask that node again.
   */
  readonly connectTimeoutMs?: number | undefined
  /**
   * Milliseconds without an answer after which operations go to another node. Default 1500. A call may take a second
   * more for each 4 MiB that wait for their answers, but not more than half of what its operations have left.
   */
  readonly attemptTimeoutMs?: number | undefined
  /** Calls of one kind in flight. More hide latency, fewer make larger batches. Default 4. */
  readonly maxCallsInFlight?: number | undefined
  /**
   * Consistency of reads that name none. Default `linearizable`. What locks, elections, mirrors, `modify` and actors
   * read to decide something is linearizable in any case.
   */
  readonly consistency?: Consistency | undefined
  /**
   * Which node answers reads that name none. Default `any`: the first endpoint that works, so name the nearest first
   * and spread the load by naming them in different orders. `leader` saves a linearizable read the way from a follower
   * to the leader and has all reads done by one node.
   */
  readonly readFrom?: ReadFrom | undefined
  /** Operations of one kind that may wait; more fail as `Overloaded`. Default 65,536. */
  readonly maxPendingOperations?: number | undefined
  /**
   * Whether writes belong to a session, so that each takes effect exactly once. Default `true`: a write whose answer
   * was lost is repeated until its deadline, and only then `Indeterminate`. The first write costs one more round, which
   * opens the session, and closing the client one that ends it; the cluster has room for 10,000 sessions, and then ends
   * unused and idle ones. With `false` nothing is repeated that may have been carried out: a lost connection or a
   * change of leaders makes writes `Indeterminate`.
   */
  readonly sessions?: boolean | undefined
  /**
   * Milliseconds without a write after which the cluster forgets the session; the next write opens another. Default
   * 300,000, at least 1,000. A cluster whose sessions are all taken ends it after 60 seconds, or 10 when it keeps no
   * reply. A write that is still being repeated by then, because its own deadline is longer, fails as
   * `SessionExpired` when its outcome cannot be known.
   */
  readonly sessionTtlMs?: number | undefined
}

/** Settings without a default. */
type Optional = "clusterIdentity" | "refusedTimeoutMs" | "tls" | "token"

export type ResolvedClientOptions =
  & {
    readonly [K in Exclude<keyof ClientOptions, Optional>]-?: Exclude<
      ClientOptions[K],
      undefined
    >
  }
  & Pick<ClientOptions, Optional>

export const resolve = (options: ClientOptions): ResolvedClientOptions => ({
  endpoints: options.endpoints,
  clusterIdentity: options.clusterIdentity,
  name: options.name ?? "",
  tls: options.tls,
  token: options.token,
  requestTimeoutMs: options.requestTimeoutMs ?? 5_000,
  refusedTimeoutMs: options.refusedTimeoutMs,
  connectTimeoutMs: options.connectTimeoutMs ?? 1_000,
  attemptTimeoutMs: options.attemptTimeoutMs ?? 1_500,
  maxCallsInFlight: options.maxCallsInFlight ?? 4,
  consistency: options.consistency ?? "linearizable",
  readFrom: options.readFrom ?? "any",
  maxPendingOperations: options.maxPendingOperations ?? 65_536,
  sessions: options.sessions ?? true,
  sessionTtlMs: options.sessionTtlMs ?? 300_000
})

/** How connections of such a client are opened. */
export const connectionOptions = ({ connectTimeoutMs, tls, token }: ResolvedClientOptions): TcpConnectionOptions => ({
  connectTimeoutMs,
  token,
  tls: tls === undefined
    ? undefined
    : { credentials: tls.credentials, ...tls.cluster === undefined ? {} : { cluster: tls.cluster } }
})
