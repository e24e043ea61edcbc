/** The voters of a cluster and where each is reached; their text form in flags and variables. */
import { withoutUserInfo } from "../WithoutUserInfo.ts"
import { Effect } from "effect"
import type { ConfigProblem } from "./ConfigProblem.ts"
import { InvalidConfig } from "./ConfigProblem.ts"

/** Where one voter of the cluster is reached. */
export interface NodeAddress {
  /** Positive integer, unique in the cluster, never changed for a data directory. */
  readonly id: number
  /** Host name or address the other nodes and the clients reach it by. */
  readonly host: string
  /** Client RPC. 0 lets the system choose (tests). */
  readonly clientPort: number
  /** Peer RPC. */
  readonly peerPort: number
  /** HTTP: health, metrics, console. */
  readonly httpPort: number
}

/** The local cluster: node i at 127.0.0.1 on ports 700i (client), 710i (peer) and 720i (HTTP). */
export const localNodes: ReadonlyArray<NodeAddress> = [1, 2, 3].map((id) => ({
  id,
  host: "127.0.0.1",
  clientPort: 7000 + id,
  peerPort: 7100 + id,
  httpPort: 7200 + id
}))

/** What is wrong with a port, if anything. 0 lets the system choose. */
export const portProblem = (port: number): string | undefined =>
  Number.isInteger(port) && port >= 0 && port <= 65_535 ? undefined : `${port} is not a port (0 to 65535)`

/** Everything wrong with the voters of a cluster. */
export const nodesProblems = (nodes: ReadonlyArray<NodeAddress>): ReadonlyArray<ConfigProblem> => {
  const problems: Array<ConfigProblem> = []
  const add = (problem: string) => problems.push({ field: "nodes", problem })
  if (nodes.length !== 1 && nodes.length !== 3) {
    add(`${nodes.length} voters given; a cluster has 1 or 3 (an even number survives no more losses than one fewer)`)
  }
  const ids = new Set<number>()
  const addresses = new Map<string, string>()
  for (const node of nodes) {
    if (!Number.isSafeInteger(node.id) || node.id < 1) add(`node id ${node.id} is not a positive integer`)
    if (ids.has(node.id)) add(`node id ${node.id} is given twice`)
    ids.add(node.id)
    if (node.host.length === 0) add(`node ${node.id} has no host`)
    for (
      const [name, port] of [["client", node.clientPort], ["peer", node.peerPort], ["http", node.httpPort]] as const
    ) {
      const problem = portProblem(port)
      if (problem !== undefined) add(`node ${node.id} ${name}: ${problem}`)
      const address = `${node.host}:${port}`
      const owner = addresses.get(address)
      if (port !== 0 && owner !== undefined) add(`${address} is given to ${owner} and to node ${node.id} ${name}`)
      addresses.set(address, `node ${node.id} ${name}`)
    }
  }
  return problems
}

/**
 * Parses `ID=HOST:CLIENT:PEER:HTTP,…`, the text form of `nodes` in flags and variables. An IPv6 host stands in
 * brackets.
 */
export const parseNodes = (text: string): Effect.Effect<ReadonlyArray<NodeAddress>, InvalidConfig> => {
  const nodes: Array<NodeAddress> = []
  const problems: Array<ConfigProblem> = []
  for (const part of text.split(",")) {
    const match = /^\s*(\d+)=(\[[0-9A-Fa-f:.]+\]|[^:\s[\]]+):(\d+):(\d+):(\d+)\s*$/.exec(part)
    if (match === null) {
      problems.push({
        field: "nodes",
        problem: `${
          JSON.stringify(withoutUserInfo(part))
        } is not ID=HOST:CLIENT:PEER:HTTP, for example 1=127.0.0.1:7001:7101:7201`
      })
      continue
    }
    const [, id, host, clientPort, peerPort, httpPort] = match
    nodes.push({
      id: Number(id),
      host: (host ?? "").replace(/^\[|\]$/g, ""),
      clientPort: Number(clientPort),
      peerPort: Number(peerPort),
      httpPort: Number(httpPort)
    })
  }
  return problems.length === 0 ? Effect.succeed(nodes) : Effect.fail(new InvalidConfig({ problems }))
}

/** The text form of `nodes`; the inverse of {@link parseNodes}. */
export const formatNodes = (nodes: ReadonlyArray<NodeAddress>): string =>
  nodes
    .map((n) => `${n.id}=${n.host.includes(":") ? `[${n.host}]` : n.host}:${n.clientPort}:${n.peerPort}:${n.httpPort}`)
    .join(",")
