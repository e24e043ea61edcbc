/** The flags that configure one node. Each has a `FLAREDB_…` variable; a flag wins over its variable. */
import { Config, Effect, Option } from "effect"
import { Flag } from "effect/cli"
import type { FlareDbConfig } from "../FlareDbConfig.ts"
import * as NodeConfig from "../FlareDbConfig.ts"
import type { Failure } from "./Failure.ts"
import { failureOf } from "./Failure.ts"
import { makeSwitch } from "./Switch.ts"

const text = (name: string, variable: string, metavar: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(`${description} (${variable})`),
    Flag.withFallbackConfig(Config.String(variable)),
    Flag.optional
  )

const integer = (name: string, variable: string, metavar: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(`${description} (${variable})`),
    Flag.withFallbackConfig(Config.Int(variable)),
    Flag.optional
  )

const { defaults } = NodeConfig

export const nodeFlags = {
  nodeId: Flag.Int("node-id").pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription("which of the nodes this is; required (FLAREDB_NODE_ID)"),
    Flag.withFallbackConfig(Config.Int("FLAREDB_NODE_ID"))
  ),
  nodes: text(
    "nodes",
    "FLAREDB_NODES",
    "ID=HOST:CLIENT:PEER:HTTP,…",
    "all nodes of the cluster, one or three; default: the three local ones"
  ),
  clusterId: text("cluster-id", "FLAREDB_CLUSTER_ID", "NAME", `name of the cluster; default ${defaults.clusterId}`),
  dataDir: text("data-dir", "FLAREDB_DATA_DIR", "DIR", "the node's data directory; default ./data/node-ID"),
  listenHost: text("listen-host", "FLAREDB_LISTEN_HOST", "HOST", "address to bind; default the node's own host"),
  httpHosts: text(
    "http-hosts",
    "FLAREDB_HTTP_HOSTS",
    "NAME,…",
    "names under which the HTTP port answers, beside localhost, addresses and the hosts of --nodes; default none"
  ),
  heartbeatMs: integer(
    "heartbeat-ms",
    "FLAREDB_HEARTBEAT_MS",
    "MS",
    `milliseconds between heartbeats; default ${defaults.heartbeatMs}`
  ),
  electionTimeoutMinMs: integer(
    "election-timeout-min-ms",
    "FLAREDB_ELECTION_TIMEOUT_MIN_MS",
    "MS",
    `shortest time without a leader before an election; default ${defaults.electionTimeoutMinMs}`
  ),
  electionTimeoutMaxMs: integer(
    "election-timeout-max-ms",
    "FLAREDB_ELECTION_TIMEOUT_MAX_MS",
    "MS",
    `longest such time; default ${defaults.electionTimeoutMaxMs}`
  ),
  maxLogEntries: integer(
    "max-log-entries",
    "FLAREDB_MAX_LOG_ENTRIES",
    "COUNT",
    `applied log entries past which the log is compacted; default ${defaults.limits.maxLogEntries}`
  ),
  maxLogBytes: integer(
    "max-log-bytes",
    "FLAREDB_MAX_LOG_BYTES",
    "BYTES",
    `bytes of applied log past which it is compacted; default ${defaults.limits.maxLogBytes}`
  ),
  logSlackEntries: integer(
    "log-slack-entries",
    "FLAREDB_LOG_SLACK_ENTRIES",
    "COUNT",
    `entries that a compaction leaves; default ${defaults.limits.logSlackEntries}, or half of --max-log-entries if that is less`
  ),
  maxClientConnections: integer(
    "max-client-connections",
    "FLAREDB_MAX_CLIENT_CONNECTIONS",
    "COUNT",
    `clients connected at a time; more are refused as Overloaded; default ${defaults.limits.maxClientConnections}`
  ),
  maxPeerConnections: integer(
    "max-peer-connections",
    "FLAREDB_MAX_PEER_CONNECTIONS",
    "COUNT",
    `connections to the peer port; more are closed; default ${defaults.limits.maxPeerConnections}`
  ),
  maxHttpConnections: integer(
    "max-http-connections",
    "FLAREDB_MAX_HTTP_CONNECTIONS",
    "COUNT",
    `connections to the HTTP port; more are closed; default ${defaults.limits.maxHttpConnections}`
  ),
  maxHandshakeMs: integer(
    "max-handshake-ms",
    "FLAREDB_MAX_HANDSHAKE_MS",
    "MS",
    `milliseconds until the Hello of a connection is accepted before it is closed; default ${defaults.limits.maxHandshakeMs}`
  ),
  maxFrameMs: integer(
    "max-frame-ms",
    "FLAREDB_MAX_FRAME_MS",
    "MS",
    `milliseconds from a call's first byte to its last, and for taking answers, before the connection is closed; default ${defaults.limits.maxFrameMs}`
  ),
  maxUnfinishedBytes: integer(
    "max-unfinished-bytes",
    "FLAREDB_MAX_UNFINISHED_BYTES",
    "BYTES",
    `bytes of calls that are not whole yet, per port; beyond, the connection with the oldest is closed; default ${defaults.limits.maxUnfinishedBytes}`
  ),
  maxPendingCalls: integer(
    "max-pending-calls",
    "FLAREDB_MAX_PENDING_CALLS",
    "N",
    `calls of a port that are not answered, a quarter of them of one connection; default ${defaults.limits.maxPendingCalls}`
  ),
  maxPendingCallBytes: integer(
    "max-pending-call-bytes",
    "FLAREDB_MAX_PENDING_CALL_BYTES",
    "BYTES",
    `bytes of these calls, a quarter of them of one connection; default ${defaults.limits.maxPendingCallBytes}`
  ),
  maxPendingAnswerBytes: integer(
    "max-pending-answer-bytes",
    "FLAREDB_MAX_PENDING_ANSWER_BYTES",
    "BYTES",
    `bytes of answers that clients have not taken, a quarter of them of one; default ${defaults.limits.maxPendingAnswerBytes}`
  ),
  maxConnectionSessions: integer(
    "max-connection-sessions",
    "FLAREDB_MAX_CONNECTION_SESSIONS",
    "N",
    `sessions that one connection opened and that are alive; more are refused; default ${defaults.limits.maxConnectionSessions}`
  ),
  maxConnectionLeases: integer(
    "max-connection-leases",
    "FLAREDB_MAX_CONNECTION_LEASES",
    "N",
    `leases that one connection granted and that are alive; more are refused; default ${defaults.limits.maxConnectionLeases}`
  ),
  maxSessionTtlMs: integer(
    "max-session-ttl-ms",
    "FLAREDB_MAX_SESSION_TTL_MS",
    "MS",
    `longest time to live of a session in milliseconds; default ${defaults.limits.maxSessionTtlMs}`
  ),
  maxLeaseTtlMs: integer(
    "max-lease-ttl-ms",
    "FLAREDB_MAX_LEASE_TTL_MS",
    "MS",
    `longest time to live of a lease in milliseconds; default ${defaults.limits.maxLeaseTtlMs}`
  ),
  unsafeNoFsync: makeSwitch("unsafe-no-fsync").pipe(
    Flag.withDescription("benchmarks only: a power loss then loses acknowledged writes (FLAREDB_UNSAFE_NO_FSYNC)"),
    Flag.withFallbackConfig(Config.Boolean("FLAREDB_UNSAFE_NO_FSYNC")),
    Flag.withDefault(false)
  )
}

