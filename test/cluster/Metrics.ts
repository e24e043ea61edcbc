/** What a node says of itself at `/metrics`. */
import { Effect } from "effect"
import { eventually } from "../Eventually.ts"
import type * as Cluster from "./Cluster.ts"

type Node = Pick<Cluster.ClusterNode, "address" | "id">

/** What is in a bounded table of the node; 0 when it has none of that name. */
export const tableEntries = (node: Node, table: string): Effect.Effect<number> =>
  Effect.promise(async () => {
    const { host, httpPort } = node.address
    // A port that is full closes a connection that is kept for a next request.
    const answer = await fetch(`http://${host}:${httpPort}/metrics`, { headers: { connection: "close" } })
    const text = await answer.text()
    const line = text.split("\n").find((one) =>
      one.startsWith("flaredb_table_entries") && one.includes(`table="${table}"`)
    )
    return line === undefined ? 0 : Number(line.split(" ").at(-1))
  })

/** Waits until a table of the node has so many entries. */
export const untilEntries = (node: Node, table: string, holds: (entries: number) => boolean) =>
  eventually(`table ${table} of node ${node.id} holds what is expected`, Effect.map(tableEntries(node, table), holds))
