/**
 * The calls that carry nearly all the traffic of a port, past the RPC server. Group, schemas, serialization and what is
 * on the wire stay the same, and the other side cannot tell; but a handler may answer whenever it is ready, without a
 * fiber. The RPC server would take a fiber, a scope, a context and a chain of effects for each call.
 *
 * What is given up: such a call opens no scope, has no middleware and no span, and answers once, not with a stream. Its
 * client cannot interrupt it but by ending the connection.
 */
import { Cause, Effect, Exit, Fiber } from "effect"
import type { Rpc, RpcGroup, RpcSerialization } from "effect/rpc"
import type { RequestEncoded } from "effect/rpc/RpcMessage"
import type { CallCodecs, CallShapes } from "./CallCodecs.ts"
import { callCodecs } from "./CallCodecs.ts"
import type { Answer } from "./CallGate.ts"
import type { CallMetrics } from "./CallMetrics.ts"

/** One call, for its handler. */
export class DirectCall<Value = unknown, Failure = unknown> {
  readonly clientId: number
  /** Set by a handler that has to know when its answer was taken by the socket, or cannot be any more. */
  onTaken: (() => void) | undefined
  /** Set by a handler that has to know that its connection has ended. */
  onAbandoned: (() => void) | undefined
  private answer: ((exit: Exit.Exit<Value, Failure>) => void) | undefined

  constructor(clientId: number, answer: (exit: Exit.Exit<Value, Failure>) => void) {
    this.clientId = clientId
    this.answer = answer
  }

  /** Whether no client waits for the answer: it was given, or the connection has ended. */
  get isOver(): boolean {
    return this.answer === undefined
  }

  /** Answers the call, unless it is over. */
  respond(exit: Exit.Exit<Value, Failure>): void {
    const { answer } = this
    this.answer = undefined
    answer?.(exit)
  }

  /**
   * {@link respond} with what `exit` makes, or with its bug: the code that brings the answer has nothing to do with
   * that.
   */
  respondWith(exit: () => Exit.Exit<Value, Failure>): void {
    if (this.answer === undefined) return
    let made: Exit.Exit<Value, Failure>
    try {
      made = exit()
    } catch (error) {
      made = Exit.die(error)
    }
    this.respond(made)
  }

  /** The connection has ended. */
  abandon(): void {
    if (this.answer === undefined) return
    this.answer = undefined
    this.onAbandoned?.()
    this.onTaken?.()
  }
}

/**
 * Carries a call out: returns what answers it, or `undefined` once it has taken on to call `respond`.
 */
export type DirectHandler<Payload, Value, Failure> = (
  payload: Payload,
  clientId: number,
  call: DirectCall<Value, Failure>
) => Effect.Effect<Value, Failure> | undefined

/** Handlers by the names of their calls. `clientId` is that of the connection, as other handlers know it. */
export type DirectHandlers<Rpcs extends Rpc.Any> = {
  readonly [Tag in Rpcs["_tag"]]?: DirectHandler<
    Rpc.Payload<Rpc.ExtractTag<Rpcs, Tag>>,
    Rpc.Success<Rpc.ExtractTag<Rpcs, Tag>>,
    Rpc.Error<Rpc.ExtractTag<Rpcs, Tag>>
  >
}

export interface DirectCallsOptions<Rpcs extends Rpc.Any> {
  readonly codecFor: RpcSerialization.RpcSerialization["Service"]["codecFor"]
  readonly handlers: DirectHandlers<Rpcs>
  readonly shapes: CallShapes
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly answer: Answer
  readonly metrics: CallMetrics
  /** Told of a payload that is none of its call. It is answered as well, unless no client waits for an answer. */
  readonly onMalformed: (clientId: number, tag: string, problem: string) => void
}

interface Route extends CallCodecs {
  readonly handler: DirectHandler<unknown, unknown, unknown>
}

