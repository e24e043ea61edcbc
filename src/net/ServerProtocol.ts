/**
 * The connections of a port as the protocol of an RPC server: what comes in is cut into frames, guarded
 * (`Connections.ts`), and handed on message by message; what goes out leaves through the connection's `FrameSocket.ts`.
 *
 * A frame that cannot be parsed or is too large closes its connection only. (The parser of the serialization would
 * answer everything after it with defects, for ever.)
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Effect, Option, Queue, Schema } from "effect"
import type { Fiber, Scope } from "effect"
import { RpcServer } from "effect/rpc"
import type { RpcSerialization } from "effect/rpc"
import type { FromClientEncoded, FromServerEncoded, RequestEncoded } from "effect/rpc/RpcMessage"
import type { SocketServer } from "effect/socket"
import type { Socket } from "node:net"
import type { Connections, Guarded } from "./Connections.ts"
import { Frames } from "./Frames.ts"
import { FrameSocket } from "./FrameSocket.ts"
import { beginsTls } from "./tls/FirstBytes.ts"
import type { Remote } from "./tls/Remote.ts"
import { plain } from "./tls/Remote.ts"
import type { Handshake, TlsPort } from "./tls/TlsPort.ts"
import type { TlsRefusal } from "./tls/TlsRefusal.ts"
import { refusalDefect } from "./tls/TlsRefusal.ts"

export interface ServerProtocolOptions {
  readonly sockets: SocketServer.SocketServer["Service"]
  readonly serialization: RpcSerialization.RpcSerialization["Service"]
  readonly connections: Connections
  /** The calls that are made most. */
  readonly tags: ReadonlyArray<string>
  /** Whether there is such a call. */
  readonly knows: (tag: string) => boolean
  readonly idleTimeoutMs: number | undefined
  /** What TLS makes of new connections; absent where the port has none. */
  readonly tls: Pick<TlsPort, "take"> | undefined
  /** Told of each connection that is refused for what TLS shows. */
  readonly onRefused: (refusal: TlsRefusal) => void
  /** Told of a connection and of who is at its other end, before anything that comes on it. */
  readonly onConnect: (clientId: number, guarded: Guarded, remote: Remote) => void
  /** Told when an answer is sent. */
  readonly onAnswer: (clientId: number, requestId: RequestEncoded["id"]) => void
  /** Takes a call on; `false` hands it to the RPC server. */
  readonly take: (clientId: number, request: RequestEncoded) => boolean
}

/** Bytes that a refused connection may send before it has read why; a `Hello` has some hundreds. */
const maxDroppedBytes = 64 * 1024

/** What is wrong with who begins TLS where there is none. */
const tlsOnPlain = "it begins TLS, and this port is served without; see --certs-dir"

/** One connection. */
interface Port {
  readonly guarded: Guarded
  readonly frames: Frames
  readonly socket: FrameSocket
}

type Receive = (clientId: number, message: FromClientEncoded) => Effect.Effect<void>

export class ServerProtocol {
  private readonly options: ServerProtocolOptions
  private readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private readonly disconnects: Queue.Queue<number>
  private readonly ports = new Map<number, Port>()
  private readonly clientIds = new Set<number>()
  private count = 0
  /** What refused connections read. Most have the same reason, and making it takes longer than all else of them. */
  private readonly refusals = new WeakMap<TlsRefusal, Uint8Array>()
  /** The RPC server, once it runs. */
  private receive: Receive = () => Effect.void

  private constructor(
    options: ServerProtocolOptions,
    runFork: ServerProtocol["runFork"],
    disconnects: Queue.Queue<number>
  ) {
    this.options = options
    this.runFork = runFork
    this.disconnects = disconnects
  }

  /** The protocol, which takes connections on until the scope closes. */
  static readonly make = Effect.fnUntraced(function*(
    options: ServerProtocolOptions
  ): Effect.fn.Return<ServerProtocol, never, Scope.Scope> {
    const disconnects = yield* Queue.make<number>()
    return new ServerProtocol(options, Effect.runForkWith(yield* Effect.context<never>()), disconnects)
  })

  /** What the RPC server is built on. */
  readonly protocol: Effect.Effect<RpcServer.Protocol["Service"], never, Scope.Scope> = Effect.suspend(() =>
    Effect.tap(
      RpcServer.Protocol.make((receive) => {
        this.receive = receive
        return Effect.succeed({
          disconnects: this.disconnects,
          send: (clientId: number, response: FromServerEncoded) => this.send(clientId, response),
          end: () => Effect.void,
          clientIds: Effect.sync(() => this.clientIds),
          initialMessage: Effect.succeed(Option.none()),
          supportsAck: true,
          supportsTransferables: false,
          supportsSpanPropagation: true,
          supportsNotifications: true,
          codecFor: this.options.serialization.codecFor
        })
      }),
      Effect.forkScoped(this.options.sockets.run(() => this.serve))
    )
  )

  /** Answers a call. `onTaken` is called once the answer is with the system, or cannot be any more. */
  answer(clientId: number, requestId: RequestEncoded["id"], exit: unknown, onTaken?: () => void): void {
    this.options.onAnswer(clientId, requestId)
    const port = this.ports.get(clientId)
    if (port === undefined) onTaken?.()
    else port.socket.write(port.frames.encode({ _tag: "Exit", requestId, exit: exit as never }), onTaken)
  }

