/**
 * One connection to each node, opened when first asked for and opened again after it was lost. No connection is given
 * out before its node has said that it is of the client's cluster.
 */
import { Deferred, Effect, Exit, Scope } from "effect"
import type { WrongCluster } from "../../FlareDbError.ts"
import { within } from "../../net/Deadline.ts"
import type { Connect, ConnectFailure, Connection } from "./Connection.ts"
import { ConnectionLost } from "./Connection.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"
import type { KnownCluster } from "./KnownCluster.ts"

interface PooledConnection {
  readonly opened: Deferred.Deferred<Connection, ConnectFailure>
  readonly scope: Scope.Closeable
}

/** Why nothing is sent or waited for any more once the scope of a client has closed. */
export const clientClosed = "the client was closed"

/** Milliseconds that a node has to say what it waits for. */
const whyMs = 500

const closedBefore = (endpoint: string): ConnectionLost =>
  new ConnectionLost({ endpoint, reason: clientClosed, sent: false })

/** Why a node does not know its cluster: it says what it waits for. */
const whyUnknown = (connection: Connection): Effect.Effect<string> =>
  connection.status.pipe(
    Effect.map(({ waiting }) => waiting),
    within(whyMs, () => new ConnectionLost({ endpoint: "", reason: "", sent: true })),
    Effect.catch(() => Effect.succeed(null)),
    Effect.map((waiting) =>
      `the node does not know yet which cluster it is of${waiting === null ? "" : `: ${waiting}`}`
    )
  )

export class ConnectionPool {
  private readonly pooled = new Map<string, PooledConnection>()
  /** The cluster that the connections belong to. */
  readonly cluster: KnownCluster
  private readonly connect: Connect
  private readonly scope: Scope.Scope
  private readonly waitMs: number | undefined
  /** The connections whose nodes are known to be of the cluster. */
  private readonly accepted = new WeakSet<Connection>()

  private constructor(connect: Connect, cluster: KnownCluster, scope: Scope.Scope, waitMs: number | undefined) {
    this.waitMs = waitMs
    this.connect = connect
    this.cluster = cluster
    this.scope = scope
  }

  /**
   * A pool whose connections close with the surrounding scope. After `waitMs` milliseconds those who wait for a
   * connection learn that there is none, while it goes on being opened: a node that is slow would never be reached
   * by attempts that each begin from the start. By default they wait for as long as `connect` takes.
   */
  static readonly make = (
    connect: Connect,
    cluster: KnownCluster,
    waitMs?: number
  ): Effect.Effect<ConnectionPool, never, Scope.Scope> =>
    Effect.map(Effect.scope, (scope) => new ConnectionPool(connect, cluster, scope, waitMs))

  /** Whether the client was closed: there is no connection to be had any more. */
  get isClosed(): boolean {
    return this.scope.state._tag === "Closed"
  }

  /** The connection to a node when there is one already. */
  current(endpoint: Endpoint): Connection | undefined {
    const found = this.pooled.get(formatEndpoint(endpoint))
    const connection = found === undefined ? undefined : this.connections.get(found)
    return connection !== undefined && this.accepted.has(connection) ? connection : undefined
  }

  /**
   * The connection to a node. Those who ask at the same time share one attempt. Fails with `WrongCluster` when the
   * node is of another cluster, and as not sent while it does not know which cluster it is of.
   */
  get(endpoint: Endpoint): Effect.Effect<Connection, ConnectFailure | WrongCluster> {
    return this.checked(endpoint, false)
  }

  /** The same to ask where a node stands, which one that does not know its cluster yet can say too. */
  reach(endpoint: Endpoint): Effect.Effect<Connection, ConnectFailure | WrongCluster> {
    return this.checked(endpoint, true)
  }

  private checked(
    endpoint: Endpoint,
    mayBeUnknown: boolean
  ): Effect.Effect<Connection, ConnectFailure | WrongCluster> {
    return Effect.flatMap(this.opened(endpoint), (connection) => {
      if (this.accepted.has(connection)) return Effect.succeed(connection)
      return Effect.flatMap(
        Effect.tapError(connection.cluster, () => this.retire(endpoint, connection, 0)),
        (info): Effect.Effect<Connection, ConnectFailure | WrongCluster> => {
          const name = formatEndpoint(endpoint)
          const check = this.cluster.check(name, info)
          if (check === "same") this.accepted.add(connection)
          if (check === "same" || (check === "unknown" && mayBeUnknown)) return Effect.succeed(connection)
          if (check !== "unknown") return Effect.andThen(this.retire(endpoint, connection, 0), Effect.fail(check))
          return Effect.flatMap(
            whyUnknown(connection),
            (reason) => Effect.fail(new ConnectionLost({ endpoint: name, reason, sent: false }))
          )
        }
      )
    })
  }

  private opened(endpoint: Endpoint): Effect.Effect<Connection, ConnectFailure> {
    return Effect.suspend(() => {
      const name = formatEndpoint(endpoint)
      if (this.isClosed) return Effect.fail(closedBefore(name))
      const known = this.pooled.get(name)
      const opened = known === undefined ? this.open(endpoint) : Deferred.await(known.opened)
      const { waitMs } = this
      if (waitMs === undefined || (known !== undefined && Deferred.isDoneUnsafe(known.opened))) return opened
      const reason = `no answer within ${waitMs} ms`
      return within(waitMs, () => new ConnectionLost({ endpoint: name, reason, sent: false }))(opened)
    })
  }

  /**
   * Uses the connection no more. What is under way on it may still be answered, for `graceMs` milliseconds.
   */
  retire(endpoint: Endpoint, connection: Connection, graceMs: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const name = formatEndpoint(endpoint)
      const found = this.pooled.get(name)
      const opened = found === undefined ? undefined : Deferred.isDoneUnsafe(found.opened)
      if (found === undefined || opened !== true || this.connections.get(found) !== connection) return Effect.void
      this.pooled.delete(name)
      const close = Scope.close(found.scope, Exit.void)
      return Effect.asVoid(Effect.forkIn(Effect.andThen(Effect.sleep(graceMs), close), this.scope))
    })
  }

  private readonly connections = new WeakMap<PooledConnection, Connection>()

  private open(endpoint: Endpoint): Effect.Effect<Connection, ConnectFailure> {
    const name = formatEndpoint(endpoint)
    return Effect.flatMap(Scope.fork(this.scope), (scope) => {
      const created: PooledConnection = { opened: Deferred.makeUnsafe(), scope }
      this.pooled.set(name, created)
      // In the pool's scope, because the one who asked first may be interrupted while others wait.
      const opening = Effect.onExit(Scope.provide(this.connect(endpoint), scope), (exit) => {
        if (Exit.isSuccess(exit)) this.connections.set(created, exit.value)
        else if (this.pooled.get(name) === created) this.pooled.delete(name)
        // Only the end of the pool interrupts it, and those who wait were not interrupted.
        Deferred.doneUnsafe(created.opened, Exit.hasInterrupts(exit) ? Exit.fail(closedBefore(name)) : exit)
        return Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)
      })
      return Effect.andThen(Effect.forkIn(opening, this.scope), Deferred.await(created.opened))
    })
  }
}
