/**
 * One RPC connection over TCP, for as long as a scope lives. It is not reused after a failure: whoever needs a
 * connection makes a new one, so that a poisoned parser or a growing back-off cannot outlive the failure that caused
 * it.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Context, Effect, Layer, Schedule } from "effect"
import type { Scope } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { RpcClient, RpcSerialization } from "effect/rpc"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { SocketError } from "effect/socket/Socket"
import * as DirectClient from "./DirectClient.ts"
import { hostNames } from "./HostNames.ts"

export interface ConnectOptions {
  readonly host: string
  readonly port: number
  /** Milliseconds until an attempt to connect is given up. */
  readonly openTimeoutMs: number
  /** Told as soon as the connection is known to be lost, or could not be made. */
  readonly onDisconnect?: () => void
}

/** Connects lazily: the first call finds out whether anybody listens. */
export const connect = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: ConnectOptions
): Effect.Effect<RpcClient.RpcClient<Rpcs, RpcClientError>, SocketError, Scope.Scope | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.flatMap(protocolOf(options), (protocol) => callsOf(group, protocol))

/** A connection with both kinds of client on it. */
export interface Connected<Rpcs extends Rpc.Any> {
  readonly calls: RpcClient.RpcClient<Rpcs, RpcClientError>
  readonly direct: DirectClient.DirectClient<Rpcs>
}

/** {@link connect}, with direct calls beside the others, for what is said often. */
export const connectDirect = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: ConnectOptions
): Effect.Effect<Connected<Rpcs>, SocketError, Scope.Scope | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.gen(function*() {
    const protocol = yield* protocolOf(options)
    return {
      calls: yield* callsOf(group, protocol),
      direct: yield* DirectClient.make(group, Context.get(protocol, RpcClient.Protocol))
    }
  })

/** Built into the surrounding scope: provided around what uses it, the connection would close when that returns. */
const protocolOf = (options: ConnectOptions): Effect.Effect<
  Context.Context<RpcClient.Protocol>,
  SocketError,
  Scope.Scope
> => {
  const protocol = RpcClient.layerProtocolSocket({
    retryPolicy: Schedule.spaced("1 hour"),
    pingInterval: "1 second",
    pingTimeout: "4 seconds"
  }).pipe(
    Layer.provide(
      NodeSocket.layerNet({
        host: options.host,
        port: options.port,
        noDelay: true,
        lookup: hostNames.lookup,
        openTimeout: options.openTimeoutMs
      })
    ),
    Layer.provide(RpcSerialization.layerSchemaBinary({ maxFrameSize: "unbounded" })),
    Layer.provide(
      Layer.succeed(RpcClient.ConnectionHooks, {
        onConnect: Effect.void,
        onDisconnect: Effect.sync(() => options.onDisconnect?.())
      })
    )
  )
  return Layer.build(Layer.fresh(protocol))
}

const callsOf = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  protocol: Context.Context<RpcClient.Protocol>
): Effect.Effect<RpcClient.RpcClient<Rpcs, RpcClientError>, never, Scope.Scope | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.provideContext(RpcClient.make(group, { disableTracing: true }), protocol)
