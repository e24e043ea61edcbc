/**
 * Which node to ask next: the leader as far as the client knows it, another one when that fails, with pauses once all
 * have failed.
 */
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"

/** The first pause after every node has failed, in milliseconds; it doubles from round to round. */
const firstPauseMs = 10
const longestPauseMs = 200

export class Router {
  private readonly endpoints: ReadonlyArray<Endpoint>
  private current: Endpoint
  private next = 1
  /** Failures since the last success. */
  private failures = 0
  /** Why each node failed last. */
  private readonly troubles = new Map<string, string>()

  constructor(endpoints: ReadonlyArray<Endpoint>) {
    const [first] = endpoints
    if (first === undefined) throw new RangeError("a client needs at least one endpoint")
    this.endpoints = endpoints
    this.current = first
  }

  /** The node to ask. */
  get target(): Endpoint {
    return this.current
  }

  /** The node answered as it should. */
  succeeded(): void {
    this.failures = 0
  }

  /** The node failed; the next in turn is tried. Does nothing when another operation has moved on already. */
  failed(endpoint: Endpoint, reason: string): void {
    this.troubles.set(formatEndpoint(endpoint), reason)
    if (endpoint !== this.current) return
    this.failures += 1
    this.current = this.endpoints[this.next % this.endpoints.length] as Endpoint
    this.next += 1
  }

  /** The node says that it does not lead, and perhaps who does. */
  redirected(endpoint: Endpoint, leader: Endpoint | undefined, reason: string): void {
    if (leader === undefined || leader.port === 0 || endpoint !== this.current) return this.failed(endpoint, reason)
    const name = formatEndpoint(leader)
    if (name === formatEndpoint(endpoint)) return this.failed(endpoint, reason)
    this.troubles.set(formatEndpoint(endpoint), reason)
    this.failures += 1
    this.current = this.endpoints.find((known) => formatEndpoint(known) === name) ?? leader
  }

  /** How long to wait before the next attempt, in milliseconds: nothing until every node was tried. */
  get pauseMs(): number {
    const rounds = Math.floor(this.failures / (this.endpoints.length + 1))
    return rounds === 0 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(rounds - 1, 10))
  }

  /** What went wrong where, for an error message. */
  describe(): string {
    const names = this.endpoints.map(formatEndpoint)
    const troubles = names.flatMap((name) => {
      const reason = this.troubles.get(name)
      return reason === undefined ? [] : [reason.startsWith(name) ? reason : `${name}: ${reason}`]
    })
    return troubles.length === 0 ? `no answer from ${names.join(", ")}` : troubles.join("; ")
  }
}
