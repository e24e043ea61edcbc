/** Clusters of one run: the first one, and those that backups are restored into. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { NodeProcess } from "../chaos/NodeProcess.ts"
import { findPorts } from "../../src/cli/launch/FreePorts.ts"

export interface ClustersOptions {
  readonly voters: 1 | 3
  readonly folder: string
  /** What Node runs as `flaredb`. */
  readonly program: string
}

export class Clusters {
  private readonly options: ClustersOptions
  private readonly nodes: Array<NodeProcess> = []
  private made = 0

  constructor(options: ClustersOptions) {
    this.options = options
  }

  /** Starts a cluster, empty or with the state of a backup, and gives its endpoints. */
  async start(backup?: string): Promise<string> {
    const { folder, program, voters } = this.options
    const ports = await findPorts(3 * voters)
    const addresses: ReadonlyArray<NodeAddress> = Array.from({ length: voters }, (_, i) => ({
      id: i + 1,
      host: "127.0.0.1",
      clientPort: ports[3 * i] as number,
      peerPort: ports[3 * i + 1] as number,
      httpPort: ports[3 * i + 2] as number
    }))
    const clusterId = `binary-${++this.made}`
    const nodes = addresses.map((address) =>
      new NodeProcess({
        address,
        nodes: addresses,
        dataDir: join(folder, `${clusterId}-${address.id}`),
        program: [program, "start"],
        env: { FLAREDB_CLUSTER_ID: clusterId }
      })
    )
    if (backup !== undefined) {
      for (const { dataDir, id } of nodes) {
        const name = ["--cluster-id", clusterId, "--nodes", formatNodes(addresses)]
        const args = [program, "restore", backup, "--node-id", String(id), "--data-dir", dataDir, ...name]
        await promisify(execFile)(process.execPath, args)
      }
    }
    this.nodes.push(...nodes)
    const ends = await Promise.all(nodes.map((node) => node.start()))
    const at = ends.findIndex((end) => end !== undefined)
    if (at >= 0) throw new Error(`node ${at + 1} did not start:\n${nodes[at]?.log.slice(-20).join("\n")}`)
    return addresses.map(({ clientPort, host }) => `${host}:${clientPort}`).join(",")
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.filter(({ running }) => running).map((node) => node.end("SIGTERM")))
  }
}