export interface NodeFlags {
  readonly nodeId: number
  readonly nodes: Option.Option<string>
  readonly clusterId: Option.Option<string>
  readonly dataDir: Option.Option<string>
  readonly listenHost: Option.Option<string>
  readonly httpHosts: Option.Option<string>
  readonly heartbeatMs: Option.Option<number>
  readonly electionTimeoutMinMs: Option.Option<number>
  readonly electionTimeoutMaxMs: Option.Option<number>
  readonly maxLogEntries: Option.Option<number>
  readonly maxLogBytes: Option.Option<number>
  readonly logSlackEntries: Option.Option<number>
  readonly maxClientConnections: Option.Option<number>
  readonly maxPeerConnections: Option.Option<number>
  readonly maxHttpConnections: Option.Option<number>
  readonly maxHandshakeMs: Option.Option<number>
  readonly maxFrameMs: Option.Option<number>
  readonly maxUnfinishedBytes: Option.Option<number>
  readonly maxPendingCalls: Option.Option<number>
  readonly maxPendingCallBytes: Option.Option<number>
  readonly maxPendingAnswerBytes: Option.Option<number>
  readonly maxConnectionSessions: Option.Option<number>
  readonly maxConnectionLeases: Option.Option<number>
  readonly maxSessionTtlMs: Option.Option<number>
  readonly maxLeaseTtlMs: Option.Option<number>
  readonly unsafeNoFsync: boolean
}

const given = <K extends string, A>(name: K, value: Option.Option<A>): { readonly [P in K]?: A } =>
  Option.isSome(value) ? { [name]: value.value } as { readonly [P in K]: A } : {}

/** The configuration the flags make, or everything that is wrong with them. */
export const nodeConfig = (flags: NodeFlags): Effect.Effect<FlareDbConfig, Failure> =>
  Effect.gen(function*() {
    const nodes = Option.isSome(flags.nodes) ? yield* NodeConfig.parseNodes(flags.nodes.value) : defaults.nodes
    return yield* NodeConfig.make({
      nodeId: flags.nodeId,
      nodes,
      unsafeNoFsync: flags.unsafeNoFsync,
      ...given("clusterId", flags.clusterId),
      ...given("dataDir", flags.dataDir),
      ...given("listenHost", flags.listenHost),
      ...given("httpHosts", Option.map(flags.httpHosts, NodeConfig.parseHosts)),
      ...given("heartbeatMs", flags.heartbeatMs),
      ...given("electionTimeoutMinMs", flags.electionTimeoutMinMs),
      ...given("electionTimeoutMaxMs", flags.electionTimeoutMaxMs),
      limits: {
        ...given("maxLogEntries", flags.maxLogEntries),
        ...given("maxLogBytes", flags.maxLogBytes),
        ...given("logSlackEntries", flags.logSlackEntries),
        ...given("maxClientConnections", flags.maxClientConnections),
        ...given("maxPeerConnections", flags.maxPeerConnections),
        ...given("maxHttpConnections", flags.maxHttpConnections),
        ...given("maxHandshakeMs", flags.maxHandshakeMs),
        ...given("maxFrameMs", flags.maxFrameMs),
        ...given("maxUnfinishedBytes", flags.maxUnfinishedBytes),
        ...given("maxPendingCalls", flags.maxPendingCalls),
        ...given("maxPendingCallBytes", flags.maxPendingCallBytes),
        ...given("maxPendingAnswerBytes", flags.maxPendingAnswerBytes),
        ...given("maxConnectionSessions", flags.maxConnectionSessions),
        ...given("maxConnectionLeases", flags.maxConnectionLeases),
        ...given("maxSessionTtlMs", flags.maxSessionTtlMs),
        ...given("maxLeaseTtlMs", flags.maxLeaseTtlMs)
      }
    })
  }).pipe(Effect.mapError(failureOf))
