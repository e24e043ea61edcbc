/** A connection of its own to one node, for what is large: the state, or what it takes to hash it. */
import { Cause, Effect, Option, Schema, Stream } from "effect"
import type { Scope } from "effect"
import { connect as connectTcp } from "../../net/TcpClient.ts"
import { ClientRpcs } from "../../protocol/ClientRpcs.ts"
import type { WrongCluster } from "../../FlareDbError.ts"
import type { ConnectFailure, ConnectionLost } from "./Connection.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"
import type { KnownCluster } from "./KnownCluster.ts"
import { sayHello, tokenFor } from "./Hello.ts"
import { Losses } from "./Losses.ts"
import type { HashStep } from "../../protocol/StateRpcs.ts"
import { StateError, StateRpcs } from "../../protocol/StateRpcs.ts"
import type { TcpConnectionOptions } from "./TcpConnection.ts"

export interface StateConnection {
  /** See `StateRpcs.Backup`. */
  readonly backup: Stream.Stream<Uint8Array, StateError | ConnectionLost>
  /** See `StateRpcs.HashState`. Ends behind `Hashed`. */
  readonly hashState: (marker: Uint8Array) => Stream.Stream<HashStep, StateError | ConnectionLost>
}

/**
 * Opens such a connection, which lasts as long as its scope. Only to a node of the cluster that the client keeps to.
 */
export type ConnectState = (
  endpoint: Endpoint
) => Effect.Effect<StateConnection, ConnectFailure | WrongCluster, Scope.Scope>

const isStateError = Schema.is(StateError)

class Rpcs extends ClientRpcs.merge(StateRpcs) {}

/** Connects over TCP. */
export const make = (
  options: TcpConnectionOptions & { readonly cluster: KnownCluster }
): ConnectState =>
  Effect.fnUntraced(function*(endpoint) {
    const losses = new Losses(endpoint)
    const token = yield* tokenFor(endpoint, options)
    const rpcs = yield* Effect.catchCause(
      connectTcp(Rpcs, { ...endpoint, openTimeoutMs: options.connectTimeoutMs, tls: options.tls }),
      losses.failWith(false)
    )
    const { cluster } = yield* sayHello(rpcs["client.Hello"], token, options.connectTimeoutMs, losses)
    const check = options.cluster.check(formatEndpoint(endpoint), cluster)
    if (check === "unknown") return yield* losses.lost("the node does not know yet which cluster it is of", false)
    if (check !== "same") return yield* check
    /** What the node says against it stays as it is; anything else is the connection's end. */
    const refusals = <A>(stream: Stream.Stream<A, unknown>): Stream.Stream<A, StateError | ConnectionLost> =>
      Stream.catchCause(stream, (cause) => {
        const error = Option.getOrUndefined(Cause.findErrorOption(cause))
        const failure: Effect.Effect<never, StateError | ConnectionLost> = isStateError(error)
          ? Effect.fail(error)
          : losses.failWith(true)(cause)
        return Stream.fromEffect(failure)
      })
    return {
      // One piece at a time: what is read ahead would only take memory.
      backup: refusals(rpcs["state.Backup"](undefined, { streamBufferSize: 2 })),
      hashState: (marker) => refusals(rpcs["state.HashState"]({ marker }, { streamBufferSize: 2 }))
    }
  })
