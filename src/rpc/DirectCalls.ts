/**
 * The calls that carry nearly all the traffic of a port, past most of the RPC server. Group, schemas, serialization and what
 * is on the wire stay the same, and the other side cannot tell; but a call costs one fiber at most, and one that is answered
 * at once or not at all costs none. The RPC server would take a fiber, a scope, a context and a chain of effects for each.
 *
 * What is given up: such a call opens no scope, has no middleware and no span, and answers once, not with a stream. Its
 * client cannot interrupt it but by ending the connection.
 */
import { Cause, Effect, Exit, Fiber, Schema } from "effect"
import type { Scope } from "effect"
import type { RpcGroup } from "effect/rpc"
import { Rpc, RpcServer } from "effect/rpc"
import type { RequestEncoded } from "effect/rpc/RpcMessage"

/** One call, for its handler. */
export interface DirectCall {
  readonly clientId: number
  /** Set by a handler that has to know when its answer was taken by the socket, or cannot be any more. */
  onTaken: (() => void) | undefined
}

/** Handlers by the names of their calls. `clientId` is that of the connection, as other handlers know it. */
export type DirectHandlers<Rpcs extends Rpc.Any> = {
  readonly [Tag in Rpcs["_tag"]]?: (
    payload: Rpc.Payload<Rpc.ExtractTag<Rpcs, Tag>>,
    clientId: number,
    call: DirectCall
  ) => Effect.Effect<Rpc.Success<Rpc.ExtractTag<Rpcs, Tag>>, Rpc.Error<Rpc.ExtractTag<Rpcs, Tag>>>
}

/** Told of a payload that is none of its call. It is answered as well, unless nobody waits for an answer. */
export type OnMalformed = (clientId: number, tag: string, problem: string) => void

type Protocol = RpcServer.Protocol["Service"]

type Call = (clientId: number, request: RequestEncoded) => Effect.Effect<void>

/**
 * A protocol that has these calls carried out before the RPC server sees them. What is under way ends with the scope,
 * and with its connection, of whose end `forget` is to be told.
 */
export const make = <Rpcs extends Rpc.Any>(
  protocol: Protocol,
  group: RpcGroup.RpcGroup<Rpcs>,
  handlers: DirectHandlers<Rpcs>,
  onMalformed: OnMalformed
): Effect.Effect<
  { readonly protocol: Protocol; readonly forget: (clientId: number) => void },
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const underWay = new Map<number, Set<Fiber.Fiber<unknown, unknown>>>()
    yield* Effect.addFinalizer(() =>
      Effect.forEach(underWay.values(), Fiber.interruptAll, { concurrency: "unbounded", discard: true })
    )
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const calls = new Map<string, Call>()
    for (const [tag, handler] of Object.entries(handlers)) {
      const rpc = group.requests.get(tag)
      if (rpc === undefined) throw new Error(`there is no call ${tag}`)
      calls.set(tag, carryOut(protocol, rpc, handler as Handler, { runFork, underWay, onMalformed }))
    }
    return {
      protocol: RpcServer.Protocol.of({
        ...protocol,
        run: (rest) =>
          protocol.run((clientId, message) => {
            const call = message._tag === "Request" ? calls.get(message.tag) : undefined
            return call === undefined ? rest(clientId, message) : call(clientId, message as RequestEncoded)
          })
      }),
      forget: (clientId) => {
        for (const fiber of underWay.get(clientId) ?? []) fiber.interruptUnsafe()
      }
    }
  })

type Handler = (payload: unknown, clientId: number, call: DirectCall) => Effect.Effect<unknown, unknown>

interface Surroundings {
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly underWay: Map<number, Set<Fiber.Fiber<unknown, unknown>>>
  readonly onMalformed: OnMalformed
}

const carryOut = (protocol: Protocol, rpc: Rpc.Any, handler: Handler, surroundings: Surroundings): Call => {
  const { onMalformed, runFork, underWay } = surroundings
  const { payloadSchema } = rpc as Rpc.AnyWithProps
  const decode = Schema.decodeUnknownExit(protocol.codecFor(payloadSchema) as Schema.Codec<unknown, unknown>)
  const encode = Schema.encodeUnknownSync(protocol.codecFor(Rpc.exitSchema(rpc)) as Schema.Codec<unknown, unknown>)

  const answer = (
    clientId: number,
    request: RequestEncoded,
    exit: Exit.Exit<unknown, unknown>,
    call: DirectCall | undefined
  ): Effect.Effect<void> => {
    if (request.isNotification === true) return Effect.void
    const sent = Effect.suspend(() =>
      protocol.send(clientId, { _tag: "Exit", requestId: request.id, exit: encode(exit) as never })
    )
    return call?.onTaken === undefined ? sent : Effect.ensuring(sent, Effect.sync(call.onTaken))
  }

  return (clientId, request) => {
    const payload = decode(request.payload)
    if (Exit.isFailure(payload)) {
      const problem = `the payload of ${request.tag} is malformed: ${Cause.squash(payload.cause)}`
      onMalformed(clientId, request.tag, problem)
      return answer(clientId, request, Exit.die(problem), undefined)
    }
    const call: DirectCall = { clientId, onTaken: undefined }
    const result = handler(payload.value, clientId, call)
    if (Exit.isExit(result)) return answer(clientId, request, result, call)
    const fiber = runFork(result)
    let own = underWay.get(clientId)
    if (own === undefined) underWay.set(clientId, own = new Set())
    const fibers = own
    fibers.add(fiber)
    fiber.addObserver((exit) => {
      fibers.delete(fiber)
      if (fibers.size === 0 && underWay.get(clientId) === fibers) underWay.delete(clientId)
      if (request.isNotification !== true) runFork(answer(clientId, request, exit, call))
    })
    return Effect.void
  }
}
