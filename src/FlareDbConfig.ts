/**
 * The configuration of one node: every setting with its unit, default and consequence, the defaults in one
 * record, and a validation that lists everything wrong at once, each problem with the field and what to do.
 *
 * Flags of `flaredb start`, `FLAREDB_…` variables and `FlareDb.layer({ … })` all end here.
 */
import { Config, Data, Effect, Option } from "effect"

/** Where one voter of the cluster is reached. */
export interface NodeAddress {
  /** Positive integer, unique in the cluster, never changed for a data directory. */
  readonly id: number
  /** Host name or address the other nodes and the clients reach it by. */
  readonly host: string
  /** Client RPC. 0 lets the system choose (tests). */
  readonly clientPort: number
  /** Peer RPC. */
  readonly peerPort: number
  /** HTTP: health, metrics, status page. */
  readonly httpPort: number
}

/** Bounds on everything that waits or is kept, each with what happens at the bound. */
export interface Limits {
  /** Entry bytes waiting for commitment or application before writes are refused as `Overloaded`. */
  readonly maxUncommittedBytes: number
  /** Entry bytes of recent log kept in memory for followers; older entries are read from disk. */
  readonly maxCachedBytes: number
  /** Entry bytes in one append message. Larger ones delay heartbeats on a slow link. */
  readonly maxAppendBytes: number
  /**
   * Unanswered append messages per follower. What comes while so many are on their way travels together in the next
   * one: fewer make larger batches, more hide the latency of a slow link.
   */
  readonly maxInflightMessages: number
  /** Unanswered append bytes per follower. */
  readonly maxInflightBytes: number
  /** Commands waiting for their commit at one node before writes are refused as `Overloaded`. */
  readonly maxPendingProposals: number
  /** Queries waiting for their read index at one node before reads are refused as `Overloaded`. */
  readonly maxPendingReads: number
  /** Events waiting for the owner fiber; callers beyond it wait, peers' messages beyond it are dropped. */
  readonly maxInboxEvents: number
  /**
   * Applied entries of the log past which it is compacted. More let a follower be away for longer without being sent
   * the whole state; fewer make starts faster, which read the whole log.
   */
  readonly maxLogEntries: number
  /** Bytes of applied entries past which the log is compacted; half of it stays at most. */
  readonly maxLogBytes: number
  /**
   * Entries that a compaction leaves, for followers that were away briefly. While a follower is being sent the state,
   * or catches up, a leader keeps what it needs, up to four times the two limits above.
   */
  readonly logSlackEntries: number
  /** Revisions of history kept for watches; a watch from further back is told that they are gone. */
  readonly maxHistoryRevisions: number
  /** Bytes of history kept for watches. */
  readonly maxHistoryBytes: number
  /** Milliseconds of history kept for watches, by the log's clock. */
  readonly maxHistoryAgeMs: number
  /** Watches served by one node at a time; more are refused as `Overloaded`. */
  readonly maxWatches: number
  /**
   * Bytes of changes that were told to watches and are not known to have arrived, a quarter of them to one client. At
   * the bound watches wait; those that did not ask for more for 20 seconds are cancelled, and their clients go on
   * where they were.
   */
  readonly maxWatchBytes: number
  /** Milliseconds after which a watch that did not ask for more is cancelled. Its client goes on where it was. */
  readonly maxWatchIdleMs: number
  /**
   * Clients connected to one node at a time; more are refused as `Overloaded`. At this limit and the two below, a
   * connection that has said nothing yet gives way to a new one. A node lowers the three, with a warning, where they
   * do not fit into the descriptors of its process beside the files of the store (`ops/Descriptors.ts`).
   */
  readonly maxClientConnections: number
  /**
   * Connections to the peer port; more are closed. The other nodes need three each, and a few that have not ended yet.
   */
  readonly maxPeerConnections: number
  /** Connections to the HTTP port; more are closed. */
  readonly maxHttpConnections: number
  /** Milliseconds that a new connection may take until its `Hello` is accepted before it is closed. */
  readonly maxHandshakeMs: number
  /**
   * Milliseconds from the first byte of a call to its last, and until answers are taken, before the connection is
   * closed. Fewer end slow attacks sooner, and large writes and reads over slow links with them.
   */
  readonly maxFrameMs: number
  /**
   * Bytes of calls that have begun to arrive at one port and are not whole. At the bound the connection with the
   * oldest of them is closed.
   */
  readonly maxUnfinishedBytes: number
  /**
   * Calls of all connections to one port that are not answered, a quarter of them of one connection; more are refused
   * as `Overloaded`.
   */
  readonly maxPendingCalls: number
  /** Bytes of the arguments of these calls, a quarter of them of one connection; more are refused as `Overloaded`. */
  readonly maxPendingCallBytes: number
  /**
   * Bytes of answers to reads that were computed and that clients have not taken, a quarter of them of one connection.
   * At the bound reads wait for room, and are refused as `Overloaded` when too many wait, or for too long.
   */
  readonly maxPendingAnswerBytes: number
  /**
   * Sessions that one connection opened and that are alive; more are refused as `Overloaded`. A client opens one, and
   * another one only when that has ended.
   */
  readonly maxConnectionSessions: number
  /** Leases that one connection granted and that are alive; more are refused as `Overloaded`. */
  readonly maxConnectionLeases: number
  /**
   * Longest time to live of a session in milliseconds, at most 30 days; longer ones are refused as `InvalidArgument`.
   * A session that nobody ends keeps its place for so long after a client that is gone.
   */
  readonly maxSessionTtlMs: number
  /** Longest time to live of a lease in milliseconds, at most 30 days; longer ones are refused likewise. */
  readonly maxLeaseTtlMs: number
}

