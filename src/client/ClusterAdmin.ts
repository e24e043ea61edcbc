/** What operators ask a cluster: where each node stands, and to change the leader. */
import { Cause, Context, Effect, Exit, Schedule } from "effect"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import type { AccessError } from "../FlareDbError.ts"
import { InvalidArgument, Unavailable, WrongCluster } from "../FlareDbError.ts"
import { within } from "../net/Deadline.ts"
import type { ResolvedClientOptions } from "./ClientOptions.ts"
import type { NodeReport } from "../protocol/NodeReport.ts"
import type { NodeVitals } from "../protocol/NodeVitals.ts"
import { ConnectionLost } from "./connection/Connection.ts"
import type { ConnectionPool } from "./connection/ConnectionPool.ts"
import type { Endpoint } from "./connection/Endpoint.ts"
import { formatEndpoint } from "./connection/Endpoint.ts"
import { countProblem } from "../kv/model/Limits.ts"
import type { SessionRow } from "../kv/model/Reply.ts"
import type { ReadFailure, ReadOptions, Requests, WriteFailure } from "./session/Requests.ts"
import { isAccessError } from "./session/OperationFailure.ts"
import { invalid, unexpected } from "./session/Requests.ts"

/** How one node does; no figures when it did not say, or is of a version that has none. */
export interface VitalsAnswer {
  readonly endpoint: string
  readonly vitals: NodeVitals | undefined
}

/** What one node answered, or why it did not. */
export interface NodeAnswer {
  readonly endpoint: string
  readonly report: NodeReport | undefined
  /** Why there is no report, in one line. */
  readonly problem: string | undefined
  /** Set when the node is of another cluster than the client's. */
  readonly wrongCluster: WrongCluster | undefined
  /** Set when the node does not answer this client, because of who it is. */
  readonly refused?: AccessError | undefined
}

/**
 * What an operator asks of a cluster: where its nodes stand, who leads, sessions, history.
 *
 * **When to use**
 *
 * In tools and checks of one's own; on a command line `flaredb status`, `transfer-leader`, `compact` and `session`
 * do the same.
 *
 * **Details**
 *
 * `status` asks each of the client's endpoints and never fails; the others fail as operations of `KeyValue` do.
 *
 * **Gotchas**
 *
 * `compact` forgets history for good, and with it where watches could go on from. Where callers have names it
 * takes an administrator.
 */
export class ClusterAdmin extends Context.Service<ClusterAdmin, {
  /**
   * The identity of the cluster that this client keeps to. Meets the cluster first when the client has not done so yet.
   */
  readonly identity: Effect.Effect<ClusterIdentity, Unavailable | WrongCluster | AccessError>

  /** Asks every node of the client's endpoints where it stands. Never fails: a node that is down says so in its row. */
  readonly status: Effect.Effect<ReadonlyArray<NodeAnswer>>

  /** Asks every node of the client's endpoints for its figures. Never fails. */
  readonly vitals: Effect.Effect<ReadonlyArray<VitalsAnswer>>

  /**
   * The time on the wall, in milliseconds since 1970: the latest that the clocks of a majority of the voters have
   * reached, as the first node says that knows it. It was so when that node answered, and may go back as clocks do.
   */
  readonly wallMs: Effect.Effect<number, Unavailable | WrongCluster | AccessError>

  /**
   * Hands leadership to `target`, or to the best follower, and returns the new leader's id once it leads. Writes pause
   * for about a round trip. (thesis §3.10)
   */
  readonly transferLeader: (
    target?: number
  ) => Effect.Effect<number, InvalidArgument | Unavailable | WrongCluster | AccessError>

  /**
   * Forgets the history before `revision`, or before the last one there is, and returns that revision. No key changes.
   * A watch can still begin at `revision`, and at none before it. The nodes do so by themselves as their limits on
   * history say. Fails with `InvalidArgument` when the store has no such revision yet.
   */
  readonly compact: (revision?: number) => Effect.Effect<number, WriteFailure>

  /** One page of the sessions of the key-value store, in the order in which they were opened. */
  readonly sessions: (options?: SessionsOptions) => Effect.Effect<SessionPage, ReadFailure>

  /**
   * Ends a session of any client. Its client gets `SessionExpired` for a write whose outcome it does not know, and
   * opens another session for the next one. Fails with `InvalidArgument` when there is no such session.
   */
  readonly endSession: (session: number) => Effect.Effect<void, WriteFailure>
}>()("flaredb/client/ClusterAdmin") {}

/** Which page of sessions to read. */
export interface SessionsOptions extends ReadOptions {
  /** Only sessions with larger ids: the last one of the page before. */
  readonly after?: number | undefined
  /** Most sessions of the page, 1 to 1,000. Default 100. */
  readonly limit?: number | undefined
}

/** A page of sessions. */
export interface SessionPage {
  readonly sessions: ReadonlyArray<SessionRow>
  /** Whether there are sessions behind the last one. */
  readonly more: boolean
}

const defaultSessionPage = 100

