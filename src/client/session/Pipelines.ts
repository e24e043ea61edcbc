/** The pipelines of a client, one for each kind of operation, over one pool of connections. */
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import { encodeCommand } from "../../kv/model/Command.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import { within } from "../../net/Deadline.ts"
import type { ResolvedClientOptions } from "../ClientOptions.ts"
import { ClientSession } from "./ClientSession.ts"
import type { Consistency, ReadFrom } from "../../protocol/ReadMode.ts"
import { write } from "../connection/Connection.ts"
import type { ConnectionPool } from "../connection/ConnectionPool.ts"
import { Deadlines } from "./Deadlines.ts"
import type { Endpoint } from "../connection/Endpoint.ts"
import { rotatedTo } from "../connection/Endpoint.ts"
import { Microtask } from "./Microtask.ts"
import type { PipelineOptions } from "./PipelineOptions.ts"
import { Pipeline } from "./Pipeline.ts"
import { Router } from "./Router.ts"
import { openSession } from "./SessionOpening.ts"

export interface Pipelines {
  /** Commands. In a session, when the client has one. */
  readonly writes: Pipeline
  /** Commands that may be carried out more than once. They belong to no session. */
  readonly repeatable: Pipeline
  /** Queries. Those that were asked for alike share calls. */
  readonly reads: (consistency: Consistency | undefined, from: ReadFrom | undefined) => Pipeline
  /** Queries that the node of this process answers and no other, from what it has applied. */
  readonly ownReads: Pipeline
  /** The client's limit on an operation, in milliseconds. */
  readonly requestTimeoutMs: number
}

/** Most milliseconds that a client which closes waits until its session is closed. Left open, it ends by itself. */
const closeMs = 250

export interface PipelinesOptions {
  /** Whether writes belong to a session. Only the key-value store knows them. */
  readonly sessions: boolean
  /** Where reads at any node begin, instead of the first endpoint. */
  readonly readAt?: Endpoint | undefined
}

/** Pipelines that work for as long as the scope lives. */
export const make: (
  client: ResolvedClientOptions,
  pool: ConnectionPool,
  options: PipelinesOptions
) => Effect.Effect<Pipelines, never, Scope.Scope> = Effect.fnUntraced(function*(client, pool, { readAt, sessions }) {
  const clock = yield* Clock.Clock
  const nowMs = () => monotonicMsOf(clock)
  const microtask = yield* Microtask
  const scope = yield* Effect.scope
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const deadlines = new Deadlines()
  const all: Array<Pipeline> = []
  // A caller that waits when the client closes gets what is known, instead of being left to wait.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const pipeline of all) pipeline.close()
      deadlines.expireAll()
    })
  )
  yield* deadlines.start
  const pipeline = (options: Pick<PipelineOptions, "kind" | "router" | "call" | "session">): Pipeline => {
    const made = new Pipeline({
      ...options,
      client,
      pool,
      deadlines,
      nowMs,
      microtask,
      fork: (work) => void runFork(Effect.forkIn(work, scope, { startImmediately: true }))
    })
    all.push(made)
    return made
  }
  const toLeader = new Router(client.endpoints, nowMs)
  const writeTo: PipelineOptions["call"] = (connection, commands, done, traces) =>
    connection.write(commands, done, traces)
  const repeatable = pipeline({ router: toLeader, kind: "repeatable write", call: writeTo })
  const session = sessions
    ? new ClientSession({
      open: openSession(repeatable, {
        ttlMs: client.sessionTtlMs,
        timeoutMs: client.requestTimeoutMs,
        owner: client.name
      }),
      maxCallsInFlight: client.maxCallsInFlight
    }, scope)
    : undefined
  const writes = pipeline({ router: toLeader, kind: "write", session, call: writeTo })
  const readPipeline = (consistency: Consistency, from: ReadFrom, router: Router) =>
    pipeline({
      router,
      kind: "read",
      call: (connection, queries, done, traces) => connection.read(queries, consistency, from, done, traces)
    })
  const toAny = new Router(rotatedTo(client.endpoints, readAt), nowMs)
  const reads = {
    linearizable: {
      leader: readPipeline("linearizable", "leader", toLeader),
      any: readPipeline("linearizable", "any", toAny)
    },
    stale: {
      leader: readPipeline("stale", "leader", toLeader),
      any: readPipeline("stale", "any", toAny)
    }
  }
  if (session !== undefined) yield* Effect.addFinalizer(() => closeSession(session, pool, toLeader))
  return {
    writes,
    repeatable,
    ownReads: readPipeline("stale", "any", new Router([toAny.target], nowMs)),
    reads: (consistency = client.consistency, from = client.readFrom) => reads[consistency][from],
    requestTimeoutMs: client.requestTimeoutMs
  }
})

/** Tells the cluster that the session is needed no more, if nothing of it is open. */
const closeSession = (session: ClientSession, pool: ConnectionPool, router: Router): Effect.Effect<void> =>
  Effect.suspend(() => {
    const commandId = session.idle
    if (commandId === undefined) return Effect.void
    const command = encodeCommand({ _tag: "CloseSession" }, commandId)
    return Effect.flatMap(pool.get(router.target), (connection) => write(connection, [command])).pipe(
      within(closeMs, () => "late"),
      Effect.ignore
    )
  })
