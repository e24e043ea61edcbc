/**
 * One watch of a client, from its first question to its end, over as many connections and nodes as that takes. It
 * knows the next revision it has to tell, asks any node for it, and asks another one when that fails: no revision is
 * skipped, and none is emitted twice.
 */
import { Data, Effect, Exit, Scope } from "effect"
import { monotonicMs } from "../Monotonic.ts"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import type {
  AccessError,
  Compacted,
  FutureRevision,
  InvalidArgument,
  Overloaded,
  Unauthenticated,
  WatchError
} from "../FlareDbError.ts"
import { Unavailable, WrongCluster } from "../FlareDbError.ts"
import type { Revision } from "../kv/model/History.ts"
import { within } from "../net/Deadline.ts"
import type { ResolvedClientOptions } from "./ClientOptions.ts"
import type { Connection, NodeWatch, WatchRequest } from "./connection/Connection.ts"
import { ConnectionLost } from "./connection/Connection.ts"
import type { ConnectionPool } from "./connection/ConnectionPool.ts"
import { clientClosed } from "./connection/ConnectionPool.ts"
import type { Endpoint } from "./connection/Endpoint.ts"
import { formatEndpoint } from "./connection/Endpoint.ts"
import type { WatchOpenings } from "./WatchOpenings.ts"
import type { Router } from "./session/Router.ts"
import { endpointStateOf } from "./session/Router.ts"

/** How a watch ends. */
export type WatchFailure =
  | InvalidArgument
  | Overloaded
  | Compacted
  | FutureRevision
  | Unavailable
  | WrongCluster
  | AccessError

/** What a watch tells. */
export type Told =
  /** It has begun: everything from `revision` on will be told. */
  | { readonly _tag: "Began"; readonly revision: number; readonly cluster: ClusterIdentity }
  /** What changed, and how far that is. */
  | {
    readonly _tag: "Part"
    readonly revisions: ReadonlyArray<Revision>
    readonly through: number
    readonly cluster: ClusterIdentity
  }

export interface WatcherOptions {
  readonly client: ResolvedClientOptions
  /** Connections for watches alone: a reply of many changes would delay whatever shares its connection. */
  readonly pool: ConnectionPool
  readonly router: Router
  /** Those of all watches of the client. */
  readonly openings: WatchOpenings
  readonly request: WatchRequest
  /** The cluster whose history `request.from` belongs to; `undefined` when that is not known. */
  readonly cluster: ClusterIdentity | undefined
  /** How long to wait for a change before asking whether there was none, in milliseconds. */
  readonly progressMs: number
}

/** What a node may take beyond the time it was asked to wait, in milliseconds: to prove that it is up to date. */
const proofMs = 2_000

/**
 * How many times as long as an operation may take a watch waits for its turn while no other one is opened. Those that
 * have their turn need one of them to try every node.
 */
const patientTurns = 2

/** Pause after a node had too many watches, in milliseconds. */
const overloadedPauseMs = 100

/** The position to go on from is of another cluster than the client's: no other node can help. */
class PositionElsewhere extends Data.TaggedError("PositionElsewhere")<{ readonly error: WrongCluster }> {
  constructor(error: WrongCluster) {
    super({ error })
  }
}

/** No connection is to be had with what the client shows: no other node can help. */
class ConnectRefused extends Data.TaggedError("ConnectRefused")<{ readonly error: Unauthenticated }> {}

interface Opened {
  readonly endpoint: Endpoint
  readonly connection: Connection
  readonly watch: NodeWatch
  readonly scope: Scope.Closeable
}

export class Watcher {
  private readonly options: WatcherOptions
  private readonly scope: Scope.Scope
  /** The next revision to tell; `undefined` until a node has said which that is. */
  private at: number | undefined
  /** The cluster whose history `at` belongs to, once that is known. */
  private expected: ClusterIdentity | undefined
  private opened: Opened | undefined
  private began = false
  /** Whether somebody waits for how far the cluster is. A node that is asked next has to be told. */
  private progressRequested = false
  /** Nodes that had too many watches, one after another. */
  private overloads = 0
  /** Whether the last question got no answer in time on a connection that answers other watches. */
  private isSlow = false

  private constructor(options: WatcherOptions, scope: Scope.Scope) {
    this.options = options
    this.scope = scope
    this.at = options.request.from
    this.expected = options.cluster
  }

