/**
 * An RPC group served over TCP with the binary serialization: what the peer port and the client port have in common.
 *
 * A handler's bug fails that call only; a frame that cannot be parsed or is too large closes that connection
 * only. (Left alone, the binary parser would answer everything after it with defects, for ever.)
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { Effect, Exit, Fiber, Layer, Option, References, Scope } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { Socket, SocketServer } from "effect/socket"
import { watchTables } from "../BoundedTables.ts"
import { defaultLimits } from "../FlareDbConfig.ts"
import type { CallLimits } from "./CallsUnderWay.ts"
import { CallsUnderWay } from "./CallsUnderWay.ts"
import type { ConnectionLimits, Guarded } from "./Connections.ts"
import { Connections, defaultConnectionLimits, sweepMs } from "./Connections.ts"
import type { DirectHandlers } from "./DirectCalls.ts"
import * as DirectCalls from "./DirectCalls.ts"
import type { Gate } from "./Gate.ts"
import * as GatedProtocol from "./GatedProtocol.ts"
import type { BoundAddress, ListenError } from "./Listening.ts"
import { listen } from "./Listening.ts"
import { Offences } from "./Offences.ts"

export interface ServeOptions<Rpcs extends Rpc.Any> {
  readonly name: string
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** A larger frame closes its connection. */
  readonly maxFrameBytes: number
  /**
   * Milliseconds after which a connection on which nothing moved is closed. Clients say something every second, so one
   * that does not has stopped, or its network has, and what waits to be sent to it would stay in memory.
   */
  readonly idleTimeoutMs?: number
  readonly limits?: ConnectionLimits
  /** Bounds the calls that are not answered yet. */
  readonly callLimits?: CallLimits
  /** Who may call. */
  readonly gate: Gate<Rpcs>
  /** The setting behind `limits.maxConnections`. When given, the connections are measured against the limit. */
  readonly connectionsSetting?: string
  /** Where offences are told of; handlers that tell of their own give it. */
  readonly offences?: Offences
  /** Told when a connection ended. */
  readonly onDisconnect?: (clientId: number) => Effect.Effect<void>
  /** The calls that are made most, see `DirectCalls.ts`. Their other handlers are never called. */
  readonly direct?: DirectHandlers<Rpcs>
}

/**
 * The binary serialization, with parse failures turned into the error that makes the server close the socket, and with
 * the limits of the port.
 */
const strictSerialization = (
  maxFrameBytes: number,
  connections: Connections,
  accepting: Accepting,
  knows: (tag: string) => boolean
) =>
  Layer.effect(
    RpcSerialization.RpcSerialization,
    Effect.map(RpcSerialization.RpcSerialization, (binary) =>
      RpcSerialization.RpcSerialization.of({
        ...binary,
        makeUnsafe: () => {
          const parser = binary.makeUnsafe()
          const guarded = accepting.take()
          const close = (): never => {
            throw new RpcSerialization.MaxBufferSizeExceeded({ maxBufferSize: maxFrameBytes })
          }
          return {
            encode: parser.encode,
            decode: (data) => {
              if (guarded !== undefined && typeof data !== "string" && !connections.took(guarded, data)) return close()
              try {
                const messages = parser.decode(data)
                for (const message of messages as ReadonlyArray<FromClient>) {
                  if (message._tag !== "Request" || knows(message.tag) || guarded === undefined) continue
                  // It is answered: a client of a later version may ask for what it can do without.
                  connections.offences.report("unknown-call", guarded.remote, `no call has the name ${message.tag}`)
                }
                return messages
              } catch (error) {
                if (guarded !== undefined) {
                  connections.expel(guarded, "malformed-frame", `closed a connection: its bytes are no call: ${error}`)
                }
                return close()
              }
            }
          }
        }
      }))
  ).pipe(Layer.provide(RpcSerialization.layerSchemaBinary({ maxFrameSize: maxFrameBytes })))

/** What is looked at of a message. */
type FromClient = { readonly _tag: "Request"; readonly tag: string } | { readonly _tag: "Other" }

/**
 * Which connection a parser is made for, and the number that handlers know it by. The RPC server asks for a parser when
 * it takes on a connection, before anything else, and numbers connections in that order.
 */
class Accepting {
  private next: Guarded | undefined
  private count = 0
  /** The connections by their numbers. */
  readonly connections = new Map<number, Guarded>()
  private readonly offences: Offences

  constructor(offences: Offences) {
    this.offences = offences
  }

  offer(guarded: Guarded): void {
    this.next = guarded
  }