export class DirectCalls<Rpcs extends Rpc.Any> {
  private readonly options: DirectCallsOptions<Rpcs>
  private readonly routes = new Map<string, Route>()
  /** The calls of each connection, with the fibers of those that have one. */
  private readonly underWay = new Map<number, Map<DirectCall, Fiber.Fiber<unknown, unknown> | undefined>>()

  constructor(group: RpcGroup.RpcGroup<Rpcs>, options: DirectCallsOptions<Rpcs>) {
    this.options = options
    const { codecFor, handlers, shapes } = options
    for (const [tag, handler] of Object.entries(handlers)) {
      const rpc = group.requests.get(tag)
      if (rpc === undefined) throw new Error(`there is no call ${tag}`)
      this.routes.set(tag, { handler: handler as Route["handler"], ...callCodecs(rpc, codecFor, shapes) })
    }
  }

  /** Carries a call out, unless the RPC server is to: `false` then. */
  take(clientId: number, request: RequestEncoded): boolean {
    const route = this.routes.get(request.tag)
    if (route === undefined) return false
    const { metrics } = this.options
    const sinceMs = metrics.nowMs()
    let payload: unknown
    try {
      payload = route.payload.decode(request.payload)
    } catch (error) {
      const problem = `the payload of ${request.tag} is malformed: ${error}`
      this.options.onMalformed(clientId, request.tag, problem)
      metrics.answered(request.tag, sinceMs, "Malformed")
      this.answer(clientId, request, route, Exit.die(problem), undefined)
      return true
    }
    const call: DirectCall = new DirectCall(clientId, (exit) => {
      this.end(call)
      metrics.ended(request.tag, sinceMs, exit)
      this.answer(clientId, request, route, exit, call.onTaken)
    })
    let result: Effect.Effect<unknown, unknown> | undefined
    try {
      result = route.handler(payload, clientId, call)
    } catch (error) {
      result = Exit.die(error)
    }
    if (result === undefined) {
      if (!call.isOver) this.begin(call, undefined)
    } else if (Exit.isExit(result)) call.respond(result)
    else this.run(call, result)
    return true
  }

  /** The connection has ended, and its calls with it. */
  forget(clientId: number): void {
    const calls = this.underWay.get(clientId)
    if (calls === undefined) return
    this.underWay.delete(clientId)
    for (const [call, fiber] of calls) {
      // What it holds is free once it has ended.
      if (fiber === undefined) call.abandon()
      else fiber.interruptUnsafe()
    }
  }

  /** Ends what is under way. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
    for (const [clientId, calls] of this.underWay) {
      for (const fiber of calls.values()) if (fiber !== undefined) fibers.push(fiber)
      this.forget(clientId)
    }
    return Fiber.interruptAll(fibers)
  })

  private run(call: DirectCall, result: Effect.Effect<unknown, unknown>): void {
    const fiber = this.options.runFork(result)
    const done = fiber.pollUnsafe()
    if (done !== undefined) return call.respond(done)
    this.begin(call, fiber)
    fiber.addObserver((exit) => call.respond(exit))
  }

  private begin(call: DirectCall, fiber: Fiber.Fiber<unknown, unknown> | undefined): void {
    let own = this.underWay.get(call.clientId)
    if (own === undefined) this.underWay.set(call.clientId, own = new Map())
    own.set(call, fiber)
  }

  private end(call: DirectCall): void {
    const own = this.underWay.get(call.clientId)
    if (own?.delete(call) === true && own.size === 0) this.underWay.delete(call.clientId)
  }

  private answer(
    clientId: number,
    { id, isNotification }: RequestEncoded,
    route: Route,
    exit: Exit.Exit<unknown, unknown>,
    onTaken: (() => void) | undefined
  ): void {
    if (isNotification === true) {
      onTaken?.()
      return
    }
    let encoded: unknown
    try {
      encoded = route.exit.encode(exit)
    } catch (error) {
      encoded = route.exit.encode(Exit.die(`the answer cannot be encoded: ${Cause.squash(Cause.die(error))}`))
    }
    this.options.answer(clientId, id, encoded, onTaken)
  }
}
