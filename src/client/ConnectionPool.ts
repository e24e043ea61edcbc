/** One connection to each node, opened when first asked for and opened anew after it was lost. */
import { Deferred, Effect, Exit, Scope } from "effect"
import type { Connect, Connection, ConnectionLost } from "./Connection.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"

interface Slot {
  readonly opened: Deferred.Deferred<Connection, ConnectionLost>
  readonly scope: Scope.Closeable
}

export class ConnectionPool {
  private readonly slots = new Map<string, Slot>()
  private readonly connect: Connect
  private readonly scope: Scope.Scope

  private constructor(connect: Connect, scope: Scope.Scope) {
    this.connect = connect
    this.scope = scope
  }

  /** A pool whose connections close with the surrounding scope. */
  static readonly make = (connect: Connect): Effect.Effect<ConnectionPool, never, Scope.Scope> =>
    Effect.map(Effect.scope, (scope) => new ConnectionPool(connect, scope))

  /** The connection to a node when there is one already. */
  current(endpoint: Endpoint): Connection | undefined {
    const slot = this.slots.get(formatEndpoint(endpoint))
    return slot === undefined ? undefined : this.connections.get(slot)
  }

  /** The connection to a node. Those who ask at the same time share one attempt. */
  get(endpoint: Endpoint): Effect.Effect<Connection, ConnectionLost> {
    return Effect.suspend(() => {
      const known = this.slots.get(formatEndpoint(endpoint))
      return known === undefined ? this.open(endpoint) : Deferred.await(known.opened)
    })
  }

  /**
   * Uses the connection no more. What is under way on it may still be answered, for `graceMs` milliseconds.
   */
  retire(endpoint: Endpoint, connection: Connection, graceMs: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const name = formatEndpoint(endpoint)
      const slot = this.slots.get(name)
      const opened = slot === undefined ? undefined : Deferred.isDoneUnsafe(slot.opened)
      if (slot === undefined || opened !== true || this.connections.get(slot) !== connection) return Effect.void
      this.slots.delete(name)
      const close = Scope.close(slot.scope, Exit.void)
      return Effect.asVoid(Effect.forkIn(Effect.andThen(Effect.sleep(graceMs), close), this.scope))
    })
  }

  private readonly connections = new WeakMap<Slot, Connection>()

  private open(endpoint: Endpoint): Effect.Effect<Connection, ConnectionLost> {
    const name = formatEndpoint(endpoint)
    return Effect.flatMap(Scope.fork(this.scope), (scope) => {
      const slot: Slot = { opened: Deferred.makeUnsafe(), scope }
      this.slots.set(name, slot)
      // In the pool's scope, because the one who asked first may be interrupted while others wait.
      const opening = Effect.onExit(Scope.provide(this.connect(endpoint), scope), (exit) => {
        if (Exit.isSuccess(exit)) this.connections.set(slot, exit.value)
        else if (this.slots.get(name) === slot) this.slots.delete(name)
        Deferred.doneUnsafe(slot.opened, exit)
        return Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)
      })
      return Effect.andThen(Effect.forkIn(opening, this.scope), Deferred.await(slot.opened))
    })
  }
}
