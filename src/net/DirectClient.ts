/**
 * The other end of `DirectCalls.ts`: calls without a fiber, and messages without an answer. It shares the connection,
 * the group and the wire with the RPC client beside it, which makes all other calls.
 */
import { Effect, Exit } from "effect"
import type { Scope } from "effect"
import type { RpcGroup } from "effect/rpc"
import type { Rpc } from "effect/rpc"
import { RpcMessage } from "effect/rpc"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { FromServerEncoded } from "effect/rpc/RpcMessage"
import type { ClientConnection } from "./ClientProtocol.ts"
import type { CallCodecs, CallShapes } from "./CallCodecs.ts"
import { callCodecs } from "./CallCodecs.ts"
import { notificationId } from "./Frames.ts"
import type { ShapedCodec } from "./ShapedCodec.ts"

/** How a direct call ends. */
export type CallExit<Rpcs extends Rpc.Any, Tag extends Rpcs["_tag"]> = Exit.Exit<
  Rpc.Success<Rpc.ExtractTag<Rpcs, Tag>>,
  Rpc.Error<Rpc.ExtractTag<Rpcs, Tag>> | RpcClientError
>

type AnyExit = Exit.Exit<never, never>

/** A call that is under way. */
interface Pending {
  readonly exits: ShapedCodec
  readonly done: (exit: AnyExit) => void
}

export class DirectClient<Rpcs extends Rpc.Any> {
  private readonly group: RpcGroup.RpcGroup<Rpcs>
  private readonly connection: ClientConnection
  private readonly shapes: CallShapes
  private readonly pending = new Map<string | number, Pending>()
  /** Counts down, where the RPC client on the same connection counts up. */
  private lastId = 0

  private constructor(group: RpcGroup.RpcGroup<Rpcs>, connection: ClientConnection, shapes: CallShapes) {
    this.group = group
    this.connection = connection
    this.shapes = shapes
    connection.receive((message) => this.receive(message))
  }

  /** A direct client on a connection, for as long as the scope lives. */
  static readonly make = <Rpcs extends Rpc.Any>(
    group: RpcGroup.RpcGroup<Rpcs>,
    connection: ClientConnection,
    shapes: CallShapes
  ): Effect.Effect<DirectClient<Rpcs>, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => new DirectClient(group, connection, shapes)),
      (client) => Effect.sync(() => client.endAll(Exit.interrupt()))
    )

  /**
   * Makes calls of `tag`. `done` is called once, at once or later. What is returned has the call's answer not listened
   * to any more; it does not stop the call.
   *
   * @throws when the payload is none of the call.
   */
  callUnsafe<Tag extends Rpcs["_tag"]>(
    tag: Tag
  ): (
    payload: Rpc.PayloadConstructor<Rpc.ExtractTag<Rpcs, Tag>>,
    done: (exit: CallExit<Rpcs, Tag>) => void
  ) => () => void {
    const { exit: exits, payload: payloads } = this.codecsOf(tag)
    return (payload, done) => {
      const { error } = this.connection
      if (error !== undefined) {
        done(Exit.fail(error))
        return () => undefined
      }
      const id = --this.lastId
      const request = {
        _tag: "Request",
        id: RpcMessage.RequestId(id),
        tag,
        payload: payloads.encode(payload),
        headers: []
      } as const
      this.pending.set(id, { exits, done: done as Pending["done"] })
      this.connection.sendUnsafe(request)
      return () => void this.pending.delete(id)
    }
  }

  /** {@link callUnsafe} as an effect. */
  call<Tag extends Rpcs["_tag"]>(
    tag: Tag
  ): (
    payload: Rpc.PayloadConstructor<Rpc.ExtractTag<Rpcs, Tag>>
  ) => Effect.Effect<
    Rpc.Success<Rpc.ExtractTag<Rpcs, Tag>>,
    Rpc.Error<Rpc.ExtractTag<Rpcs, Tag>> | RpcClientError
  > {
    const make = this.callUnsafe(tag)
    return (payload) =>
      Effect.callback((resume) => {
        const forget = make(payload, resume)
        return Effect.sync(forget)
      })
  }

  /**
   * Has the other side carry out calls of `tag` without an answer, neither to success nor to failure. A notification
   * answers whether more may be sent; where it may not, `onTaken` is called once the other side has read on, or the
   * connection has ended. Without an answer, a message costs half the packets, half the waking of processes, and
   * neither a fiber nor a timer at the sender.
   */
  notifyUnsafe<Tag extends Rpcs["_tag"]>(
    tag: Tag
  ): (payload: Rpc.PayloadConstructor<Rpc.ExtractTag<Rpcs, Tag>>, onTaken: () => void) => boolean {
    const { payload: payloads } = this.codecsOf(tag)
    return (payload, onTaken) => {
      const request = {
        _tag: "Request",
        id: RpcMessage.RequestId(notificationId),
        tag,
        payload: payloads.encode(payload),
        headers: [],
        isNotification: true
      } as const
      return this.connection.offerUnsafe(request, onTaken)
    }
  }

  private codecsOf(tag: string): CallCodecs {
    const rpc = this.group.requests.get(tag)
    if (rpc === undefined) throw new Error(`there is no call ${tag}`)
    this.connection.expect(tag)
    return callCodecs(rpc, this.connection.serialization.codecFor, this.shapes)
  }

  private receive(message: FromServerEncoded): boolean {
    switch (message._tag) {
      case "Exit": {
        const call = this.pending.get(message.requestId)
        if (call === undefined) return false
        this.pending.delete(message.requestId)
        call.done(decode(call.exits, message.exit))
        return true
      }
      case "Defect":
        this.endAll(Exit.die(message.defect))
        return false
      case "ClientProtocolError":
        this.endAll(Exit.fail(message.error) as AnyExit)
        return false
      default:
        return false
    }
  }

  private endAll(exit: AnyExit): void {
    // A caller that gets the answer may make a new call at once.
    const calls = [...this.pending.values()]
    this.pending.clear()
    for (const { done } of calls) done(exit)
  }
}

const decode = (exits: ShapedCodec, encoded: unknown): AnyExit => {
  try {
    return exits.decode(encoded) as AnyExit
  } catch (error) {
    return Exit.die(error)
  }
}
