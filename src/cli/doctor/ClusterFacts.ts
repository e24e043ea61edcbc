/** What is asked of the nodes: names, ports, status, metrics and clocks. Nothing is written anywhere. */
import { Effect } from "effect"
import type { X509Certificate } from "node:crypto"
import { connect, isIP } from "node:net"
import type { NodeAnswer } from "../../client/ClusterAdmin.ts"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import type { Endpoint } from "../../client/connection/Endpoint.ts"
import { errorText } from "../../ErrorText.ts"
import { systemNameService } from "../../net/NameService.ts"
import type { NodePlace } from "../input/NodesFlags.ts"
import { httpAddress, httpUnknown } from "../input/NodesFlags.ts"
import { liveCertificate } from "../certificates/LiveCertificate.ts"
import type { MetricsPage } from "../nodes/MetricsPage.ts"
import type { Ask, Clocked } from "../nodes/NodePages.ts"
import { clockOf, metricsOf } from "../nodes/NodePages.ts"

/** A value, or why there is none. */
export type Found<A> = { readonly value: A } | { readonly problem: string }

export interface PortFacts {
  readonly name: "client" | "peer" | "http"
  readonly port: number
  /** Milliseconds until it was connected. */
  readonly connected: Found<number>
}

export interface NodeFacts {
  readonly place: NodePlace
  /** The addresses of its name, in order; an address names itself. */
  readonly addresses: Found<ReadonlyArray<string>>
  readonly ports: ReadonlyArray<PortFacts>
  readonly answer: NodeAnswer
  readonly metrics: Found<MetricsPage>
  readonly clock: Found<Clocked>
  /** When the certificate ends that its client port shows; `undefined` without TLS. */
  readonly certificateEndMs: Found<number> | undefined
}

const found = <A>(effect: Effect.Effect<A, string>): Effect.Effect<Found<A>> =>
  Effect.match(effect, { onSuccess: (value) => ({ value }), onFailure: (problem) => ({ problem }) })

const askNames = systemNameService()

const addressesOf = (host: string): Effect.Effect<Found<ReadonlyArray<string>>> =>
  isIP(host) !== 0
    ? Effect.succeed({ value: [host] })
    : found(Effect.tryPromise({
      try: async () => (await askNames(host, "connect")).map(({ address }) => address).sort(),
      catch: errorText
    }))

/** Connects, and says nothing there. */
const reach = ({ host, port }: Endpoint, timeoutMs: number): Effect.Effect<number, string> =>
  Effect.callback<number, string>((resume) => {
    const begin = performance.now()
    const socket = connect({ host, port, timeout: timeoutMs })
    socket.once("connect", () => {
      resume(Effect.succeed(performance.now() - begin))
      socket.destroy()
    })
    socket.once("timeout", () => {
      resume(Effect.fail(`no connection within ${timeoutMs} ms; is a firewall between?`))
      socket.destroy()
    })
    socket.once(
      "error",
      (error: NodeJS.ErrnoException) =>
        resume(Effect.fail(error.code === "ECONNREFUSED" ? "nothing listens there" : errorText(error)))
    )
    return Effect.sync(() => socket.destroy())
  })

/** How often each node's clock is looked at; the look that took the least time counts. */
const clockLooks = 5

export interface LookOptions {
  readonly ask: Ask
  readonly timeoutMs: number
  readonly tls: boolean
}

const factsOf = Effect.fnUntraced(function*(
  place: NodePlace,
  answer: NodeAnswer,
  { ask, timeoutMs, tls }: LookOptions
): Effect.fn.Return<NodeFacts> {
  const { address, endpoint } = place
  const { host } = endpoint
  const known: ReadonlyArray<readonly [PortFacts["name"], number]> = address === undefined
    ? [["client", endpoint.port]]
    : [["client", address.clientPort], ["peer", address.peerPort], ["http", address.httpPort]]
  const ports = yield* Effect.forEach(known, ([name, port]) =>
    Effect.map(
      found(reach({ host, port }, timeoutMs)),
      (connected): PortFacts => ({ name, port, connected })
    ), { concurrency: "unbounded" })
  const http = httpAddress(place)
  const unasked = { problem: httpUnknown }
  return {
    place,
    addresses: yield* addressesOf(host),
    ports,
    answer,
    metrics: http === undefined ? unasked : yield* found(metricsOf(ask, http)),
    clock: http === undefined ? unasked : yield* found(clockOf(ask, http, clockLooks)),
    certificateEndMs: tls
      ? yield* found(
        Effect.mapBoth(liveCertificate(endpoint, timeoutMs), {
          onSuccess: (certificate: X509Certificate) => Date.parse(certificate.validTo),
          onFailure: ({ line }) => line
        })
      )
      : undefined
  }
})

/** The facts of all nodes. A node that does not answer has problems in place of values. */
export const clusterFacts = Effect.fnUntraced(function*(places: ReadonlyArray<NodePlace>, options: LookOptions) {
  const answers = yield* (yield* ClusterAdmin).status
  return yield* Effect.forEach(
    places,
    (place, i) => factsOf(place, answers[i] as NodeAnswer, options),
    { concurrency: "unbounded" }
  )
})
