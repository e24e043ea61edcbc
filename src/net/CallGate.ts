/**
 * Every call that comes in at a port: calls that may not be made ({@link Gate}), or that are too many, are answered
 * here and reach no handler, direct or not.
 */
import { Cause, Exit, Schema } from "effect"
import type { RpcSerialization } from "effect/rpc"
import { Rpc } from "effect/rpc"
import type { RequestEncoded } from "effect/rpc/RpcMessage"
import { Overloaded } from "../FlareDbError.ts"
import type { CallMetrics } from "./CallMetrics.ts"
import { errorName } from "./CallMetrics.ts"
import type { CallsUnderWay } from "./CallsUnderWay.ts"
import type { Gate } from "./Gate.ts"
import { maxRefusals } from "./Gate.ts"
import type { ViolationKind } from "./ProtocolViolations.ts"

/** Answers a call with an encoded exit. */
export type Answer = (
  clientId: number,
  requestId: RequestEncoded["id"],
  exit: unknown,
  onTaken?: (() => void) | undefined
) => void

export interface CallGateOptions {
  readonly codecFor: RpcSerialization.RpcSerialization["Service"]["codecFor"]
  readonly calls: CallsUnderWay
  /** Counts the calls that are refused here. */
  readonly metrics: CallMetrics
  readonly answer: Answer
  /** Told of what a connection should not have done. */
  readonly report: (clientId: number, violation: ViolationKind, problem: string) => void
  /** Ends all calls of a connection that asks for what this port does not know. */
  readonly dismiss: (clientId: number) => void
  /** Closes a connection that did it once too often. */
  readonly closeFor: (clientId: number, violation: ViolationKind, problem: string) => void
}

export class CallGate<Rpcs extends Rpc.Any> {
  private readonly gate: Gate<Rpcs>
  private readonly options: CallGateOptions
  private readonly notifications: ReadonlySet<string>
  private readonly failures = new Map<string, (error: unknown) => unknown>()
  /** The answers to calls before `Hello`. */
  private readonly strangers = new Map<string, unknown>()
  private readonly refusals = new Map<number, number>()

  constructor(gate: Gate<Rpcs>, options: CallGateOptions) {
    this.gate = gate
    this.options = options
    const { authorize, hello, noHello, notifications, overloaded } = gate.options
    this.notifications = new Set<string>(notifications)
    for (const [tag, rpc] of gate.group.requests) {
      const codec = options.codecFor(Rpc.exitSchema(rpc)) as Schema.Codec<unknown, unknown>
      const encode = Schema.encodeUnknownSync(codec)
      const failure = (error: unknown) => encode(Exit.fail(error))
      this.failures.set(tag, failure)
      // A call that could not fail so would end the server here, at its start.
      failure(overloaded(new Overloaded({ limit: "", current: 0, maximum: 0 })))
      if (tag === hello) continue
      this.strangers.set(tag, failure(noHello(tag)))
      for (const example of authorize?.examples ?? []) failure(example)
    }
  }

  /** Whether a call may be carried out. It is answered otherwise. */
  admits(clientId: number, request: RequestEncoded): boolean {
    const { answer, calls, closeFor, metrics, report } = this.options
    const { id, isNotification, payload, tag } = request
    const { authorize, hello, overloaded } = this.gate.options
    if (tag !== hello && !this.gate.admits(clientId)) {
      this.refuse(clientId, request)
      return false
    }
    const problem = this.misuse(clientId, request)
    if (problem !== undefined) {
      closeFor(clientId, "malformed-messages", `closed a connection: ${problem}`)
      return false
    }
    const failure = this.failures.get(tag)
    if (authorize !== undefined && failure !== undefined && tag !== hello) {
      const refusal = authorize.refusal(clientId, tag)
      if (refusal !== undefined) {
        metrics.answered(tag, metrics.nowMs(), errorName(Cause.fail(refusal)))
        if (isNotification !== true) answer(clientId, id, failure(refusal))
        return false
      }
    }
    if (isNotification === true) return true
    // The RPC server answers what it does not know at once.
    if (failure === undefined) return true
    const excess = calls.begin(clientId, id, payload instanceof Uint8Array ? payload.byteLength : 0)
    if (excess === undefined) return true
    metrics.answered(tag, metrics.nowMs(), excess._tag)
    report(clientId, "too-many-calls", `refused ${tag}: ${excess.message}`)
    answer(clientId, id, failure(overloaded(excess)))
    return false
  }

  /** The connection has ended. */
  forget(clientId: number): void {
    this.refusals.delete(clientId)
    this.options.calls.forget(clientId)
  }

  /** A call that came before `Hello`. */
  private refuse(clientId: number, { id, isNotification, tag }: RequestEncoded): void {
    const { answer, closeFor, dismiss, metrics, report } = this.options
    if (this.failures.has(tag)) metrics.answered(tag, metrics.nowMs(), "NoHello")
    const count = (this.refusals.get(clientId) ?? 0) + 1
    this.refusals.set(clientId, count)
    const problem = `${tag} came before a Hello that was accepted`
    if (count >= maxRefusals) {
      closeFor(clientId, "no-hello", `closed a connection: ${problem}, the last of ${count} such calls`)
      return
    }
    report(clientId, "no-hello", problem)
    const exit = this.strangers.get(tag)
    // Who does not know it either is at the wrong port, and would wait for its answer.
    if (exit === undefined) dismiss(clientId)
    else if (isNotification !== true) answer(clientId, id, exit)
  }

  /** What is wrong with how a call was made, by any client. */
  private misuse(clientId: number, { discard, id, isNotification, tag }: RequestEncoded): string | undefined {
    if (isNotification === true) {
      return this.notifications.has(tag) ? undefined : `${tag} was sent as a notification`
    }
    if (discard === true) return `${tag} was sent without waiting for its answer`
    return this.options.calls.has(clientId, id)
      ? `the number ${String(id).slice(0, 40)} of a call was used twice`
      : undefined
  }
}
