/**
 * One TCP connection as the protocol of an RPC client, and of the direct client beside it (`DirectClient.ts`), whose
 * messages pass the interpreter of effects by. It is not opened again after it was lost.
 *
 * It asks the other side for a sign of life once a second, and is lost when nothing comes for four.
 */
import { Clock, Context, Effect, Option, Schema } from "effect"
import type { Fiber, Scope } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { RpcClientDefect, RpcClientError } from "effect/rpc/RpcClientError"
import type { FromClientEncoded, FromServerEncoded } from "effect/rpc/RpcMessage"
import { Socket } from "effect/socket"
import { createConnection } from "node:net"
import { lookEvery } from "../CoalescedSleep.ts"
import { FrameReader } from "./FrameReader.ts"
import { Frames } from "./Frames.ts"
import { FrameSocket } from "./FrameSocket.ts"
import { hostNames } from "./HostNames.ts"
import type { DialTls } from "./tls/Credentials.ts"
import { closedInHandshake, dial, dialFailure } from "./tls/TlsDialling.ts"
import type { TlsProtocol } from "./tls/TlsProtocol.ts"
import { clientProtocol } from "./tls/TlsProtocol.ts"
import type { TlsRefusal } from "./tls/TlsRefusal.ts"
import { refusalOfDefect } from "./tls/TlsRefusal.ts"
import { closedUnanswered, otherProtocol } from "./WrongPort.ts"

export interface ConnectOptions {
  readonly host: string
  readonly port: number
  /** Milliseconds until an attempt to connect is given up. */
  readonly openTimeoutMs: number
  /** How it is dialled over TLS; plain without it. */
  readonly tls?: DialTls | undefined
  /** What is spoken then. Default: what clients speak. */
  readonly protocol?: TlsProtocol
  /** Told as soon as the connection is known to be lost, or could not be made. */
  readonly onDisconnect?: () => void
}

const pingMs = 1_000
const pingTimeoutMs = 4_000

type Serialization = RpcSerialization.RpcSerialization["Service"]
type WriteResponse = (clientId: number, response: FromServerEncoded) => Effect.Effect<void>

/** Takes the answer to a call of its own, and what ends all calls; `false` for everything else. */
export type DirectReceiver = (message: FromServerEncoded) => boolean

/** A connection that is made, or is being made. */
export class ClientConnection {
  readonly serialization: Serialization
  private readonly socket: FrameSocket
  private readonly frames: Frames
  private readonly reader = new FrameReader(Number.MAX_SAFE_INTEGER)
  private readonly onDisconnect: (() => void) | undefined
  private readonly nowMs: () => number
  private readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private connected = false
  /** Why it can be used no more. */
  private lost: RpcClientError | undefined
  /** When something last came, and whether something has to. */
  private heardMs: number
  private asked = false
  private direct: DirectReceiver = () => false
  private clientIds: ReadonlySet<number> = new Set()
  private writeResponse: WriteResponse = () => Effect.void
  /** Which client of the protocol made a call. */
  private readonly callers = new Map<string | number, number>()