export interface FlareDbConfig {
  /** Names the cluster, so that nodes of two clusters never mix: 1–64 of letters, digits, dot, dash, underscore. */
  readonly clusterId: string
  /** Which of `nodes` this is. */
  readonly nodeId: number
  /** The node's own data directory, created when missing. */
  readonly dataDir: string
  /** All voters, one or three, the same at every node. */
  readonly nodes: ReadonlyArray<NodeAddress>
  /** Address to bind; the node's own `host` when absent. Containers bind `0.0.0.0` and advertise a name. */
  readonly listenHost?: string | undefined
  /**
   * Names under which the HTTP port is asked for, beside `localhost`, addresses and the hosts of `nodes`: those of a
   * proxy or a load balancer. Under any other name only `/livez` and `/readyz` answer. Default none, at most 64.
   */
  readonly httpHosts: ReadonlyArray<string>
  /** Milliseconds between a leader's heartbeats. Lower finds dead leaders sooner and costs messages. Default 50. */
  readonly heartbeatMs: number
  /**
   * Shortest time without a leader before an election, in milliseconds. Default 500. Below about ten heartbeats a
   * garbage collection or a slow sync deposes healthy leaders; higher means longer outages after a real loss.
   */
  readonly electionTimeoutMinMs: number
  /** Longest such time. Default 1000. The spread keeps nodes from campaigning together. */
  readonly electionTimeoutMaxMs: number
  /** Skips every sync: benchmarks only. A power loss then loses acknowledged writes. Default false. */
  readonly unsafeNoFsync: boolean
  readonly limits: Limits
}

const maxHttpHosts = 64

export const defaultLimits: Limits = {
  maxUncommittedBytes: 64 * 1024 * 1024,
  maxCachedBytes: 8 * 1024 * 1024,
  maxAppendBytes: 1024 * 1024,
  maxInflightMessages: 4,
  maxInflightBytes: 16 * 1024 * 1024,
  maxPendingProposals: 65_536,
  maxPendingReads: 65_536,
  maxInboxEvents: 16_384,
  maxLogEntries: 1_000_000,
  maxLogBytes: 256 * 1024 * 1024,
  logSlackEntries: 500_000,
  maxHistoryRevisions: 1_000_000,
  maxHistoryBytes: 512 * 1024 * 1024,
  maxHistoryAgeMs: 3_600_000,
  maxWatches: 10_000,
  maxWatchBytes: 64 * 1024 * 1024,
  maxWatchIdleMs: 60_000,
  maxClientConnections: 4_096,
  maxPeerConnections: 64,
  maxHttpConnections: 256,
  maxHandshakeMs: 10_000,
  maxFrameMs: 30_000,
  maxUnfinishedBytes: 64 * 1024 * 1024,
  maxPendingCalls: 65_536,
  maxPendingCallBytes: 256 * 1024 * 1024,
  maxPendingAnswerBytes: 128 * 1024 * 1024,
  maxConnectionSessions: 16,
  maxConnectionLeases: 10_000,
  maxSessionTtlMs: 3_600_000,
  maxLeaseTtlMs: 7 * 24 * 3_600_000
}

