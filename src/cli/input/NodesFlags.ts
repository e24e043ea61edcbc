/** Flags of the verbs that look at all ports of the nodes, and not at the client port alone. */
import { Config, Effect, Option } from "effect"
import { Flag } from "effect/cli"
import type { Endpoint } from "../../client/connection/Endpoint.ts"
import { formatEndpoint, parseEndpoints } from "../../client/connection/Endpoint.ts"
import { InvalidConfig } from "../../config/ConfigProblem.ts"
import type { NodeAddress } from "../../config/NodeAddress.ts"
import { localNodes, nodesProblems, parseNodes } from "../../config/NodeAddress.ts"
import { variableOf } from "../../config/Setting.ts"
import type { Failure } from "../output/Failure.ts"
import { failureOf } from "../output/Failure.ts"
import type { ClientFlags } from "./ClientFlags.ts"
import { clientFlags } from "./ClientFlags.ts"

export const nodesFlags = {
  ...clientFlags,
  nodes: Flag.String("nodes").pipe(
    Flag.withMetavar("ID=HOST:CLIENT:PEER:HTTP,…"),
    Flag.withDescription(
      `all ports of the nodes, as flaredb start has them; default the local three, or --endpoints alone (${
        variableOf("nodes")
      })`
    ),
    Flag.withFallbackConfig(Config.String(variableOf("nodes"))),
    Flag.optional
  )
}

export interface NodesFlags extends ClientFlags {
  readonly nodes: Option.Option<string>
}

/** A node as far as the flags tell where it is: of endpoints alone the id and the other ports are not known. */
export interface NodePlace {
  /** What it is called until it says its id. */
  readonly name: string
  readonly endpoint: Endpoint
  readonly address: NodeAddress | undefined
}

const placeOf = (address: NodeAddress): NodePlace => ({
  name: `node ${address.id}`,
  endpoint: { host: address.host, port: address.clientPort },
  address
})

const localPlaces = localNodes.map(placeOf)

const isLocal = (endpoints: ReadonlyArray<Endpoint>): boolean =>
  endpoints.map(formatEndpoint).join() === localPlaces.map(({ endpoint }) => formatEndpoint(endpoint)).join()

/** The nodes that the flags name: `--nodes` wins over `--endpoints`. */
export const nodePlaces = (flags: NodesFlags): Effect.Effect<ReadonlyArray<NodePlace>, Failure> =>
  Effect.gen(function*() {
    if (Option.isSome(flags.nodes)) {
      const nodes = yield* parseNodes(flags.nodes.value)
      const problems = nodesProblems(nodes)
      if (problems.length > 0) return yield* new InvalidConfig({ problems })
      return nodes.map(placeOf)
    }
    const endpoints = yield* parseEndpoints(flags.endpoints)
    if (isLocal(endpoints)) return localPlaces
    return endpoints.map((endpoint) => ({ name: formatEndpoint(endpoint), endpoint, address: undefined }))
  }).pipe(Effect.mapError(failureOf))

/** The flags with the endpoints of these nodes, for a client of the cluster. */
export const withPlaces = <F extends ClientFlags>(flags: F, places: ReadonlyArray<NodePlace>): F => ({
  ...flags,
  endpoints: places.map(({ endpoint }) => formatEndpoint(endpoint)).join(",")
})

/** What is said of a node whose HTTP port would be asked, where the flags do not tell it. */
export const httpUnknown = "its HTTP port is not known; give --nodes"

/** `HOST:PORT` of the node's HTTP port; `undefined` when the flags do not tell. */
export const httpAddress = ({ address }: NodePlace): string | undefined =>
  address === undefined ? undefined : formatEndpoint({ host: address.host, port: address.httpPort })
