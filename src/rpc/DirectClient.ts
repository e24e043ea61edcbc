/**
 * The other end of `DirectCalls.ts`: calls without a fiber, and messages that nobody answers. It shares the connection, the
 * group and the wire with the RPC client beside it, which makes all other calls.
 */
import { Effect, Exit, Schema } from "effect"
import type { Scope } from "effect"
import type { RpcGroup } from "effect/rpc"
import type { RpcClient } from "effect/rpc"
import { Rpc, RpcMessage } from "effect/rpc"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { FromServerEncoded } from "effect/rpc/RpcMessage"

export interface DirectClient<Rpcs extends Rpc.Any> {
  /**
   * Makes calls of `tag`. Whoever stops waiting does not stop the call: its answer is not listened to any more.
   *
   * @throws when the payload is none of the call.
   */
  readonly call: <Tag extends Rpcs["_tag"]>(
    tag: Tag
  ) => (
    payload: Rpc.PayloadConstructor<Rpc.ExtractTag<Rpcs, Tag>>
  ) => Effect.Effect<
    Rpc.Success<Rpc.ExtractTag<Rpcs, Tag>>,
    Rpc.Error<Rpc.ExtractTag<Rpcs, Tag>> | RpcClientError
  >
  /**
   * Has the other side carry out a call of `tag` without an answer, neither to its success nor to its failure. Done when the
   * bytes are with the system; waits while the other side reads more slowly than this side writes. Without an answer, a
   * message costs half the packets, half the waking of processes, and neither a fiber nor a timer at the sender.
   */
  readonly notify: (tag: Rpcs["_tag"]) => (payload: unknown) => Effect.Effect<void, RpcClientError>
}

/** Not the number of any RPC client: those count from 0. One connection has one direct client. */
const clientId = -1

/** All notifications share it, because no answer names it. */
const notificationId = RpcMessage.RequestId("notification")

type AnyExit = Exit.Exit<never, never>

/** A call that is under way: its answer may come before its caller waits for it. */
interface Pending {
  readonly decode: (exit: unknown) => AnyExit
  exit: AnyExit | undefined
  resume: ((exit: AnyExit) => void) | undefined
}

/** A direct client on a connection, for as long as the scope lives. */
export const make = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  protocol: RpcClient.Protocol["Service"]
): Effect.Effect<DirectClient<Rpcs>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { codecFor, run, send } = protocol
    const pending = new Map<string | number, Pending>()
    /** Counts down, where the RPC client on the same connection counts up. */
    let lastId = 0

    const settle = (id: string | number, exit: (call: Pending) => AnyExit): void => {
      const call = pending.get(id)
      if (call === undefined) return
      pending.delete(id)
      call.exit = exit(call)
      call.resume?.(call.exit)
    }
    const settleAll = (exit: AnyExit): void => {
      // Whoever is told may make a new call at once.
      const ids = Array.from(pending.keys())
      for (const id of ids) settle(id, () => exit)
    }
    const receive = (message: FromServerEncoded): void => {
      switch (message._tag) {
        case "Exit":
          return settle(message.requestId, ({ decode }) => decode(message.exit))
        case "Defect":
          return settleAll(Exit.die(message.defect))
        case "ClientProtocolError":
          return settleAll(Exit.fail(message.error) as AnyExit)
        default:
          return
      }
    }
    yield* Effect.forkScoped(run(clientId, (message) => Effect.sync(() => receive(message))), {
      startImmediately: true
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => settleAll(Exit.interrupt())))

    const payloadOf = (tag: string) => {
      const rpc = group.requests.get(tag)
      if (rpc === undefined) throw new Error(`there is no call ${tag}`)
      const { payloadSchema } = rpc as Rpc.Any as Rpc.AnyWithProps
      return { rpc, encode: Schema.encodeUnknownSync(codecFor(payloadSchema) as Schema.Codec<unknown, unknown>) }
    }

    return {
      call: (tag) => {
        const { encode, rpc } = payloadOf(tag)
        const exits = Schema.decodeUnknownSync(codecFor(Rpc.exitSchema(rpc)) as Schema.Codec<AnyExit, unknown>)
        const decode = (exit: unknown): AnyExit => {
          try {
            return exits(exit)
          } catch (error) {
            return Exit.die(error)
          }
        }
        return (payload) =>
          Effect.suspend(() => {
            const id = --lastId
            const call: Pending = { decode, exit: undefined, resume: undefined }
            const request = { _tag: "Request", id, tag, payload: encode(payload), headers: [] } as const
            pending.set(id, call)
            const forget = Effect.sync(() => void pending.delete(id))
            return Effect.flatMap(
              Effect.onError(send(clientId, request), () => forget),
              () =>
                Effect.callback<never>((resume) => {
                  if (call.exit !== undefined) return resume(call.exit)
                  call.resume = resume
                  return forget
                })
            )
          })
      },
      notify: (tag) => {
        const { encode } = payloadOf(tag)
        return (payload) =>
          Effect.suspend(() =>
            send(clientId, {
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