/** Connections of the client port in all: beyond the limit on clients, a few are told so rather than cut off. */
export const clientPortConnections = (maxClientConnections: number): number =>
  maxClientConnections + Math.min(64, Math.max(8, Math.ceil(maxClientConnections / 4)))

/** The local cluster: node i at 127.0.0.1 on ports 700i (client), 710i (peer) and 720i (HTTP). */
export const localNodes: ReadonlyArray<NodeAddress> = [1, 2, 3].map((id) => ({
  id,
  host: "127.0.0.1",
  clientPort: 7000 + id,
  peerPort: 7100 + id,
  httpPort: 7200 + id
}))

/** Everything that has a default. `nodeId` has none: a wrong guess would be another node. */
export const defaults = {
  clusterId: "local",
  nodes: localNodes,
  heartbeatMs: 50,
  electionTimeoutMinMs: 500,
  electionTimeoutMaxMs: 1000,
  unsafeNoFsync: false,
  limits: defaultLimits
} as const

/** The default data directory of a node. */
export const defaultDataDir = (nodeId: number): string => `./data/node-${nodeId}`

/** One thing that is wrong, with the field and what to do about it. */
export interface ConfigProblem {
  readonly field: string
  readonly problem: string
}

/** The configuration cannot be used; nothing was started and nothing on disk was touched. */
export class InvalidConfig extends Data.TaggedError("InvalidConfig")<{
  readonly problems: ReadonlyArray<ConfigProblem>
}> {
  override get message() {
    return `invalid configuration: ${this.problems.map((p) => `${p.field}: ${p.problem}`).join("; ")}`
  }
}

/** What a caller writes: the required fields, and any of the others. */
export type FlareDbOptions =
  & Pick<FlareDbConfig, "nodeId">
  & Partial<Omit<FlareDbConfig, "nodeId" | "limits">>
  & { readonly limits?: Partial<Limits> }

/** How long one tick of the logical clock lasts: a fifth of a heartbeat, so that timeouts spread finely. */
export const tickMs = (config: Pick<FlareDbConfig, "heartbeatMs">): number =>
  Math.max(1, Math.round(config.heartbeatMs / 5))

const portProblem = (port: number): string | undefined =>
  Number.isInteger(port) && port >= 0 && port <= 65_535 ? undefined : `${port} is not a port (0 to 65535)`

const nodesProblems = (nodes: ReadonlyArray<NodeAddress>): ReadonlyArray<ConfigProblem> => {
  const problems: Array<ConfigProblem> = []
  const add = (problem: string) => problems.push({ field: "nodes", problem })
  if (nodes.length !== 1 && nodes.length !== 3) {
    add(`${nodes.length} voters given; a cluster has 1 or 3 (an even number survives no more losses than one fewer)`)
  }
  const ids = new Set<number>()
  const addresses = new Map<string, string>()
  for (const node of nodes) {
    if (!Number.isSafeInteger(node.id) || node.id < 1) add(`node id ${node.id} is not a positive integer`)
    if (ids.has(node.id)) add(`node id ${node.id} is given twice`)
    ids.add(node.id)
    if (node.host.length === 0) add(`node ${node.id} has no host`)
    for (
      const [name, port] of [["client", node.clientPort], ["peer", node.peerPort], ["http", node.httpPort]] as const
    ) {
      const problem = portProblem(port)
      if (problem !== undefined) add(`node ${node.id} ${name}: ${problem}`)
      const address = `${node.host}:${port}`
      const owner = addresses.get(address)
      if (port !== 0 && owner !== undefined) add(`${address} is given to ${owner} and to node ${node.id} ${name}`)
      addresses.set(address, `node ${node.id} ${name}`)
    }
  }
  return problems
}

const atLeast = (field: string, value: number, minimum: number): ReadonlyArray<ConfigProblem> =>
  Number.isSafeInteger(value) && value >= minimum
    ? []
    : [{ field, problem: `must be an integer of at least ${minimum}, got ${value}` }]

/** What a cluster may be called, wherever the name comes from. */
export const isClusterId = (text: string): boolean => /^[A-Za-z0-9._-]{1,64}$/.test(text)
/** Every time to live is between these, whatever the configuration says (`kv/Limits.ts`). */
const shortestTtlMs = 1_000
const longestTtlMs = 30 * 24 * 3_600_000

