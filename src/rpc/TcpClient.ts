/**
 * One RPC connection over TCP, for as long as a scope lives. It is not reused after a failure: whoever needs a
 * connection makes a new one, so that a poisoned parser or a growing back-off cannot outlive the failure that caused it.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import type { Scope } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { RpcClient, RpcMessage, RpcSerialization } from "effect/rpc"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { SocketError } from "effect/socket/Socket"

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

/** A connection that can also say things that nobody answers. */
export interface Notifying<Rpcs extends Rpc.Any> {
  readonly calls: RpcClient.RpcClient<Rpcs, RpcClientError>
  /**
   * Has the other side carry out a call of `tag` without an answer, neither to its success nor to its failure. Done when the
   * bytes are with the system; waits while the other side reads more slowly than this side writes.
   */
  readonly notify: (tag: Rpcs["_tag"]) => (payload: unknown) => Effect.Effect<void, RpcClientError>
}

/**
 * {@link connect}, with notifications beside calls. Without an answer, a message costs half the packets, half the
 * waking of processes, and neither a fiber nor a timer at the sender.
 */
export const connectNotifying = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: ConnectOptions
): Effect.Effect<Notifying<Rpcs>, SocketError, Scope.Scope | Rpc.MiddlewareClient<Rpcs>> =>
  Effect.gen(function*() {
    const protocol = yield* protocolOf(options)
    const { codecFor, send } = Context.get(protocol, RpcClient.Protocol)
    return {
      calls: yield* callsOf(group, protocol),
      notify: (tag) => {
        const rpc = group.requests.get(tag)
        if (rpc === undefined) throw new Error(`there is no call ${tag}`)
        const { payloadSchema } = rpc as Rpc.Any as Rpc.AnyWithProps
        const encode = Schema.encodeUnknownSync(codecFor(payloadSchema) as Schema.Codec<unknown, unknown>)
        return (payload) =>
          Effect.suspend(() =>
            send(notifierId, {
              _tag: "Request",
              id: notificationId,
              tag,
              payload: encode(payload),
              headers: [],
              isNotification: true
            })
          )
      }
    }
  })

/** No client of the protocol has it: nothing is ever answered to it. */
const notifierId = -1

/** All share one, because no answer names it. */
const notificationId = RpcMessage.RequestId("notification")

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