  private constructor(
    options: ConnectOptions,
    serialization: Serialization,
    nowMs: () => number,
    runFork: ClientConnection["runFork"]
  ) {
    this.serialization = serialization
    this.frames = new Frames(serialization, [])
    this.onDisconnect = options.onDisconnect
    this.nowMs = nowMs
    this.runFork = runFork
    this.heardMs = nowMs()
    const { host, port, protocol = clientProtocol, tls } = options
    const where = { host, port, lookup: hostNames.lookup }
    const net = tls === undefined
      ? createConnection({ ...where, noDelay: true })
      : dial({ ...where, tls, protocol, nowMs }, (refused) => this.secured(refused))
    this.socket = new FrameSocket(net, (frame) => this.handle(frame))
    if (tls === undefined) net.once("connect", () => this.opened())
    else this.socket.hold()
    /** Between the two, what ends the connection is the handshake. */
    let inHandshake = false
    if (tls !== undefined) net.once("connect", () => inHandshake = true)
    let isFirst = true
    net.on("data", (chunk: Buffer) => {
      const other = isFirst ? otherProtocol(chunk) : undefined
      isFirst = false
      // A large answer may take longer than silence may last: each part of it is a sign of life.
      this.heardMs = this.nowMs()
      if (other !== undefined) return this.lose(openError("Unknown", other))
      const problem = this.reader.take(chunk)
      this.socket.receive(this.reader.frames())
      if (problem !== undefined) this.lose(undecodable(problem))
    })
    net.on("error", (cause: Error) => {
      if (this.connected) return this.lose(new Socket.SocketReadError({ cause }))
      this.lose(openError("Unknown", (inHandshake ? dialFailure(cause, protocol) : undefined) ?? cause))
    })
    const closed = (code: number) => {
      if (inHandshake && !this.connected) return openError("Unknown", closedInHandshake)
      return isFirst ? openError("Unknown", closedUnanswered) : new Socket.SocketCloseError({ code })
    }
    net.once("end", () => this.lose(closed(1000)))
    net.once("close", (failed) => this.lose(closed(failed ? 1006 : 1000)))
  }

  /** Frames may go. */
  private opened(): void {
    this.connected = true
    this.heardMs = this.nowMs()
  }

  /** The handshake is over. */
  private secured(refused: TlsRefusal | undefined): void {
    if (this.lost !== undefined) return
    if (refused !== undefined) return this.lose(openError("Unknown", refused))
    this.opened()
    this.socket.release()
  }

