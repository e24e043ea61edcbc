/**
 * One RPC connection over TCP, for as long as a scope lives. It is not reused after a failure: a caller that needs a
 * connection makes a new one, so that a poisoned parser or a growing back-off cannot outlive the failure that caused
 * it.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { RpcClient } from "effect/rpc"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { ConnectOptions } from "./ClientProtocol.ts"
import { ClientConnection } from "./ClientProtocol.ts"
import type { CallShapes } from "./CallCodecs.ts"
import { DirectClient } from "./DirectClient.ts"

export type { ConnectOptions }

/** Connects lazily: the first call finds out whether anybody listens. */
export const connect = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: ConnectOptions
): Effect.Effect<RpcClient.RpcClient<Rpcs, RpcClientError>, never, Scope.Scope | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.flatMap(ClientConnection.make(options), (connection) => callsOf(group, connection))

/** A connection with both kinds of client on it. */
export interface Connected<Rpcs extends Rpc.Any> {
  readonly calls: RpcClient.RpcClient<Rpcs, RpcClientError>
  readonly direct: DirectClient<Rpcs>
}

/**
 * {@link connect}, with direct calls beside the others, for what is said often. `shapes` says what payloads and answers
 * mostly look like.
 */
export const connectDirect = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: ConnectOptions,
  shapes: CallShapes = {}
): Effect.Effect<Connected<Rpcs>, never, Scope.Scope | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.gen(function*() {
    const connection = yield* ClientConnection.make(options)
    return {
      calls: yield* callsOf(group, connection),
      direct: yield* DirectClient.make(group, connection, shapes)
    }
  })

const callsOf = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  connection: ClientConnection
): Effect.Effect<RpcClient.RpcClient<Rpcs, RpcClientError>, never, Scope.Scope | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.flatMap(
    connection.protocol,
    (protocol) => Effect.provideContext(RpcClient.make(group, { disableTracing: true }), protocol)
  )