/** Everything wrong with a configuration; empty when it can be used. */
export const validate = (config: FlareDbConfig): ReadonlyArray<ConfigProblem> => {
  const problems: Array<ConfigProblem> = []
  if (!isClusterId(config.clusterId)) {
    problems.push({
      field: "clusterId",
      problem: `${JSON.stringify(config.clusterId)} must be 1 to 64 letters, digits, dots, dashes or underscores`
    })
  }
  problems.push(...nodesProblems(config.nodes))
  if (!config.nodes.some((node) => node.id === config.nodeId)) {
    problems.push({
      field: "nodeId",
      problem: `${config.nodeId} is not one of the voters (${config.nodes.map((node) => node.id).join(", ")})`
    })
  }
  if (config.dataDir.length === 0) problems.push({ field: "dataDir", problem: "must not be empty" })
  if (config.listenHost === "") {
    problems.push({
      field: "listenHost",
      problem: "is empty, which would bind every interface; name an address, 0.0.0.0 if it is to be every one"
    })
  }
  for (const name of config.httpHosts) {
    if (!/^[A-Za-z0-9._-]{1,253}$/.test(name)) {
      problems.push({ field: "httpHosts", problem: `${JSON.stringify(name)} is no host name without a port` })
    }
  }
  if (config.httpHosts.length > maxHttpHosts) {
    problems.push({ field: "httpHosts", problem: `has ${config.httpHosts.length} names; at most ${maxHttpHosts}` })
  }
  problems.push(...atLeast("heartbeatMs", config.heartbeatMs, 5))
  problems.push(...atLeast("electionTimeoutMinMs", config.electionTimeoutMinMs, 1))
  problems.push(...atLeast("electionTimeoutMaxMs", config.electionTimeoutMaxMs, 1))
  if (config.electionTimeoutMinMs < 3 * config.heartbeatMs) {
    problems.push({
      field: "electionTimeoutMinMs",
      problem: `${config.electionTimeoutMinMs} ms must be at least three heartbeats (${
        3 * config.heartbeatMs
      } ms), or one lost heartbeat deposes a healthy leader`
    })
  }
  if (config.electionTimeoutMaxMs < config.electionTimeoutMinMs + 2 * config.heartbeatMs) {
    problems.push({
      field: "electionTimeoutMaxMs",
      problem:
        `${config.electionTimeoutMaxMs} ms must exceed electionTimeoutMinMs by two heartbeats or more, or nodes campaign together`
    })
  }
  if (config.limits.logSlackEntries >= config.limits.maxLogEntries) {
    problems.push({
      field: "limits.logSlackEntries",
      problem:
        `${config.limits.logSlackEntries} must be less than maxLogEntries (${config.limits.maxLogEntries}), or nothing is ever compacted`
    })
  }
  for (const name of ["maxSessionTtlMs", "maxLeaseTtlMs"] as const) {
    const value = config.limits[name]
    if (value < shortestTtlMs || value > longestTtlMs) {
      problems.push({
        field: `limits.${name}`,
        problem: `${value} ms is not from ${shortestTtlMs} to ${longestTtlMs}, the times to live that there can be`
      })
    }
  }
  for (const [name, value] of Object.entries(config.limits)) problems.push(...atLeast(`limits.${name}`, value, 1))
  return problems
}

/** A log that may be short needs a slack that is shorter. */
const limitsOf = (limits: Partial<Limits> = {}): Limits => {
  const maxLogEntries = limits.maxLogEntries ?? defaultLimits.maxLogEntries
  const logSlackEntries = Math.min(defaultLimits.logSlackEntries, Math.ceil(maxLogEntries / 2))
  return { ...defaultLimits, logSlackEntries, ...limits }
}

/** Fills in the defaults and validates. */
export const make = (options: FlareDbOptions): Effect.Effect<FlareDbConfig, InvalidConfig> => {
  const config: FlareDbConfig = {
    clusterId: options.clusterId ?? defaults.clusterId,
    nodeId: options.nodeId,
    dataDir: options.dataDir ?? defaultDataDir(options.nodeId),
    nodes: options.nodes ?? defaults.nodes,
    listenHost: options.listenHost,
    httpHosts: options.httpHosts ?? [],
    heartbeatMs: options.heartbeatMs ?? defaults.heartbeatMs,
    electionTimeoutMinMs: options.electionTimeoutMinMs ?? defaults.electionTimeoutMinMs,
    electionTimeoutMaxMs: options.electionTimeoutMaxMs ?? defaults.electionTimeoutMaxMs,
    unsafeNoFsync: options.unsafeNoFsync ?? defaults.unsafeNoFsync,
    limits: limitsOf(options.limits)
  }
  const problems = validate(config)
  return problems.length === 0 ? Effect.succeed(config) : Effect.fail(new InvalidConfig({ problems }))
}

