/** A node as a process of its own, and its data. */
import { cpSync, existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { Child } from "./Child.ts"

export type { Ended } from "./Child.ts"

export interface NodeProcessOptions {
  readonly address: NodeAddress
  /** The cluster as this node is to see it: other nodes may be behind proxies. */
  readonly nodes: ReadonlyArray<NodeAddress>
  readonly dataDir: string
  readonly env?: Readonly<Record<string, string>>
  /** What Node runs. */
  readonly program: ReadonlyArray<string>
  /** What runs Node: `strace` and its arguments, for example. */
  readonly under?: ReadonlyArray<string>
}

export class NodeProcess extends Child {
  readonly id: number
  readonly dataDir: string
  /** Where the node itself listens. */
  readonly address: NodeAddress

  constructor({ address, dataDir, env, nodes, program, under }: NodeProcessOptions) {
    super({
      name: `node ${address.id}`,
      program,
      under,
      env: {
        FLAREDB_NODE_ID: String(address.id),
        FLAREDB_NODES: formatNodes(nodes),
        FLAREDB_DATA_DIR: dataDir,
        FLAREDB_CLUSTER_ID: "chaos",
        ...env
      }
    })
    this.id = address.id
    this.address = address
    this.dataDir = dataDir
  }

  /** Removes everything in the data directory of a node that does not run; the directory itself may be a mount point. */
  wipe(): void {
    if (this.running) throw new Error(`node ${this.id} runs`)
    if (!existsSync(this.dataDir)) return
    for (const file of readdirSync(this.dataDir)) rmSync(join(this.dataDir, file), { recursive: true })
  }

  /** Copies the data directory of a node that does not run, and gives what puts the copy in its place again. */
  copyData(): () => void {
    if (this.running) throw new Error(`node ${this.id} runs`)
    const copy = `${this.dataDir}.copy`
    cpSync(this.dataDir, copy, { recursive: true })
    return () => {
      this.wipe()
      cpSync(copy, this.dataDir, { recursive: true })
      rmSync(copy, { recursive: true })
    }
  }
}