  /** A watch that ends with the surrounding scope. */
  static readonly make = (options: WatcherOptions): Effect.Effect<Watcher, never, Scope.Scope> =>
    Effect.map(Effect.scope, (scope) => new Watcher(options, scope))

  /** What there is to tell next; waits for it. One call at a time. */
  readonly next: Effect.Effect<Told, WatchFailure> = Effect.suspend(() => this.tell())

  /**
   * Has answers come without waiting for a change, up to one that says how far the cluster is: at least as far as
   * anything that was acknowledged before this.
   */
  readonly requestProgress: Effect.Effect<unknown> = Effect.suspend(() => {
    this.progressRequested = true
    // A node that does not answer is not waited for; the question it was asked has a deadline.
    return this.opened === undefined ? Effect.void : Effect.forkIn(this.opened.watch.progress, this.opened.scope)
  })

  private readonly tell = Effect.fnUntraced({ self: this }, function*(this: Watcher) {
    const startedMs = yield* monotonicMs
    let triedMs: number | undefined
    const { refusedTimeoutMs } = this.options.client
    for (;;) {
      if (this.options.pool.isClosed) return yield* new Unavailable({ reason: clientClosed })
      // Another one may be the target when its turn has come.
      let endpoint = this.opened?.endpoint ?? this.options.router.target
      const exit = yield* Effect.result(
        this.opened === undefined
          ? this.options.openings.inTurn(Effect.flatMap(monotonicMs, (nowMs) => {
            endpoint = this.options.router.target
            if (this.isTooLate(startedMs, triedMs, nowMs)) return Effect.fail(neverTried(endpoint))
            triedMs ??= nowMs
            return this.begin(endpoint)
          }))
          : this.ask(this.opened)
      )
      if (exit._tag === "Success") {
        this.options.router.succeeded(endpoint)
        this.overloads = 0
        if (exit.success !== undefined) return exit.success
        continue
      }
      if (this.options.pool.isClosed) continue
      const pauseMs = yield* this.failed(endpoint, exit.failure)
      const nowMs = yield* monotonicMs
      const waitedMs = triedMs === undefined ? Infinity : this.options.openings.waitedMs(triedMs, nowMs)
      const refusedForMs = this.options.router.refusedForMs(nowMs)
      if (!this.began && refusedForMs !== undefined && refusedForMs >= (refusedTimeoutMs ?? Number.POSITIVE_INFINITY)) {
        return yield* new Unavailable({ reason: `no node can be reached; ${this.options.router.describe()}` })
      }
      // Once begun, it is worth waiting for the cluster as long as that takes.
      if (!this.began && waitedMs + pauseMs > this.options.client.requestTimeoutMs) {
        return yield* new Unavailable({ reason: `no node could be watched; ${this.options.router.describe()}` })
      }
      if (pauseMs > 0) yield* Effect.sleep(pauseMs)
    }
  })

  /** Whether its turn comes so late that there is no cluster to be had: the many behind it are not to wait for it. */
  private isTooLate(startedMs: number, triedMs: number | undefined, nowMs: number): boolean {
    const { client: { requestTimeoutMs }, openings } = this.options
    const limitMs = (triedMs === undefined ? patientTurns : 1) * requestTimeoutMs
    return !this.began && openings.waitedMs(triedMs ?? startedMs, nowMs) > limitMs
  }

