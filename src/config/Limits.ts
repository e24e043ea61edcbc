/** Bounds on everything that waits or is kept, each with what happens at the bound: the one table of them. */
import type { IntegerSetting, Unit } from "./Setting.ts"

const MiB = 1024 * 1024
const day = 24 * 3_600_000

const of = (unit: Unit) => (value: number, text: string): IntegerSetting => ({ unit, default: value, minimum: 1, text })
const bytes = of("bytes")
const count = of("count")
const milliseconds = of("milliseconds")

/** Every time to live is between these, whatever the configuration says (`kv/model/Limits.ts`). */
const times = { minimum: 1_000, maximum: 30 * day }

/** Every limit of a node: its kind, its default, its minimum, and what happens beyond it. */
export const limitSettings = {
  maxUncommittedBytes: bytes(
    64 * MiB,
    "entry bytes waiting for commitment or application; writes beyond are refused as Overloaded"
  ),
  maxCachedBytes: bytes(
    8 * MiB,
    "entry bytes of recent log kept in memory for followers; older ones are read from disk"
  ),
  maxAppendBytes: bytes(1 * MiB, "entry bytes in one append message; larger ones delay heartbeats on a slow link"),
  maxInflightMessages: count(
    4,
    "unanswered append messages per follower; fewer make larger batches, more hide the latency of a slow link"
  ),
  maxInflightBytes: bytes(16 * MiB, "unanswered append bytes per follower; what comes beyond gathers into the next"),
  maxPendingProposals: count(
    65_536,
    "commands waiting for their commit at one node; writes beyond are refused as Overloaded"
  ),
  maxPendingReads: count(
    65_536,
    "queries waiting for their read index at one node; reads beyond are refused as Overloaded"
  ),
  maxInboxEvents: count(
    16_384,
    "events waiting for the owner of the Raft state; callers beyond are refused as Overloaded, messages of peers " +
      "beyond are dropped, and Raft repeats them"
  ),
  maxLogEntries: count(
    1_000_000,
    "applied log entries past which the log is compacted; more let a follower be away for longer without being sent " +
      "the whole state"
  ),
  maxLogBytes: bytes(256 * MiB, "bytes of applied log past which it is compacted; half of it stays at most"),
  logSlackEntries: {
    ...count(
      500_000,
      "entries that a compaction leaves for followers that were away; while one catches up a leader keeps up to four " +
        "times the two limits above, or as many bytes as the state that it was sent"
    ),
    otherDefault: "500,000, or half of maxLogEntries if that is less"
  },
  maxHistoryRevisions: count(
    1_000_000,
    "revisions of history kept for watches; a watch from further back fails as Compacted"
  ),
  maxHistoryBytes: bytes(512 * MiB, "bytes of history kept for watches"),
  maxHistoryAgeMs: milliseconds(3_600_000, "milliseconds of history kept for watches, by the log's clock"),
  maxWatches: count(10_000, "watches served by one node at a time; more are refused as Overloaded"),
  maxWatchBytes: bytes(
    64 * MiB,
    "bytes of changes told to watches and not known to have arrived, a quarter of them to one client; beyond, " +
      "watches wait, and those silent for 20 seconds are cancelled"
  ),
  maxWatchIdleMs: milliseconds(
    60_000,
    "milliseconds after which a watch that did not ask for more is cancelled; its client goes on where it was"
  ),
  maxClientConnections: count(
    4_096,
    "clients connected at a time; more are refused as Overloaded; a node lowers the three limits on connections, " +
      "with a warning, where they do not fit into the descriptors of its process"
  ),
  maxPeerConnections: count(64, "connections to the peer port, of which each other node needs three; more are closed"),
  maxHttpConnections: count(256, "connections to the HTTP port; beyond it only probes are answered"),
  maxHttpRequests: count(
    128,
    "requests of the HTTP API under way at a node; more are refused as Overloaded"
  ),
  maxHttpBodyBytes: bytes(
    64 * MiB,
    "bytes of the bodies of these requests; more are refused as Overloaded"
  ),
  maxHttpWatches: count(
    128,
    "watches over HTTP at a node; more are refused as Overloaded, and each has a connection of maxHttpConnections"
  ),
  maxRequestIds: count(
    200_000,
    "writes with an Idempotency-Key that a node has remembered; more of them are refused as Overloaded"
  ),
  minRequestIdMs: {
    ...milliseconds(
      600_000,
      "milliseconds for which an Idempotency-Key is remembered at least, and twice as long at most, by the log's clock"
    ),
    minimum: 1_000,
    maximum: 15 * day
  },
  maxHandshakeMs: milliseconds(
    10_000,
    "milliseconds until the Hello of a connection is accepted before it is closed"
  ),
  maxFrameMs: milliseconds(
    30_000,
    "milliseconds from a call's first byte to its last, and for taking answers, before the connection is closed; " +
      "fewer end slow attacks sooner, and large calls over slow links with them"
  ),
  maxUnfinishedBytes: bytes(
    64 * MiB,
    "bytes of calls that are not whole yet, per port; beyond, the connection with the oldest is closed"
  ),
  maxPendingCalls: count(
    65_536,
    "calls of a port that are not answered, a quarter of them of one connection; more are refused as Overloaded"
  ),
  maxPendingCallBytes: bytes(
    256 * MiB,
    "bytes of the arguments of these calls, a quarter of them of one connection; more are refused as Overloaded"
  ),
  maxPendingAnswerBytes: bytes(
    128 * MiB,
    "bytes of answers to reads that clients have not taken, a quarter of them of one connection; beyond, reads wait " +
      "for room, and are refused as Overloaded when too many wait, or for too long"
  ),
  maxConnectionSessions: count(
    16,
    "sessions that one connection opened and that are alive; more are refused as Overloaded"
  ),
  maxConnectionLeases: count(
    10_000,
    "leases that one connection granted and that are alive; more are refused as Overloaded"
  ),
  maxClockDifferenceMs: milliseconds(
    1_000,
    "milliseconds by which the clock of another node may differ before log and status warn of it; leases and the " +
      "order of writes do not depend on clocks, certificates and dates do"
  ),
  maxSessionTtlMs: {
    ...milliseconds(3_600_000, "longest time to live of a session in milliseconds; longer ones are refused"),
    ...times
  },
  maxLeaseTtlMs: {
    ...milliseconds(7 * day, "longest time to live of a lease in milliseconds; longer ones are refused"),
    ...times
  }
} satisfies Record<string, IntegerSetting>

