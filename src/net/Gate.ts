/**
 * Who may call at a port. A connection begins with the port's `Hello`; before that was accepted, every other call is
 * refused, whatever it is and whichever handler carries it out. The gate stands in front of direct calls and of the RPC
 * server alike and knows calls by the group alone, so no call can be left out.
 *
 * A port that knows its callers by name has each of their calls looked at here as well ({@link GateOptions.authorize}).
 */
import type { Rpc, RpcGroup } from "effect/rpc"
import type { Overloaded } from "../FlareDbError.ts"

/** Refusals of one connection after which it is closed. */
export const maxRefusals = 3

/** Who may make which call. */
export interface Authorize<Tag extends string> {
  /** What a call is refused with, if it is refused. Asked for every call but `Hello`, and so cheap. */
  readonly refusal: (clientId: number, call: Tag) => unknown
  /** One of each kind of refusal. Each call of the group must be able to fail with them. */
  readonly examples: ReadonlyArray<unknown>
}

export interface GateOptions<Rpcs extends Rpc.Any> {
  /** The call that opens a connection. Its handler admits. */
  readonly hello: Rpcs["_tag"]
  /** The error of a call that came before it. Each call of the group must be able to fail with it. */
  readonly noHello: (call: string) => unknown
  /** The error of a call beyond the limits on calls under way. Each call of the group must be able to fail with it. */
  readonly overloaded: (error: Overloaded) => unknown
  /** Decides on each call of a connection that is admitted. Without it all of them may be made. */
  readonly authorize?: Authorize<Rpcs["_tag"]> | undefined
  /** Calls that may come without anybody waiting for an answer; their direct handlers are done when they return. */
  readonly notifications?: ReadonlyArray<Rpcs["_tag"]>
}

export class Gate<Rpcs extends Rpc.Any> {
  /** The calls that it stands before. */
  readonly group: RpcGroup.RpcGroup<Rpcs>
  readonly options: GateOptions<Rpcs>
  private readonly admitted = new Set<number>()
  private onAdmit: ((clientId: number) => void) | undefined

  constructor(group: RpcGroup.RpcGroup<Rpcs>, options: GateOptions<Rpcs>) {
    this.group = group
    this.options = options
  }

  /** Connections that are admitted. */
  get size(): number {
    return this.admitted.size
  }

  /** The connection said a `Hello` that was accepted. */
  admit(clientId: number): void {
    this.admitted.add(clientId)
    this.onAdmit?.(clientId)
  }

  /** The connection has to say `Hello` again, or has ended. */
  dismiss(clientId: number): void {
    this.admitted.delete(clientId)
  }

  admits(clientId: number): boolean {
    return this.admitted.has(clientId)
  }

  /** Has the server told of each admission. */
  watch(onAdmit: (clientId: number) => void): void {
    this.onAdmit = onAdmit
  }
}
