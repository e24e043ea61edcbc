/** A node on a data directory in this process, and everything that it holds, as text that can be compared. */
import { Effect, Layer, Logger, Stream } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Watch } from "../../src/client/Watch.ts"
import type { NodeServices } from "../../src/FlareDb.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { Command, CommandId } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import type { Query } from "../../src/kv/model/Query.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import type { Reply } from "../../src/kv/model/Reply.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import { eventually } from "../../src/testing/Checks.ts"
import { freePorts } from "../FreePorts.ts"

/** Whose the kept directories are. */
export const clusterId = "kept"

/** And the one that was restored from the backup. */
export const restoredId = "kept-again"

/** The session whose client comes back: its last command is sent again. */
export const session = { owner: "comes-back", secret: Uint8Array.from({ length: 16 }, (_, i) => i + 1) }

export const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** A short log, so that a part of it is compacted, and sessions that last. */
const limits = { maxLogEntries: 40, logSlackEntries: 5, maxSessionTtlMs: 604_800_000 }

/** Runs the only node of the cluster on a directory, without a line in the log. */
export const withNode = <A, E>(
  dataDir: string,
  use: Effect.Effect<A, E, NodeServices>,
  name = clusterId
) =>
  Effect.gen(function*() {
    const [clientPort = 0, peerPort = 0, httpPort = 0] = yield* freePorts(3)
    const nodes = [{ id: 1, host: "127.0.0.1", clientPort, peerPort, httpPort }]
    const layer = FlareDb.layer({ nodeId: 1, clusterId: name, dataDir, nodes, limits })
    const leads = Effect.flatMap(RaftNode, (node) =>
      eventually(
        "the node leads",
        Effect.map(node.status, ({ identity, role }) => role === "leader" && identity !== undefined),
        10_000
      ))
    return yield* Effect.provide(Effect.andThen(leads, use), Layer.fresh(layer))
  }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)

const replyOf = (result: Uint8Array | { readonly message: string } | undefined): Reply => {
  if (!(result instanceof Uint8Array)) throw new Error(result?.message ?? "an operation was not answered")
  const reply = decodeReply(result)
  if (reply._tag === "Problem") throw new Error(reply.problem)
  return reply
}

/** Has a command carried out, as one of a session if it is. */
export const run = (command: Command, commandId?: CommandId) =>
  Effect.flatMap(
    RaftNode,
    (node) => Effect.map(node.propose([encodeCommand(command, commandId)], "client"), ([result]) => replyOf(result))
  )

const ask = (query: Query) =>
  Effect.flatMap(
    RaftNode,
    (node) => Effect.map(node.query([encodeQuery(query)], "linearizable"), ([result]) => replyOf(result))
  )

/** What changes while time passes. */
const volatile: ReadonlySet<string> = new Set(["remainingMs", "ageMs"])

/** A reply as JSON has it: bytes in hex. */
const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return hex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).filter(([name, field]) => !volatile.has(name) && field !== undefined).map((
      [name, field]
    ) => [name, plain(field)])
  )
}

/** Everything that a client can read: keys, history, leases with their keys, sessions, roles and users. */
export const content = Effect.gen(function*() {
  const kv = yield* KeyValue
  // Connects, so that the node has a leader and the newest revision is known.
  yield* kv.get("connects")
  const everything = { gte: new Uint8Array(0), lt: Uint8Array.of(0xff) }
  const keys = yield* ask({ _tag: "Scan", range: everything, limit: 1_000, keysOnly: false, reverse: false })
  if (keys._tag !== "ScanReply" || keys.more) throw new Error("the keys do not fit into one page")
  const leases = yield* ask({ _tag: "Leases" })
  if (leases._tag !== "LeasesReply") throw new Error(leases._tag)
  const leaseKeys = yield* Effect.forEach(leases.leases, ({ lease }) => ask({ _tag: "LeaseKeys", lease }))
  const sessions = yield* ask({ _tag: "Sessions", after: 0, limit: 100 })
  if (sessions._tag !== "SessionsReply") throw new Error(sessions._tag)
  const watch = yield* Watch
  const history = yield* watch.changes({ prefix: "" }, { fromRevision: historyFrom }).pipe(
    Stream.takeUntil(({ revision }) => revision === keys.revision),
    Stream.runCollect
  )
  return plain({
    revision: keys.revision,
    keys: keys.rows,
    history: history.map(({ events, revision }) => ({ revision, events: events.map((event) => ({ ...event })) })),
    leases: leases.leases,
    leaseKeys,
    // The client of the test itself has one, too.
    sessions: sessions.sessions.filter(({ owner }) => owner === session.owner),
    roles: yield* ask({ _tag: "Roles", after: "", limit: 100 }),
    users: yield* ask({ _tag: "Users", after: "", limit: 100 })
  })
})

/** History before this revision was compacted. */
export const historyFrom = 20

/** What is written down beside the directories. */
export interface Kept {
  readonly release: string
  readonly identity: string
  readonly session: number
  /** The last command of the session, and what it was answered. */
  readonly lastSequence: number
  readonly lastReply: unknown
  /** The SHA-256 of the rows of the state, of each directory and of the backup. */
  readonly digests: Readonly<Record<string, string>>
  readonly content: unknown
}

export const lastCommand: Command = { _tag: "Put", key: text("sessions/last"), value: text("once"), lease: 0 }

export const replyText = (reply: Reply): unknown => plain(reply)