  take(): Guarded | undefined {
    const guarded = this.next
    this.next = undefined
    const id = this.count++
    if (guarded !== undefined) {
      this.offences.remotes.set(id, guarded.remote)
      this.offences.closers.set(id, () => guarded.destroy())
      this.connections.set(id, guarded)
    }
    return guarded
  }
}

const defaultCallLimits: CallLimits = {
  maxPendingCalls: defaultLimits.maxPendingCalls,
  maxPendingCallBytes: defaultLimits.maxPendingCallBytes
}

/** How long what is under way may take to end when the server closes, in milliseconds. */
const closeMs = 500

const gone = Effect.fail(
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("the connection is gone") }) })
)

/**
 * Writing to a connection that is gone would wait for room for ever, and whoever writes with it: it fails instead.
 * What is written in one go of the program leaves together: one commit often answers several calls of a connection,
 * and each packet costs more than what is in it.
 */
const inOneGo = (
  socket: Socket.Socket,
  connection: Connection,
  /** Told when what is written begins to wait for the other side, and when it no longer does. */
  waits: (is: boolean) => void
): Socket.Socket => {
  connection.on("drain", () => waits(false))
  const write = <A>(how: () => Effect.Effect<A, Socket.SocketError>): Effect.Effect<A, Socket.SocketError> =>
    Effect.suspend(() => {
      if (connection.destroyed) return gone
      if (connection.writableCorked === 0) {
        connection.cork()
        process.nextTick(() => {
          connection.uncork()
          if (connection.writableNeedDrain) waits(true)
        })
      }
      return how()
    })
  return Socket.make({
    reader: Effect.map(socket.reader, (reader) => {
      const pull = Effect.suspend(() => connection.writableNeedDrain ? untilDrained : reader.pull)
      // Whoever does not read its answers is not asked for more calls: what waits to be sent would grow for ever.
      const untilDrained: typeof reader.pull = Effect.flatMap(drained(connection), () => pull)
      return { ...reader, pull }
    }),
    writer: Effect.map(socket.writer, (writer) => ({
      write: (chunk) => write(() => writer.write(chunk)),
      writeAll: (chunks) => write(() => writer.writeAll(chunks))
    }))
  })
}

/** Until what was written is with the system, or nobody is there to take it. */
const drained = (connection: Connection): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const done = () => {
      end()
      resume(Effect.void)
    }
    const end = () => {
      connection.off("drain", done)
      connection.off("close", done)
    }
    connection.on("drain", done)
    connection.on("close", done)
    return Effect.sync(end)
  })

/** What is needed of Node's socket. */
interface Connection {
  readonly destroyed: boolean
  readonly writableNeedDrain: boolean
  readonly on: (event: "drain" | "close", listener: () => void) => unknown
  readonly off: (event: "drain" | "close", listener: () => void) => unknown
  readonly writableCorked: number
  readonly cork: () => void
  readonly uncork: () => void
}

/**
 * The connections of a server, so that the limits hold and all of them end with it. Left alone, the server would wait
 * for peers that hold theirs open.
 */
const guard = (
  sockets: SocketServer.SocketServer["Service"],
  connections: Connections,
  accepting: Accepting,
  idleTimeoutMs: number | undefined
) =>
  Effect.gen(function*() {
    yield* Effect.addFinalizer(() => Effect.sync(() => connections.destroyAll()))
    yield* Effect.forkScoped(
      Effect.forever(Effect.andThen(Effect.sleep(sweepMs), Effect.sync(() => connections.sweep())))
    )
    return SocketServer.SocketServer.of({
      address: sockets.address,
      run: (handler) =>
        sockets.run((socket) =>
          Effect.flatMap(Effect.serviceOption(NodeSocket.NetSocket), (connection) => {
            if (Option.isNone(connection)) return handler(socket)
            const { value } = connection
            const guarded = connections.accept(value)
            if (guarded === undefined) return Effect.void
            value.once("close", () => connections.forget(guarded))
            if (idleTimeoutMs !== undefined) value.setTimeout(idleTimeoutMs, () => value.destroy())
            // Each answer that waits to be sent listens for its turn.
            value.setMaxListeners(0)
            accepting.offer(guarded)
            return handler(inOneGo(socket, value, (is) => connections.waits(guarded, is)))
          })
        )
    })
  })

/** The connections of several servers, as if they came from one. */
const together = (servers: ReadonlyArray<SocketServer.SocketServer["Service"]>) => {
  const [first] = servers
  if (first === undefined) throw new Error("no server")
  return SocketServer.SocketServer.of({
    address: first.address,
    run: (handler) => Effect.raceAllFirst(servers.map((server) => server.run(handler)))
  })
}

