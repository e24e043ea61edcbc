/**
 * An RPC group served over TCP with the binary serialization: what the peer port and the client port have in common.
 *
 * A handler's bug fails that call only; a frame that cannot be parsed or is too large closes that connection
 * only. (Left alone, the binary parser would answer everything after it with defects, for ever.)
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { Data, Effect, Layer, References } from "effect"
import type { Scope } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { SocketServer } from "effect/socket"

/** The port cannot be listened on. */
export class ListenError extends Data.TaggedError("ListenError")<{
  /** Which of the node's ports: "client", "peer" or "http". */
  readonly port: string
  /** `host:port`. */
  readonly address: string
  readonly cause: unknown
}> {
  override get message() {
    const text = describeCause(this.cause)
    const inUse = /EADDRINUSE/.test(text)
    return inUse
      ? `the ${this.port} address ${this.address} is in use; stop the process that holds it, or give this node another ${this.port} port`
      : `cannot listen on the ${this.port} address ${this.address}: ${text}`
  }
}

const describeCause = (cause: unknown): string => {
  const texts: Array<string> = []
  let current: unknown = cause
  while (current instanceof Error && texts.length < 5) {
    if ("code" in current && typeof current.code === "string") texts.push(current.code)
    texts.push(current.message)
    current = current.cause
  }
  return texts.length === 0 ? String(cause) : texts.join(": ")
}

export interface ServeOptions {
  readonly name: string
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** A larger frame closes its connection. */
  readonly maxFrameBytes: number
  /** Told when a connection ended. */
  readonly onDisconnect?: (clientId: number) => Effect.Effect<void>
}

/** Where a server really listens. */
export interface BoundAddress {
  readonly host: string
  readonly port: number
}

/** The binary serialization, with parse failures turned into the error that makes the server close the socket. */
const strictSerialization = (maxFrameBytes: number) =>
  Layer.effect(
    RpcSerialization.RpcSerialization,
    Effect.map(RpcSerialization.RpcSerialization, (binary) =>
      RpcSerialization.RpcSerialization.of({
        ...binary,
        makeUnsafe: () => {
          const parser = binary.makeUnsafe()
          return {
            encode: parser.encode,
            decode: (data) => {
              try {
                return parser.decode(data)
              } catch {
                throw new RpcSerialization.MaxBufferSizeExceeded({ maxBufferSize: maxFrameBytes })
              }
            }
          }
        }
      }))
  ).pipe(Layer.provide(RpcSerialization.layerSchemaBinary({ maxFrameSize: maxFrameBytes })))

/** Serves `group` until the scope closes, and says where. */
export const serve = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: ServeOptions
): Effect.Effect<
  BoundAddress,
  ListenError,
  Scope.Scope | Rpc.ToHandler<Rpcs> | Rpc.Middleware<Rpcs> | Rpc.ServicesServer<Rpcs>
> =>
  Effect.gen(function*() {
    const sockets = yield* Effect.mapError(
      NodeSocketServer.make({ host: options.host, port: options.port, noDelay: true }),
      (cause) => new ListenError({ port: options.name, address: `${options.host}:${options.port}`, cause })
    )
    yield* Layer.build(
      RpcServer.layer(group, {
        disableTracing: true,
        disableFatalDefects: true,
        ...(options.onDisconnect === undefined ? {} : { onDisconnect: options.onDisconnect })
      }).pipe(
        Layer.provide(RpcServer.layerProtocolSocketServer),
        Layer.provide(Layer.succeed(SocketServer.SocketServer, sockets)),
        Layer.provide(strictSerialization(options.maxFrameBytes))
      )
    ).pipe(
      // Every client that goes away without a goodbye would be logged as an unhandled error.
      Effect.provideService(References.UnhandledLogLevel, undefined)
    )
    const { address } = sockets
    return { host: options.host, port: "port" in address ? address.port : options.port }
  })