/** The name of a limit. */
export type LimitName = keyof typeof limitSettings

/** Each limit's meaning, unit, default and consequence stand in {@link limitSettings} and `docs/configuration.md`. */
export type Limits = { readonly [Name in LimitName]: number }

/** The names of all limits. */
export const limitNames = Object.keys(limitSettings) as ReadonlyArray<LimitName>

/** The limits that hold unless a node is given others. */
export const defaultLimits = Object.fromEntries(
  limitNames.map((name) => [name, limitSettings[name].default])
) as Limits

/** Fills in the defaults. A log that may be short needs a slack that is shorter. */
export const limitsOf = (limits: Partial<Limits> = {}): Limits => {
  const maxLogEntries = limits.maxLogEntries ?? defaultLimits.maxLogEntries
  const logSlackEntries = Math.min(defaultLimits.logSlackEntries, Math.ceil(maxLogEntries / 2))
  return { ...defaultLimits, logSlackEntries, ...limits }
}

/**
 * Connections of the client port in all: beyond the limit on clients, a few get that answer rather than being cut off.
 */
export const clientPortConnections = (maxClientConnections: number): number =>
  maxClientConnections + Math.min(64, Math.max(8, Math.ceil(maxClientConnections / 4)))

/** Connections of the HTTP port beyond its limit: answers to probes, while all within it have a request under way. */
export const httpProbeConnections = 8
