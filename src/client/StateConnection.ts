/** A connection of its own to one node, for what is large: the state, or what it takes to hash it. */
import { Cause, Effect, Option, Schema, Stream } from "effect"
import type { Scope } from "effect"
import { describeFailure, isRefusedConnection } from "../rpc/CallFailure.ts"
import { within } from "../rpc/Deadline.ts"
import { connect as connectTcp } from "../rpc/TcpClient.ts"
import { clientProtocolVersion, ClientRpcs } from "./ClientRpcs.ts"
import type { WrongCluster } from "../FlareDbError.ts"
import { ConnectionLost } from "./Connection.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"
import type { KnownCluster } from "./KnownCluster.ts"
import type { HashStep } from "./StateRpcs.ts"
import { StateError, StateRpcs } from "./StateRpcs.ts"
import { clusterOf } from "./TcpConnection.ts"

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
) => Effect.Effect<StateConnection, ConnectionLost | WrongCluster, Scope.Scope>

const isStateError = Schema.is(StateError)

class Rpcs extends ClientRpcs.merge(StateRpcs) {}

/** Connects over TCP. */
export const make = (
  options: { readonly connectTimeoutMs: number; readonly cluster: KnownCluster }
): ConnectState =>
  Effect.fnUntraced(function*(endpoint) {
    const name = formatEndpoint(endpoint)
    const lost = (reason: string, sent: boolean, refused = false) =>
      new ConnectionLost({ endpoint: name, reason, sent, refused })
    const failWith = (sent: boolean) => (cause: Cause.Cause<unknown>) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.fail(lost(describeFailure(cause), sent, isRefusedConnection(cause)))
    const rpcs = yield* Effect.catchCause(
      connectTcp(Rpcs, { ...endpoint, openTimeoutMs: options.connectTimeoutMs }),
      failWith(false)
    )
    const welcome = yield* rpcs["client.Hello"]({ protocolVersion: clientProtocolVersion }).pipe(
      Effect.catchCause(failWith(false)),
      within(options.connectTimeoutMs, () => lost(`no answer within ${options.connectTimeoutMs} ms`, false))
    )
    const check = options.cluster.check(name, yield* clusterOf(welcome, lost))
    if (check === "unknown") return yield* lost("the node does not know yet which cluster it is of", false)
    if (check !== "same") return yield* check
    /** What the node says against it stays as it is; anything else is the connection's end. */
    const refusals = <A>(stream: Stream.Stream<A, unknown>): Stream.Stream<A, StateError | ConnectionLost> =>
      Stream.catchCause(stream, (cause) => {
        const error = Option.getOrUndefined(Cause.findErrorOption(cause))
        const failure: Effect.Effect<never, StateError | ConnectionLost> = isStateError(error)
          ? Effect.fail(error)
          : failWith(true)(cause)
        return Stream.fromEffect(failure)
      })
    return {
      // One piece at a time: what is read ahead would only take memory.
      backup: refusals(rpcs["state.Backup"](undefined, { streamBufferSize: 2 })),
      hashState: (marker) => refusals(rpcs["state.HashState"]({ marker }, { streamBufferSize: 2 }))
    }
  })
