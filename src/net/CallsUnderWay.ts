/**
 * The calls of a port that are not answered yet, and the bytes that they came with. Beyond the limits a call is refused
 * before it is decoded. One connection may have a quarter of either.
 */
import { Overloaded } from "../FlareDbError.ts"

export interface CallLimits {
  /** Calls of all connections. */
  readonly maxPendingCalls: number
  /** Bytes of their arguments. */
  readonly maxPendingCallBytes: number
}

/** The share of a limit that one connection may have. */
export const connectionShare = (limit: number): number => Math.max(1, Math.ceil(limit / 4))

/** What one connection has under way. */
interface Own {
  readonly bytesById: Map<string | number, number>
  bytes: number
}

export class CallsUnderWay {
  calls = 0
  bytes = 0
  private readonly limits: CallLimits
  private readonly connections = new Map<number, Own>()

  constructor(limits: CallLimits) {
    this.limits = limits
  }

  /** Whether the connection has a call of that name under way. */
  has(clientId: number, id: string | number): boolean {
    return this.connections.get(clientId)?.bytesById.has(id) === true
  }

  /** Counts a call in, unless it is one too many. One call may always be under way, however large it is. */
  begin(clientId: number, id: string | number, bytes: number): Overloaded | undefined {
    const { maxPendingCallBytes, maxPendingCalls } = this.limits
    let own = this.connections.get(clientId)
    if (own === undefined) this.connections.set(clientId, own = { bytesById: new Map(), bytes: 0 })
    const refuse = (limit: string, current: number, maximum: number) => new Overloaded({ limit, current, maximum })
    if (this.calls >= maxPendingCalls) return refuse("maxPendingCalls", this.calls, maxPendingCalls)
    const share = connectionShare(maxPendingCalls)
    if (own.bytesById.size >= share) return refuse("maxPendingCalls of one connection", own.bytesById.size, share)
    if (this.bytes > 0 && this.bytes + bytes > maxPendingCallBytes) {
      return refuse("maxPendingCallBytes", this.bytes, maxPendingCallBytes)
    }
    const byteShare = connectionShare(maxPendingCallBytes)
    if (own.bytes > 0 && own.bytes + bytes > byteShare) {
      return refuse("maxPendingCallBytes of one connection", own.bytes, byteShare)
    }
    own.bytesById.set(id, bytes)
    own.bytes += bytes
    this.calls += 1
    this.bytes += bytes
    return undefined
  }

  /** The call is answered. */
  end(clientId: number, id: string | number): void {
    const own = this.connections.get(clientId)
    const bytes = own?.bytesById.get(id)
    if (own === undefined || bytes === undefined) return
    own.bytesById.delete(id)
    own.bytes -= bytes
    this.calls -= 1
    this.bytes -= bytes
  }

  /** The connection has ended, and its calls with it. */
  forget(clientId: number): void {
    const own = this.connections.get(clientId)
    if (own === undefined) return
    this.connections.delete(clientId)
    this.calls -= own.bytesById.size
    this.bytes -= own.bytes
  }
}
