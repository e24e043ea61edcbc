/**
 * A protocol behind a {@link Gate}: calls that may not be made, or that are too many, are answered here and reach no
 * handler, direct or not.
 */
import { Effect, Exit, Schema } from "effect"
import { Rpc, RpcServer } from "effect/rpc"
import type { FromClientEncoded, RequestEncoded } from "effect/rpc/RpcMessage"
import { Overloaded } from "../FlareDbError.ts"
import type { CallsUnderWay } from "./CallsUnderWay.ts"
import type { Gate } from "./Gate.ts"
import { maxRefusals } from "./Gate.ts"
import type { OffenceKind } from "./Offences.ts"

type Protocol = RpcServer.Protocol["Service"]

export interface GatedOptions {
  readonly calls: CallsUnderWay
  /** Told of what a connection should not have done. */
  readonly report: (clientId: number, offence: OffenceKind, problem: string) => void
  /** Closes a connection that did it once too often. */
  readonly expel: (clientId: number, offence: OffenceKind, problem: string) => void
}

/** The protocol, and what is to be called when a connection ended. */
export const make = <Rpcs extends Rpc.Any>(
  protocol: Protocol,
  gate: Gate<Rpcs>,
  { calls, expel, report }: GatedOptions
): { readonly protocol: Protocol; readonly forget: (clientId: number) => void } => {
  const { hello, noHello, notifications, overloaded } = gate.options
  const silent = new Set<string>(notifications)
  const encoders = new Map<string, (error: unknown) => unknown>()
  /** The answers to calls before `Hello`. A call that could not fail so would end the server here, at its start. */
  const strangers = new Map<string, unknown>()
  for (const [tag, rpc] of gate.group.requests) {
    const encode = Schema.encodeUnknownSync(protocol.codecFor(Rpc.exitSchema(rpc)) as Schema.Codec<unknown, unknown>)
    const failure = (error: unknown) => encode(Exit.fail(error))
    encoders.set(tag, failure)
    failure(overloaded(new Overloaded({ limit: "", current: 0, maximum: 0 })))
    if (tag !== hello) strangers.set(tag, failure(noHello(tag)))
  }
  const refusals = new Map<number, number>()

  const answer = (clientId: number, request: RequestEncoded, exit: unknown): Effect.Effect<void> =>
    exit === undefined || request.isNotification === true
      ? Effect.void
      : protocol.send(clientId, { _tag: "Exit", requestId: request.id, exit: exit as never })

  /** A call that came before `Hello`. */
  const refuse = (clientId: number, request: RequestEncoded): Effect.Effect<void> => {
    const count = (refusals.get(clientId) ?? 0) + 1
    refusals.set(clientId, count)
    const problem = `${request.tag} came before a Hello that was accepted`
    if (count >= maxRefusals) {
      expel(clientId, "no-hello", `closed a connection: ${problem}, the last of ${count} such calls`)
      return Effect.void
    }
    report(clientId, "no-hello", problem)
    return answer(clientId, request, strangers.get(request.tag))
  }

  /** What is wrong with how a call was made, whoever makes it. */
  const misuse = (clientId: number, { discard, id, isNotification, tag }: RequestEncoded): string | undefined => {
    if (isNotification === true) return silent.has(tag) ? undefined : `${tag} was sent as a notification`
    if (discard === true) return `${tag} was sent without waiting for its answer`
    return calls.has(clientId, id) ? `the number ${String(id).slice(0, 40)} of a call was used twice` : undefined
  }

  const receive = (
    rest: (clientId: number, message: FromClientEncoded) => Effect.Effect<void>,
    clientId: number,
    request: RequestEncoded
  ): Effect.Effect<void> => {
    const { id, isNotification, payload, tag } = request
    if (tag !== hello && !gate.admits(clientId)) return refuse(clientId, request)
    const problem = misuse(clientId, request)
    if (problem !== undefined) {
      expel(clientId, "malformed-messages", `closed a connection: ${problem}`)
      return Effect.void
    }
    if (isNotification === true) return rest(clientId, request)
    const encode = encoders.get(tag)
    // The RPC server answers what it does not know at once.
    if (encode === undefined) return rest(clientId, request)
    const excess = calls.begin(clientId, id, payload instanceof Uint8Array ? payload.byteLength : 0)
    if (excess === undefined) return rest(clientId, request)
    report(clientId, "too-many-calls", `refused ${tag}: ${excess.message}`)
    return answer(clientId, request, encode(overloaded(excess)))
  }

  return {
    protocol: RpcServer.Protocol.of({
      ...protocol,
      run: (rest) =>
        protocol.run((clientId, message) =>
          message._tag === "Request" ? receive(rest, clientId, message as RequestEncoded) : rest(clientId, message)
        ),
      send: (clientId, message, transferables) => {
        if (message._tag === "Exit") calls.end(clientId, message.requestId)
        return protocol.send(clientId, message, transferables)
      }
    }),
    forget: (clientId) => {
      refusals.delete(clientId)
      calls.forget(clientId)
    }
  }
}
