/**
 * Which node to ask next: the leader as far as the client knows it, another one when that fails, with pauses once all
 * have failed.
 */
import { formatDuration } from "../../DurationText.ts"
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

interface DatedError {
  readonly reason: string
  readonly atMs: number
}

/** From so many milliseconds on an error is shown with its age: the node was hardly asked since. */
const oldErrorMs = 60_000

/** How long ago it was, in whole minutes at the most exact; empty for an error of now. */
const ageText = (ageMs: number): string => {
  if (ageMs < oldErrorMs) return ""
  return ` (${formatDuration(Math.floor(ageMs / 60_000) * 60_000, 2)} ago)`
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
  /** Why each node failed last and when, since that node last answered as it should. */
  private readonly lastErrors = new Map<string, DatedError>()
  /** Whether any node ever answered as it should. */
  private hasAnswer = false

  private readonly nowMs: () => number

  /** `nowMs` is a time that never goes back. */
  constructor(endpoints: ReadonlyArray<Endpoint>, nowMs: () => number) {
    this.nowMs = nowMs
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
  succeeded(endpoint: Endpoint): void {
    if (this.lastErrors.size > 0) this.lastErrors.delete(formatEndpoint(endpoint))
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
    this.lastErrors.set(formatEndpoint(endpoint), { reason, atMs: this.nowMs() })
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
    this.lastErrors.set(formatEndpoint(endpoint), { reason, atMs: this.nowMs() })
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

  /**
   * What went wrong where, for an error message. A node that answered since it failed is not named, and an error of
   * long ago has its age.
   */
  describe(): string {
    const nowMs = this.nowMs()
    const names = this.endpoints.map(formatEndpoint)
    const errors = describeEndpointErrors(names.flatMap((endpoint) => {
      const error = this.lastErrors.get(endpoint)
      return error === undefined ? [] : [{ endpoint, reason: error.reason + ageText(nowMs - error.atMs) }]
    }))
    const silent = this.silent.map(formatEndpoint)
    return [errors, silent.length === 0 ? "" : `no answer from ${silent.join(", ")}`]
      .filter((part) => part !== "").join("; ")
  }

  /** The nodes of which only silence is known. */
  private get silent(): ReadonlyArray<Endpoint> {
    const hasError = (endpoint: Endpoint) => this.lastErrors.has(formatEndpoint(endpoint))
    // Before the first answer, a node without an error is one that said nothing, or that there was no time to ask.
    if (!this.hasAnswer) return this.endpoints.filter((endpoint) => !hasError(endpoint))
    // Later on, the one that is asked now answered before, or never failed; the others were not asked.
    return this.failures === 0 && !hasError(this.current) ? [this.current] : []
  }
}
