/**
 * Which node to ask next: the leader as far as the client knows it, another one when that fails, with pauses once all
 * have failed.
 */
import { WrongCluster } from "../../FlareDbError.ts"
import { ConnectionLost } from "../connection/Connection.ts"
import type { Endpoint } from "../connection/Endpoint.ts"
import { formatEndpoint } from "../connection/Endpoint.ts"
import { describeEndpointErrors } from "../connection/EndpointErrors.ts"

/** The first pause after every node has failed, in milliseconds; it doubles from round to round. */
const firstPauseMs = 10
const longestPauseMs = 200

/**
 * What an attempt says of a node: no answer, no connection to be had, an answer of the client's cluster, or one of
 * another cluster.
 */
export type EndpointState = "silent" | "refused" | "answered" | WrongCluster

/** What a failed attempt to connect says of the node. */
export const endpointStateOf = (error: unknown): EndpointState => {
  if (error instanceof WrongCluster) return error
  return error instanceof ConnectionLost && error.refused === true ? "refused" : "silent"
}

export class Router {
  private readonly endpoints: ReadonlyArray<Endpoint>
  private current: Endpoint
  private next = 1
  /** Failures since the last success. */
  private failures = 0
  /** When every endpoint was first found to refuse connections, since one last did not. */
  private refusedSinceMs: number | undefined
  /** What became of the last attempt at each node, since one of them last answered as it should. */
  private readonly states = new Map<string, EndpointState>()
  /** Why each node failed last, since that node last answered as it should. */
  private readonly lastErrors = new Map<string, string>()
  /** Whether any node ever answered as it should. */
  private hasAnswer = false

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
    this.refusedSinceMs = undefined
    this.hasAnswer = true
    this.states.clear()
  }

  /**
   * The node failed; the next in turn is tried. Does nothing when another operation has moved on already. `state`
   * says what the failure tells of the node.
   */
  failed(endpoint: Endpoint, reason: string, state: EndpointState = "silent"): void {
    this.states.set(formatEndpoint(endpoint), state)
    this.lastErrors.set(formatEndpoint(endpoint), reason)
    if (endpoint !== this.current) return
    this.failures += 1
    this.current = this.endpoints[this.next % this.endpoints.length] as Endpoint
    this.next += 1
  }

  /** The node says that it does not lead, and perhaps who does. */
  followLeader(endpoint: Endpoint, leader: Endpoint | undefined, reason: string): void {
    if (leader === undefined || leader.port === 0 || endpoint !== this.current) {
      return this.failed(endpoint, reason, "answered")
    }
    const name = formatEndpoint(leader)
    if (name === formatEndpoint(endpoint)) return this.failed(endpoint, reason, "answered")
    this.states.set(formatEndpoint(endpoint), "answered")
    this.lastErrors.set(formatEndpoint(endpoint), reason)
    this.failures += 1
    this.current = this.endpoints.find((known) => formatEndpoint(known) === name) ?? leader
  }

  /**
   * Set when every node was tried since the last good answer, and every one that answered is of another cluster. One
   * node of another cluster among the right ones is passed over.
   */
  get wrongCluster(): WrongCluster | undefined {
    let found: WrongCluster | undefined
    for (const endpoint of this.endpoints) {
      const state = this.states.get(formatEndpoint(endpoint))
      if (state === undefined || state === "answered") return undefined
      if (state !== "silent" && state !== "refused") found = state
    }
    return found
  }

  /**
   * Milliseconds for which every endpoint has refused connections; `undefined` while one of them does not, or was not
   * tried.
   */
  refusedForMs(nowMs: number): number | undefined {
    const refused = this.endpoints.every((endpoint) => this.states.get(formatEndpoint(endpoint)) === "refused")
    this.refusedSinceMs = refused ? this.refusedSinceMs ?? nowMs : undefined
    return this.refusedSinceMs === undefined ? undefined : nowMs - this.refusedSinceMs
  }

  /** How long to wait before the next attempt, in milliseconds: nothing until every node was tried. */
  get pauseMs(): number {
    const rounds = Math.floor(this.failures / (this.endpoints.length + 1))
    return rounds === 0 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(rounds - 1, 10))
  }

  /** What went wrong where, for an error message. */
  describe(): string {
    const names = this.endpoints.map(formatEndpoint)
    const errors = describeEndpointErrors(names.flatMap((endpoint) => {
      const reason = this.lastErrors.get(endpoint)
      return reason === undefined ? [] : [{ endpoint, reason }]
    }))
    // Before the first answer, a node without an error is one that said nothing, or that there was no time to ask.
    const silent = errors !== "" && this.hasAnswer ? [] : names.filter((endpoint) => !this.lastErrors.has(endpoint))
    return [errors, silent.length === 0 ? "" : `no answer from ${silent.join(", ")}`]
      .filter((part) => part !== "").join("; ")
  }
}