  /** Begins at a node. Only the first time there is something to tell of that. */
  private readonly begin = Effect.fnUntraced({ self: this }, function*(this: Watcher, endpoint: Endpoint) {
    const { client, pool, request } = this.options
    const connection = yield* Effect.tapError(
      pool.get(endpoint),
      (error) => Effect.sync(() => this.options.router.failed(endpoint, error.message, endpointStateOf(error)))
    ).pipe(Effect.catchTag("Unauthenticated", (error) => Effect.fail(new ConnectRefused({ error }))))
    // A connection that may be used is of a cluster that is known.
    const cluster = pool.cluster.identity as ClusterIdentity
    this.expected ??= cluster
    if (this.expected !== cluster) {
      const { name } = yield* connection.cluster
      return yield* new PositionElsewhere(
        new WrongCluster({
          endpoint: formatEndpoint(endpoint),
          expected: this.expected,
          found: cluster,
          foundName: name
        })
      )
    }
    const scope = yield* Scope.fork(this.scope)
    const watch = yield* connection.watch({ ...request, from: this.at }).pipe(
      Scope.provide(scope),
      this.inTime({ endpoint, connection }, proofMs + client.attemptTimeoutMs),
      Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : this.drop({ endpoint, connection, scope }, exit))
    )
    this.opened = { endpoint, connection, watch, scope }
    this.at = watch.from
    if (this.progressRequested) yield* this.requestProgress
    if (this.began) return undefined
    this.began = true
    return { _tag: "Began", revision: watch.from, cluster } satisfies Told
  })

  private ask(opened: Opened): Effect.Effect<Told, WatchError | ConnectionLost> {
    const { client, progressMs } = this.options
    const at = this.at as number
    return opened.watch.next(at, progressMs).pipe(
      this.inTime(opened, progressMs + proofMs + client.attemptTimeoutMs),
      Effect.map(({ revisions, through }): Told => {
        this.at = Math.max(at, through + 1)
        if (revisions.length === 0) this.progressRequested = false
        // What was emitted before is not emitted again, whatever a node says.
        return {
          _tag: "Part",
          revisions: revisions.filter(({ revision }) => revision >= at),
          through: this.at - 1,
          cluster: this.expected as ClusterIdentity
        }
      }),
      Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : this.drop(opened, exit))
    )
  }

  private inTime({ connection, endpoint }: Pick<Opened, "connection" | "endpoint">, ms: number) {
    const { openings } = this.options
    const reason = `no answer within ${ms} ms`
    return <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | ConnectionLost, R> =>
      Effect.flatMap(monotonicMs, (askedMs) =>
        call.pipe(
          within(ms, () => {
            this.isSlow = openings.isHeardSince(connection, askedMs)
            return new ConnectionLost({ endpoint: formatEndpoint(endpoint), reason, sent: true })
          }),
          Effect.tap(() => Effect.map(monotonicMs, (nowMs) => openings.heard(connection, nowMs)))
        ))
  }

  /** Gives up what is open at a node, and the connection with it when that is lost. */
  private drop(
    { connection, endpoint, scope }: Omit<Opened, "watch">,
    exit: Exit.Exit<unknown, WatchError | ConnectionLost>
  ): Effect.Effect<void> {
    if (this.opened?.scope === scope) this.opened = undefined
    const error = Exit.findErrorOption(exit)
    // What the connection showed holds no more: another one shows what the client has now.
    const lost = error._tag === "Some" &&
      (error.value._tag === "ConnectionLost" || error.value._tag === "Unauthenticated")
    const close = Scope.close(scope, Exit.void)
    // Thousands of watches may share the connection, and the others have their answers.
    const keeps = this.isSlow
    this.isSlow = false
    return lost && !keeps ? Effect.andThen(this.options.pool.retire(endpoint, connection, 0), close) : close
  }

  /** What a failure means: the end of the watch, or how long to wait before the next attempt, in milliseconds. */
  private failed(
    endpoint: Endpoint,
    failure: WatchError | ConnectionLost | WrongCluster | PositionElsewhere | ConnectRefused
  ): Effect.Effect<number, WatchFailure> {
    const { client: { endpoints }, router } = this.options
    switch (failure._tag) {
      case "Compacted":
      case "FutureRevision":
      case "InvalidArgument":
      case "Unauthorized":
        return Effect.fail(failure)
      case "ConnectRefused":
      case "PositionElsewhere":
        return Effect.fail(failure.error)
      case "WrongCluster":
        // The router knows already.
        return this.waitUnlessMisdirected()
      case "WatchCancelled":
        return Effect.succeed(0)
      case "Overloaded":
        router.failed(endpoint, failure.message, "answered")
        this.overloads += 1
        return !this.began && this.overloads >= endpoints.length
          ? Effect.fail(failure)
          : Effect.succeed(Math.max(overloadedPauseMs, router.pauseMs))
      case "ConnectionLost":
        // The connection had ended before; the node may well be there, so it is asked again first.
        if (failure.sent) router.failed(endpoint, failure.reason)
        return this.waitUnlessMisdirected()
      default:
        router.failed(endpoint, failure.message, "answered")
        return Effect.succeed(router.pauseMs)
    }
  }

  /** How long to wait before the next attempt, unless no node of the client's cluster is there any more. */
  private waitUnlessMisdirected(): Effect.Effect<number, WrongCluster> {
    const { router } = this.options
    return router.wrongCluster === undefined ? Effect.succeed(router.pauseMs) : Effect.fail(router.wrongCluster)
  }
}

const neverTried = (endpoint: Endpoint): ConnectionLost =>
  new ConnectionLost({ endpoint: formatEndpoint(endpoint), reason: "no watch could be opened", sent: false })