  /** Begins to connect; the first call finds out whether anybody listens. The connection ends with the scope. */
  static readonly make = Effect.fnUntraced(function*(
    options: ConnectOptions
  ): Effect.fn.Return<ClientConnection, never, Scope.Scope> {
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const serialization = yield* Effect.provide(
      RpcSerialization.RpcSerialization,
      RpcSerialization.layerSchemaBinary({ maxFrameSize: "unbounded" })
    )
    const connection = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new ClientConnection(
          options,
          serialization,
          () => clock.currentTimeMillisUnsafe(),
          Effect.runForkWith(context)
        )
      ),
      (connection) => Effect.sync(() => connection.close())
    )
    yield* Effect.forkScoped(connection.opensIn(options.openTimeoutMs))
    yield* lookEvery(pingMs, () => connection.ping())
    return connection
  })

  /** What the RPC client is built on. */
  readonly protocol: Effect.Effect<Context.Context<RpcClient.Protocol>> = Effect.map(
    RpcClient.Protocol.make((writeResponse, clientIds) => {
      this.writeResponse = writeResponse
      this.clientIds = clientIds
      return Effect.succeed({
        send: (clientId: number, request: FromClientEncoded) => this.send(clientId, request),
        supportsAck: true,
        supportsTransferables: false,
        codecFor: this.serialization.codecFor
      })
    }),
    (protocol) => Context.make(RpcClient.Protocol, protocol)
  )

  /** Calls of this name are made often. */
  expect(tag: string): void {
    this.frames.add(tag)
  }

  /** Hands what is for the direct client to it. */
  receive(direct: DirectReceiver): void {
    this.direct = direct
  }

  /** Why nothing can be sent any more; `undefined` while it can. */
  get error(): RpcClientError | undefined {
    return this.lost
  }

  /** Sends a message of the direct client. */
  sendUnsafe(message: FromClientEncoded): void {
    this.socket.write(this.frames.encode(message))
  }

  /**
   * {@link sendUnsafe}, which answers whether more may be sent. Where it may not, `onTaken` is called once the other
   * side has read on, or the connection has ended.
   */
  offerUnsafe(message: FromClientEncoded, onTaken: () => void): boolean {
    return this.socket.offer(this.frames.encode(message), onTaken)
  }

  /** {@link sendUnsafe}, which waits while the other side reads more slowly than this side writes. */
  send(clientId: number, message: FromClientEncoded): Effect.Effect<void, RpcClientError> {
    return Effect.suspend((): Effect.Effect<void, RpcClientError> => {
      if (this.lost !== undefined) return Effect.fail(this.lost)
      if (message._tag === "Interrupt") this.callers.delete(message.requestId)
      const frame = this.frames.encode(message)
      if (message._tag === "Request" && message.isNotification !== true) this.callers.set(message.id, clientId)
      // What makes it fail ends the connection, and every call with that.
      return Effect.mapError(this.socket.send(frame), ({ reason }) => this.lost ?? new RpcClientError({ reason }))
    })
  }

  private handle(frame: Uint8Array): Fiber.Fiber<void> | undefined {
    let message: FromServerEncoded
    try {
      message = this.frames.decode(frame) as FromServerEncoded
    } catch (cause) {
      return this.broadcast({
        _tag: "ClientProtocolError",
        error: new RpcClientError({ reason: undecodable(cause) })
      })
    }
    this.asked = false
    if (message._tag === "Pong") return undefined
    if (message._tag === "Defect") {
      const refused = this.refusalOf(message.defect)
      if (refused !== undefined) {
        this.lose(openError("Unknown", refused))
        return undefined
      }
    }
    if (this.direct(message)) return undefined
    if (!("requestId" in message)) return this.broadcast(message)
    const clientId = this.callers.get(message.requestId)
    if (clientId === undefined) return undefined
    if (message._tag === "Exit") this.callers.delete(message.requestId)
    return this.runFork(this.writeResponse(clientId, message))
  }

  /** Why the other side refuses the connection, when a defect says that. */
  private refusalOf(defect: unknown): TlsRefusal | undefined {
    const decoded = Schema.decodeUnknownOption(this.serialization.codecFor(Schema.Defect()))(defect)
    return Option.isNone(decoded) ? undefined : refusalOfDefect(decoded.value)
  }

  /** Tells all clients what ends their calls. */
  private broadcast(message: FromServerEncoded): Fiber.Fiber<void> {
    // One that has made a call may not listen yet; it learns of it once it does.
    const ids = new Set([...this.clientIds, ...this.callers.values()])
    this.callers.clear()
    this.direct(message)
    return this.runFork(Effect.forEach(ids, (id) => this.writeResponse(id, message), { discard: true }))
  }

  /** The connection is lost, or could not be made. */
  private lose(reason: RpcClientError["reason"]): void {
    if (this.lost !== undefined) return
    this.lost = new RpcClientError({ reason })
    this.socket.socket.destroy()
    this.onDisconnect?.()
    this.broadcast({ _tag: "ClientProtocolError", error: this.lost })
  }

  private opensIn(ms: number): Effect.Effect<void> {
    return Effect.andThen(
      Effect.sleep(ms),
      Effect.sync(() => {
        if (!this.connected) this.lose(openError("Timeout", new Error("Connection timed out")))
      })
    )
  }

  /** Asks for a sign of life, or takes the connection for lost. */
  private ping(): void {
    if (!this.connected || this.lost !== undefined) return
    const silentMs = this.nowMs() - this.heardMs
    if (this.asked && silentMs > pingTimeoutMs) {
      return this.lose(new Socket.SocketReadError({ cause: new Error("ping timeout") }))
    }
    // The other side was heard just now: a link with traffic needs no questions.
    if (!this.asked && silentMs < pingMs) return
    // What the other side has not read yet, it cannot answer.
    if (this.socket.isFull) return
    this.asked = true
    this.socket.write(this.frames.encode({ _tag: "Ping" }))
  }

  /** It has no user any more. */
  private close(): void {
    if (this.lost === undefined) {
      this.lost = new RpcClientError({ reason: new Socket.SocketCloseError({ code: 1006 }) })
      this.onDisconnect?.()
    }
    if (this.connected) this.socket.end()
    else this.socket.socket.destroy()
  }
}

const undecodable = (cause: unknown) => new RpcClientDefect({ message: "Error decoding message", cause })

const openError = (kind: "Unknown" | "Timeout", cause: unknown) => new Socket.SocketOpenError({ kind, cause })
