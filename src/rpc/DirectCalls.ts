/**
 * The calls that carry nearly all the traffic of a port, past most of the RPC server. Group, schemas, serialization and what
 * is on the wire stay the same, and the other side cannot tell; but a call costs one fiber at most, and one that is answered
 * at once or not at all costs none. The RPC server would take a fiber, a scope, a context and a chain of effects for each.
 *
 * What is given up: such a call cannot be interrupted by its client, opens no scope, has no middleware and no span, and
 * answers once, not with a stream.
 */
import { Cause, Effect, Exit, Fiber, Schema } from "effect"
import type { Scope } from "effect"
import type { RpcGroup } from "effect/rpc"
import { Rpc, RpcServer } from "effect/rpc"
import type { RequestEncoded } from "effect/rpc/RpcMessage"

/** Handlers by the names of their calls. `clientId` is that of the connection, as other handlers know it. */
export type DirectHandlers<Rpcs extends Rpc.Any> = {
  readonly [Tag in Rpcs["_tag"]]?: (
    payload: Rpc.Payload<Rpc.ExtractTag<Rpcs, Tag>>,
    clientId: number
  ) => Effect.Effect<Rpc.Success<Rpc.ExtractTag<Rpcs, Tag>>, Rpc.Error<Rpc.ExtractTag<Rpcs, Tag>>>
}

/** Told of a payload that is none of its call. It is answered as well, unless nobody waits for an answer. */
export type OnMalformed = (clientId: number, tag: string, problem: string) => void

type Protocol = RpcServer.Protocol["Service"]

type Call = (clientId: number, request: RequestEncoded) => Effect.Effect<void>

/** A protocol that has these calls carried out before the RPC server sees them. What is under way ends with the scope. */
export const make = <Rpcs extends Rpc.Any>(
  protocol: Protocol,
  group: RpcGroup.RpcGroup<Rpcs>,
  handlers: DirectHandlers<Rpcs>,
  onMalformed: OnMalformed
): Effect.Effect<Protocol, never, Scope.Scope> =>
  Effect.gen(function*() {
    const underWay = new Set<Fiber.Fiber<unknown, unknown>>()
    yield* Effect.addFinalizer(() => Fiber.interruptAll(underWay))
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const calls = new Map<string, Call>()
    for (const [tag, handler] of Object.entries(handlers)) {
      const rpc = group.requests.get(tag)
      if (rpc === undefined) throw new Error(`there is no call ${tag}`)
      calls.set(tag, carryOut(protocol, rpc, handler as Handler, { runFork, underWay, onMalformed }))
    }
    return RpcServer.Protocol.of({
      ...protocol,
      run: (rest) =>
        protocol.run((clientId, message) => {
          const call = message._tag === "Request" ? calls.get(message.tag) : undefined
          return call === undefined ? rest(clientId, message) : call(clientId, message as RequestEncoded)
        })
    })
  })

type Handler = (payload: unknown, clientId: number) => Effect.Effect<unknown, unknown>

interface Surroundings {
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly underWay: Set<Fiber.Fiber<unknown, unknown>>
  readonly onMalformed: OnMalformed
}

const carryOut = (protocol: Protocol, rpc: Rpc.Any, handler: Handler, surroundings: Surroundings): Call => {
  const { onMalformed, runFork, underWay } = surroundings
  const { payloadSchema } = rpc as Rpc.AnyWithProps
  const decode = Schema.decodeUnknownExit(protocol.codecFor(payloadSchema) as Schema.Codec<unknown, unknown>)
  const encode = Schema.encodeUnknownSync(protocol.codecFor(Rpc.exitSchema(rpc)) as Schema.Codec<unknown, unknown>)

  const answer = (clientId: number, request: RequestEncoded, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
    request.isNotification === true
      ? Effect.void
      : protocol.send(clientId, { _tag: "Exit", requestId: request.id, exit: encode(exit) as never })

  return (clientId, request) => {
    const payload = decode(request.payload)
    if (Exit.isFailure(payload)) {
      const problem = `the payload of ${request.tag} is malformed: ${Cause.squash(payload.cause)}`
      onMalformed(clientId, request.tag, problem)
      return answer(clientId, request, Exit.die(problem))
    }
    const result = handler(payload.value, clientId)
    if (Exit.isExit(result)) return answer(clientId, request, result)
    const fiber = runFork(result)
    underWay.add(fiber)
    fiber.addObserver((exit) => {
      underWay.delete(fiber)
      if (request.isNotification !== true) runFork(answer(clientId, request, exit))
    })
    return Effect.void
  }
}