/** The address of the node this configuration is for. */
export const ownAddress = (config: FlareDbConfig): NodeAddress => {
  const own = config.nodes.find((node) => node.id === config.nodeId)
  if (own === undefined) throw new RangeError(`node ${config.nodeId} is not one of the voters`)
  return own
}

/**
 * Parses `ID=HOST:CLIENT:PEER:HTTP,…`, the text form of `nodes` in flags and variables. An IPv6 host stands in
 * brackets.
 */
export const parseNodes = (text: string): Effect.Effect<ReadonlyArray<NodeAddress>, InvalidConfig> => {
  const nodes: Array<NodeAddress> = []
  const problems: Array<ConfigProblem> = []
  for (const part of text.split(",")) {
    const match = /^\s*(\d+)=(\[[0-9A-Fa-f:.]+\]|[^:\s[\]]+):(\d+):(\d+):(\d+)\s*$/.exec(part)
    if (match === null) {
      problems.push({
        field: "nodes",
        problem: `${JSON.stringify(part)} is not ID=HOST:CLIENT:PEER:HTTP, for example 1=127.0.0.1:7001:7101:7201`
      })
      continue
    }
    const [, id, host, clientPort, peerPort, httpPort] = match
    nodes.push({
      id: Number(id),
      host: (host ?? "").replace(/^\[|\]$/g, ""),
      clientPort: Number(clientPort),
      peerPort: Number(peerPort),
      httpPort: Number(httpPort)
    })
  }
  return problems.length === 0 ? Effect.succeed(nodes) : Effect.fail(new InvalidConfig({ problems }))
}

/** The text form of `nodes`; the inverse of {@link parseNodes}. */
export const formatNodes = (nodes: ReadonlyArray<NodeAddress>): string =>
  nodes
    .map((n) => `${n.id}=${n.host.includes(":") ? `[${n.host}]` : n.host}:${n.clientPort}:${n.peerPort}:${n.httpPort}`)
    .join(",")

/** Reads `NAME,NAME`; nothing is no name. */
export const parseHosts = (text: string): ReadonlyArray<string> =>
  text.trim() === "" ? [] : text.split(",").map((name) => name.trim())

const fromVariables = Config.all({
  nodeId: Config.Int("FLAREDB_NODE_ID"),
  clusterId: Config.option(Config.String("FLAREDB_CLUSTER_ID")),
  dataDir: Config.option(Config.String("FLAREDB_DATA_DIR")),
  nodes: Config.option(Config.String("FLAREDB_NODES")),
  listenHost: Config.option(Config.String("FLAREDB_LISTEN_HOST")),
  httpHosts: Config.option(Config.String("FLAREDB_HTTP_HOSTS")),
  heartbeatMs: Config.option(Config.Int("FLAREDB_HEARTBEAT_MS")),
  electionTimeoutMinMs: Config.option(Config.Int("FLAREDB_ELECTION_TIMEOUT_MIN_MS")),
  electionTimeoutMaxMs: Config.option(Config.Int("FLAREDB_ELECTION_TIMEOUT_MAX_MS")),
  maxLogEntries: Config.option(Config.Int("FLAREDB_MAX_LOG_ENTRIES")),
  maxLogBytes: Config.option(Config.Int("FLAREDB_MAX_LOG_BYTES")),
  logSlackEntries: Config.option(Config.Int("FLAREDB_LOG_SLACK_ENTRIES")),
  maxClientConnections: Config.option(Config.Int("FLAREDB_MAX_CLIENT_CONNECTIONS")),
  maxPeerConnections: Config.option(Config.Int("FLAREDB_MAX_PEER_CONNECTIONS")),
  maxHttpConnections: Config.option(Config.Int("FLAREDB_MAX_HTTP_CONNECTIONS")),
  maxHandshakeMs: Config.option(Config.Int("FLAREDB_MAX_HANDSHAKE_MS")),
  maxFrameMs: Config.option(Config.Int("FLAREDB_MAX_FRAME_MS")),
  maxUnfinishedBytes: Config.option(Config.Int("FLAREDB_MAX_UNFINISHED_BYTES")),
  maxPendingCalls: Config.option(Config.Int("FLAREDB_MAX_PENDING_CALLS")),
  maxPendingCallBytes: Config.option(Config.Int("FLAREDB_MAX_PENDING_CALL_BYTES")),
  maxPendingAnswerBytes: Config.option(Config.Int("FLAREDB_MAX_PENDING_ANSWER_BYTES")),
  maxConnectionSessions: Config.option(Config.Int("FLAREDB_MAX_CONNECTION_SESSIONS")),
  maxConnectionLeases: Config.option(Config.Int("FLAREDB_MAX_CONNECTION_LEASES")),
  maxSessionTtlMs: Config.option(Config.Int("FLAREDB_MAX_SESSION_TTL_MS")),
  maxLeaseTtlMs: Config.option(Config.Int("FLAREDB_MAX_LEASE_TTL_MS")),
  unsafeNoFsync: Config.option(Config.Boolean("FLAREDB_UNSAFE_NO_FSYNC"))
})