  /** Ends all calls of a connection with a defect, which clients of any version read. */
  end(clientId: number, problem: string): void {
    const port = this.ports.get(clientId)
    if (port !== undefined) port.socket.write(this.defectFrame(new Error(problem)))
  }

  private send(clientId: number, response: FromServerEncoded): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (response._tag === "Exit") this.options.onAnswer(clientId, response.requestId)
      const port = this.ports.get(clientId)
      return port === undefined ? Effect.void : Effect.orDie(port.socket.send(port.frames.encode(response)))
    })
  }

  /** One connection, from its beginning to its end. */
  private readonly serve: Effect.Effect<void> = Effect.flatMap(
    Effect.serviceOption(NodeSocket.NetSocket),
    (socket) => Option.isNone(socket) ? Effect.void : this.serveSocket(socket.value)
  )

  private serveSocket(net: Socket): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const { connections, tls } = this.options
      const guarded = net.destroyed ? undefined : connections.accept(net)
      if (guarded === undefined) return resume(Effect.void)
      net.once("close", () => {
        connections.forget(guarded)
        resume(Effect.void)
      })
      let open: FrameSocket | undefined
      if (tls === undefined) open = this.open(net, guarded, plain)
      else {
        tls.take(net, (handshake) => {
          if (handshake._tag === "Accepted") open = this.open(handshake.socket, guarded, handshake.remote)
          else this.refuse(guarded, handshake)
        })
      }
      return Effect.sync(() => open === undefined ? net.destroy() : open.end())
    })
  }

  /** Takes frames on from a connection whose other end is known. */
  private open(net: Socket, guarded: Guarded, remote: Remote): FrameSocket {
    const { connections, idleTimeoutMs, serialization, tags } = this.options
    const id = this.count++
    const socket = new FrameSocket(net, (frame) => this.handle(id, port, frame))
    const port: Port = { guarded, frames: new Frames(serialization, tags), socket }
    this.ports.set(id, port)
    this.clientIds.add(id)
    this.options.onConnect(id, guarded, remote)
    socket.onWaits = (is) => connections.waits(guarded, is)
    let ended = false
    const end = () => {
      if (ended) return
      ended = true
      this.ports.delete(id)
      this.clientIds.delete(id)
      Queue.offerUnsafe(this.disconnects, id)
    }
    net.once("end", end)
    net.once("close", end)
    let isFirst = true
    net.on("data", (chunk: Buffer) => {
      if (isFirst && beginsTls(chunk) === true) {
        return connections.closeFor(guarded, "malformed-frame", `closed a connection: ${tlsOnPlain}`)
      }
      isFirst = false
      if (!ended && connections.took(guarded, chunk)) socket.receive(guarded.reader.frames())
    })
    if (idleTimeoutMs !== undefined) net.setTimeout(idleTimeoutMs, () => net.destroy())
    net.resume()
    return socket
  }

  /** Tells the other side why it is refused, where that is possible, and reads nothing of what it says. */
  private refuse(guarded: Guarded, handshake: Exclude<Handshake, { readonly _tag: "Accepted" }>): void {
    const { connections, onRefused } = this.options
    const { problem } = handshake.refusal
    onRefused(handshake.refusal)
    if (handshake._tag === "Failed") {
      return connections.closeFor(guarded, "refused-tls", `refused a connection: ${problem}`)
    }
    connections.refuse(guarded, "refused-tls", `refused a connection: ${problem}`)
    const { socket } = handshake
    socket.end(this.refusalFrame(handshake.refusal))
    // A connection that is closed with unread bytes is reset, and the reason may be lost with it.
    let dropped = 0
    socket.on("data", (chunk: Buffer) => {
      dropped += chunk.byteLength
      if (dropped > maxDroppedBytes) guarded.destroy()
    })
    socket.resume()
  }

  private refusalFrame(refusal: TlsRefusal): Uint8Array {
    const known = this.refusals.get(refusal)
    if (known !== undefined) return known
    const frame = this.defectFrame(refusalDefect(refusal))
    this.refusals.set(refusal, frame)
    return frame
  }

  private defectFrame(defect: Error): Uint8Array {
    const { serialization, tags } = this.options
    const encode = Schema.encodeSync(serialization.codecFor(Schema.Defect()))
    return new Frames(serialization, tags).encode({ _tag: "Defect", defect: encode(defect) })
  }

  private handle(id: number, port: Port, frame: Uint8Array): Fiber.Fiber<void> | undefined {
    // What came before the end of a connection, and was not looked at until then.
    if (!this.ports.has(id)) return undefined
    const { connections, knows, take } = this.options
    let message: FromClientEncoded
    try {
      message = port.frames.decode(frame) as FromClientEncoded
    } catch (error) {
      connections.closeFor(port.guarded, "malformed-frame", `closed a connection: its bytes are no call: ${error}`)
      return undefined
    }
    if (message._tag === "Request") {
      if (!knows(message.tag)) {
        // It is answered: a client of a later version may ask for what it can do without.
        connections.violations.report("unknown-call", port.guarded.remote, `no call has the name ${message.tag}`)
      }
      if (take(id, message as RequestEncoded)) return undefined
    }
    return this.runFork(this.receive(id, message))
  }
}
