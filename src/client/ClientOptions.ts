/** The settings of a client, each with its default and its consequence. */
import type { Endpoint } from "./Endpoint.ts"

export interface ClientOptions {
  /** Client endpoints of the nodes. One is enough to find the leader, all survive the loss of any. */
  readonly endpoints: ReadonlyArray<Endpoint>
  /**
   * Milliseconds an operation may take, retries included. Default 5000: enough for the election that follows the
   * loss of a leader. A write that was sent and not answered by then is `Indeterminate`.
   */
  readonly requestTimeoutMs?: number | undefined
  /** Milliseconds until an attempt to connect is given up and the next node is tried. Default 1000. */
  readonly connectTimeoutMs?: number | undefined
  /** Milliseconds without an answer after which new operations go to another node. Default 1500. */
  readonly attemptTimeoutMs?: number | undefined
  /** Calls of one kind in flight. More hide latency, fewer make larger batches. Default 4. */
  readonly maxCallsInFlight?: number | undefined
  /** Operations of one kind that may wait; more fail as `Overloaded`. Default 65,536. */
  readonly maxPendingOperations?: number | undefined
}

export type ResolvedClientOptions = { readonly [K in keyof ClientOptions]-?: Exclude<ClientOptions[K], undefined> }

export const resolve = (options: ClientOptions): ResolvedClientOptions => ({
  endpoints: options.endpoints,
  requestTimeoutMs: options.requestTimeoutMs ?? 5_000,
  connectTimeoutMs: options.connectTimeoutMs ?? 1_000,
  attemptTimeoutMs: options.attemptTimeoutMs ?? 1_500,
  maxCallsInFlight: options.maxCallsInFlight ?? 4,
  maxPendingOperations: options.maxPendingOperations ?? 65_536
})