/** The configuration from `FLAREDB_…` variables; only `FLAREDB_NODE_ID` is required. */
export const fromEnv: Effect.Effect<FlareDbConfig, InvalidConfig> = Effect.gen(function*() {
  const env = yield* fromVariables
  const nodes = Option.isSome(env.nodes) ? yield* parseNodes(env.nodes.value) : undefined
  return yield* make({
    nodeId: env.nodeId,
    clusterId: Option.getOrUndefined(env.clusterId) ?? defaults.clusterId,
    dataDir: Option.getOrUndefined(env.dataDir) ?? defaultDataDir(env.nodeId),
    nodes: nodes ?? defaults.nodes,
    listenHost: Option.getOrUndefined(env.listenHost),
    httpHosts: Option.isSome(env.httpHosts) ? parseHosts(env.httpHosts.value) : [],
    heartbeatMs: Option.getOrUndefined(env.heartbeatMs) ?? defaults.heartbeatMs,
    electionTimeoutMinMs: Option.getOrUndefined(env.electionTimeoutMinMs) ?? defaults.electionTimeoutMinMs,
    electionTimeoutMaxMs: Option.getOrUndefined(env.electionTimeoutMaxMs) ?? defaults.electionTimeoutMaxMs,
    unsafeNoFsync: Option.getOrUndefined(env.unsafeNoFsync) ?? defaults.unsafeNoFsync,
    limits: {
      ...(Option.isSome(env.maxLogEntries) ? { maxLogEntries: env.maxLogEntries.value } : {}),
      ...(Option.isSome(env.maxLogBytes) ? { maxLogBytes: env.maxLogBytes.value } : {}),
      ...(Option.isSome(env.logSlackEntries) ? { logSlackEntries: env.logSlackEntries.value } : {}),
      ...(Option.isSome(env.maxClientConnections) ? { maxClientConnections: env.maxClientConnections.value } : {}),
      ...(Option.isSome(env.maxPeerConnections) ? { maxPeerConnections: env.maxPeerConnections.value } : {}),
      ...(Option.isSome(env.maxHttpConnections) ? { maxHttpConnections: env.maxHttpConnections.value } : {}),
      ...(Option.isSome(env.maxHandshakeMs) ? { maxHandshakeMs: env.maxHandshakeMs.value } : {}),
      ...(Option.isSome(env.maxFrameMs) ? { maxFrameMs: env.maxFrameMs.value } : {}),
      ...(Option.isSome(env.maxUnfinishedBytes) ? { maxUnfinishedBytes: env.maxUnfinishedBytes.value } : {}),
      ...(Option.isSome(env.maxPendingCalls) ? { maxPendingCalls: env.maxPendingCalls.value } : {}),
      ...(Option.isSome(env.maxPendingCallBytes) ? { maxPendingCallBytes: env.maxPendingCallBytes.value } : {}),
      ...(Option.isSome(env.maxPendingAnswerBytes) ? { maxPendingAnswerBytes: env.maxPendingAnswerBytes.value } : {}),
      ...(Option.isSome(env.maxConnectionSessions) ? { maxConnectionSessions: env.maxConnectionSessions.value } : {}),
      ...(Option.isSome(env.maxConnectionLeases) ? { maxConnectionLeases: env.maxConnectionLeases.value } : {}),
      ...(Option.isSome(env.maxSessionTtlMs) ? { maxSessionTtlMs: env.maxSessionTtlMs.value } : {}),
      ...(Option.isSome(env.maxLeaseTtlMs) ? { maxLeaseTtlMs: env.maxLeaseTtlMs.value } : {})
    }
  })
}).pipe(
  Effect.catchTag(
    "ConfigError",
    (error) =>
      Effect.fail(
        new InvalidConfig({ problems: [{ field: "environment", problem: error.message.replace(/\s+/g, " ") }] })
      )
  )
)
