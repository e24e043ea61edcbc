/**
 * The callers of requests that carry out operations. Each request has a number while it is answered, as a connection
 * has one at the client port, so that its operations are judged, counted and audited by the same rules.
 */
import type { KnownCaller } from "../callers/Authentication.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import type { CallersOptions } from "../server/Callers.ts"
import { Callers } from "../server/Callers.ts"
import { OperationGuard } from "../server/OperationGuard.ts"

export class RequestCallers {
  readonly callers: Callers
  readonly guard: OperationGuard
  private readonly violations: ProtocolViolations
  private last = 0

  constructor(options: CallersOptions) {
    this.callers = new Callers(options)
    this.guard = new OperationGuard(this.callers)
    this.violations = options.violations
  }

  /** The number of a request that begins. Each is given back with {@link leave}. */
  enter(known: KnownCaller, from: string): number {
    const request = ++this.last
    this.violations.remotes.set(request, from)
    this.callers.add(request, known)
    return request
  }

  leave(request: number): void {
    this.callers.forget(request)
    this.violations.remotes.delete(request)
  }
}