/** The leader among the answers: the one of the latest term, should an old one not know yet that it leads no more. */
const leaderOf = (answers: ReadonlyArray<NodeAnswer>): NodeAnswer & { readonly report: NodeReport } | undefined => {
  let leader: NodeAnswer & { readonly report: NodeReport } | undefined
  for (const answer of answers) {
    const { report } = answer
    if (report?.role === "leader" && report.term > (leader?.report.term ?? -1)) leader = { ...answer, report }
  }
  return leader
}

type AskFailure = ConnectionLost | WrongCluster | AccessError

/** Asks a node where it stands. */
const answerOf = (
  client: ResolvedClientOptions,
  pool: ConnectionPool
): (endpoint: Endpoint) => Effect.Effect<NodeAnswer> => {
  const askOnce = (endpoint: Endpoint): Effect.Effect<NodeReport, AskFailure> =>
    Effect.flatMap(pool.reach(endpoint), (connection) =>
      connection.status.pipe(
        within(client.attemptTimeoutMs, () =>
          new ConnectionLost({
            endpoint: formatEndpoint(endpoint),
            reason: `no answer within ${client.attemptTimeoutMs} ms`,
            sent: true
          })),
        Effect.tapError(() => pool.retire(endpoint, connection, 0))
      ))

  /** A connection that had ended since it was last used says nothing about the node: a new one does. */
  const ask = (endpoint: Endpoint): Effect.Effect<NodeReport, AskFailure> =>
    Effect.catchTag(askOnce(endpoint), "ConnectionLost", (lost) => lost.sent ? Effect.fail(lost) : askOnce(endpoint))

  return (endpoint) =>
    Effect.map(Effect.exit(ask(endpoint)), (exit) => ({
      endpoint: formatEndpoint(endpoint),
      report: Exit.isSuccess(exit) ? exit.value : undefined,
      problem: Exit.isSuccess(exit) ? undefined : problemOf(exit.cause),
      wrongCluster: Exit.isSuccess(exit) ? undefined : wrongClusterOf(exit.cause),
      refused: Exit.isSuccess(exit) ? undefined : refusalOf(exit.cause)
    }))
}

const figuresOf =
  (client: ResolvedClientOptions, pool: ConnectionPool) => (endpoint: Endpoint): Effect.Effect<VitalsAnswer> => {
    const asked = Effect.flatMap(pool.reach(endpoint), (connection) => connection.vitals).pipe(
      within(
        client.attemptTimeoutMs,
        () => new ConnectionLost({ endpoint: formatEndpoint(endpoint), reason: "no answer in time", sent: true })
      )
    )
    return Effect.map(Effect.exit(asked), (exit) => ({
      endpoint: formatEndpoint(endpoint),
      vitals: Exit.isSuccess(exit) ? exit.value : undefined
    }))
  }

/** What a look at every node came to when none of them is of the client's cluster, or answers this client. */
const misdirected = (answers: ReadonlyArray<NodeAnswer>): WrongCluster | AccessError | undefined =>
  answers.some(({ report }) => report !== undefined)
    ? undefined
    : answers.find(({ wrongCluster }) => wrongCluster !== undefined)?.wrongCluster ??
      answers.find(({ refused }) => refused !== undefined)?.refused

/** What came of asking each node, in one line. */
const textOf = (answers: ReadonlyArray<NodeAnswer>): string =>
  answers.map(({ endpoint, problem, report }) => `${endpoint}: ${problem ?? report?.role}`).join("; ")

const transferLeadership = Effect.fnUntraced(function*(
  client: ResolvedClientOptions,
  pool: ConnectionPool,
  status: ClusterAdmin["Service"]["status"],
  target: number | undefined
) {
  const answers = yield* status
  const leader = leaderOf(answers)
  if (leader === undefined) {
    const wrong = misdirected(answers)
    if (wrong !== undefined) return yield* wrong
    return yield* new Unavailable({ reason: `no node leads; ${textOf(answers)}` })
  }
  const { nodeId, voters } = leader.report
  if (target !== undefined && !voters.includes(target)) {
    return yield* new InvalidArgument({
      field: "target",
      problem: `${target} is none of the voters ${voters.join(", ")}`
    })
  }
  if (target === nodeId) return nodeId
  if (voters.length === 1) {
    return yield* new InvalidArgument({
      field: "target",
      problem: `node ${nodeId} is the only voter, so no other can lead`
    })
  }
  const endpoint = client.endpoints.find((known) => formatEndpoint(known) === leader.endpoint) as Endpoint
  yield* Effect.flatMap(pool.get(endpoint), (connection) => connection.transferLeader(target)).pipe(
    Effect.mapError((error) => error._tag === "ConnectionLost" ? new Unavailable({ reason: error.message }) : error)
  )
  const moved = Effect.flatMap(status, (now) => {
    const next = leaderOf(now)?.report.nodeId
    return next === undefined || next === nodeId ? Effect.fail("still") : Effect.succeed(next)
  })
  return yield* Effect.retry(moved, Schedule.spaced(20)).pipe(
    within(
      client.requestTimeoutMs,
      () =>
        new Unavailable({
          reason: `node ${nodeId} still leads after ${client.requestTimeoutMs} ms; is the target up and caught up?`
        })
    ),
    Effect.mapError((error) => error instanceof Unavailable ? error : new Unavailable({ reason: error }))
  )
})