/** A scope that closes with the surrounding one, which waits for it no longer than {@link closeMs}. */
const hastyScope = Effect.acquireRelease(Scope.make(), (scope) =>
  Effect.asVoid(
    Effect.flatMap(Effect.forkDetach(Scope.close(scope, Exit.void)), (closing) =>
      Effect.timeoutOption(Fiber.await(closing), closeMs))
  ))

/** Serves `group` until the scope closes, and says where. */
export const serve = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: ServeOptions<Rpcs>
): Effect.Effect<
  BoundAddress,
  ListenError,
  Scope.Scope | Rpc.ToHandler<Rpcs> | Rpc.Middleware<Rpcs> | Rpc.ServicesServer<Rpcs>
> =>
  Effect.gen(function*() {
    const { bound, servers } = yield* listen(options, (host, port) =>
      Effect.map(NodeSocketServer.make({ host, port, noDelay: true }), (server) => ({
        port: "port" in server.address ? server.address.port : port,
        server
      })))
    const sockets = together(servers)
    const offences = options.offences ?? (yield* Offences.make(options.name))
    const connections = new Connections(offences, options.limits ?? defaultConnectionLimits, options.maxFrameBytes)
    if (options.connectionsSetting !== undefined) {
      yield* watchTables([{
        table: `${options.name}_connections`,
        entries: () =>
          connections.size,
        limit: (options.limits ?? defaultConnectionLimits).maxConnections,
        setting: options.connectionsSetting
      }])
    }
    const accepting = new Accepting(offences)
    const calls = new CallsUnderWay(options.callLimits ?? defaultCallLimits)
    const { gate } = options
    gate.watch((clientId) => {
      const admitted = accepting.connections.get(clientId)
      if (admitted !== undefined) {
        connections.admit(admitted)
      }
    })
    yield* watchTables([
      {
        table: `${options.name}_unfinished_bytes`,
        entries: () =>
          connections.pendingBytes,
        limit: (options.limits ?? defaultConnectionLimits).maxUnfinishedBytes,
        setting: "maxUnfinishedBytes"
      },
      {
        table: `${options.name}_calls`,
        entries: () => calls.calls,
        limit: (options.callLimits ?? defaultCallLimits).maxPendingCalls,
        setting: "maxPendingCalls"
      },
      {
        table: `${options.name}_call_bytes`,
        entries: () => calls.bytes,
        limit: (options.callLimits ?? defaultCallLimits).maxPendingCallBytes,
        setting: "maxPendingCallBytes"
      }
    ])
    const guarded = yield* guard(sockets, connections, accepting, options.idleTimeoutMs)
    const { onDisconnect } = options
    const forgets: Array<(clientId: number) => void> = [
      (clientId) => gate.dismiss(clientId),
      (clientId) => void accepting.connections.delete(clientId),
      (clientId) => void offences.remotes.delete(clientId),
      (clientId) => void offences.closers.delete(clientId)
    ]
    yield* Layer.buildWithScope(
      RpcServer.layer(group, {
        disableTracing: true,
        disableFatalDefects: true,
        onDisconnect: (clientId) =>
          Effect.suspend(() => {
            for (const forget of forgets) forget(clientId)
            return onDisconnect === undefined ? Effect.void : onDisconnect(clientId)
          })
      }).pipe(
        Layer.provide(
          Layer.effect(
            RpcServer.Protocol,
            Effect.flatMap(RpcServer.makeProtocolSocketServer, (protocol) => {
              const gated = GatedProtocol.make(protocol, gate, {
                calls,
                report: (clientId, offence, problem) => offences.reportCaller(offence, clientId, problem),
                expel: (clientId, offence, problem) => {
                  const guarded = accepting.connections.get(clientId)
                  if (guarded !== undefined) connections.expel(guarded, offence, problem)
                }
              })
              return Effect.map(
                DirectCalls.make(gated.protocol, group, options.direct ?? {}, (clientId, _, problem) =>
                  offences.reportCaller("malformed-messages", clientId, problem)),
                (direct) => {
                  forgets.push(direct.forget, gated.forget)
                  return direct.protocol
                }
              )
            })
          )
        ),
        Layer.provide(Layer.succeed(SocketServer.SocketServer, guarded)),
        Layer.provide(
          strictSerialization(options.maxFrameBytes, connections, accepting, (tag) =>
            group.requests.has(tag))
        )
      ),
      yield* hastyScope
    ).pipe(
      // Every client that goes away without a goodbye would be logged as an unhandled error.
      Effect.provideService(References.UnhandledLogLevel, undefined)
    )
    return bound
  })