/** The time of the first node that knows it: later answers were given before they were heard of. */
const firstWallMs = (
  client: ResolvedClientOptions,
  ask: (endpoint: Endpoint) => Effect.Effect<NodeAnswer>
): ClusterAdmin["Service"]["wallMs"] =>
  Effect.suspend(() => {
    const answers: Array<NodeAnswer> = []
    const time = (endpoint: Endpoint) =>
      Effect.flatMap(ask(endpoint), (answer) => {
        answers.push(answer)
        const wallMs = answer.report?.wallMs
        return wallMs === undefined ? Effect.fail("unknown") : Effect.succeed(wallMs)
      })
    return Effect.mapError(
      Effect.raceAll(client.endpoints.map(time)),
      () =>
        misdirected(answers) ??
          new Unavailable({ reason: `no node knows the clocks of a majority; ${textOf(answers)}` })
    )
  })

export const make = (
  client: ResolvedClientOptions,
  pool: ConnectionPool,
  requests: Requests
): ClusterAdmin["Service"] => {
  const ask = answerOf(client, pool)
  const status = Effect.forEach(client.endpoints, ask, { concurrency: "unbounded" })
  const wallMs = firstWallMs(client, ask)
  const vitals = Effect.forEach(client.endpoints, figuresOf(client, pool), { concurrency: "unbounded" })

  const meet = Effect.flatMap(
    status,
    (answers): Effect.Effect<ClusterIdentity, Unavailable | WrongCluster | AccessError> => {
      const wrong = misdirected(answers)
      if (wrong !== undefined) return Effect.fail(wrong)
      if (pool.cluster.identity !== undefined) return Effect.succeed(pool.cluster.identity)
      const waiting = answers.find(({ report }) => typeof report?.waiting === "string")?.report?.waiting ?? ""
      return Effect.fail(
        new Unavailable({
          reason: `no node that can be reached knows which cluster it is of${waiting === "" ? "" : `: ${waiting}`}`
        })
      )
    }
  )

  const identity = Effect.suspend(() =>
    pool.cluster.identity !== undefined
      ? Effect.succeed(pool.cluster.identity)
      : Effect.retry(meet, {
        schedule: Schedule.spaced(20).pipe(Schedule.upTo({ duration: client.requestTimeoutMs })),
        while: ({ _tag }) => _tag === "Unavailable"
      })
  )

  const transferLeader = (target?: number) => transferLeadership(client, pool, status, target)

  /** The last revision, which any read tells. */
  const lastRevision = Effect.map(
    // It names no lease.
    Effect.catchTag(
      requests.read({ _tag: "Get", key: Uint8Array.of(0) }, { consistency: "linearizable" }),
      "LeaseNotFound",
      Effect.die
    ),
    (reply) => reply.revision
  )

  const compact = Effect.fnUntraced(function*(revision?: number) {
    const problem = countProblem(revision ?? 0, "revision")
    if (problem !== undefined) return yield* invalid(problem)
    const last = yield* lastRevision
    const oldest = revision ?? last
    if (oldest > last) {
      return yield* new InvalidArgument({
        field: "revision",
        problem: `${oldest} is ahead of the store's revision ${last}`
      })
    }
    yield* requests.writeRepeatable({ _tag: "Compact", through: Math.max(0, oldest - 1) }, undefined)
    return oldest
  })

  const sessions: ClusterAdmin["Service"]["sessions"] = (options) => {
    const query = { _tag: "Sessions", after: options?.after ?? 0, limit: options?.limit ?? defaultSessionPage } as const
    return Effect.map(
      // It names no lease.
      Effect.catchTag(requests.read(query, options), "LeaseNotFound", (error) => Effect.die(error)),
      (reply) => {
        if (reply._tag !== "SessionsReply") throw unexpected(reply)
        return { sessions: reply.sessions, more: reply.more }
      }
    )
  }

  const endSession = (session: number) =>
    Effect.asVoid(requests.writeRepeatable({ _tag: "EndSession", session }, undefined))

  return ClusterAdmin.of({ identity, status, vitals, wallMs, transferLeader, compact, sessions, endSession })
}

const problemOf = (cause: Cause.Cause<AskFailure>): string => {
  const error = Cause.squash(cause)
  if (error instanceof WrongCluster || isAccessError(error)) return error.message
  return error instanceof ConnectionLost ? error.reason : String(error)
}

const refusalOf = (cause: Cause.Cause<AskFailure>): AccessError | undefined => {
  const error = Cause.squash(cause)
  return isAccessError(error) ? error : undefined
}

const wrongClusterOf = (cause: Cause.Cause<AskFailure>): WrongCluster | undefined => {
  const error = Cause.squash(cause)
  return error instanceof WrongCluster ? error : undefined
}
