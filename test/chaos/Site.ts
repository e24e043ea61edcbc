/** Three real nodes with a proxy on each way between them and to their clients, and the folder that holds their data. */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import type { Endpoint } from "../../src/client/index.ts"
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import type { StatusDocument } from "../../src/protocol/NodeReport.ts"
import { Network } from "./Network.ts"
import { NodeProcess } from "./NodeProcess.ts"
import { findPorts } from "../../src/cli/launch/FreePorts.ts"
import type { HttpAnswer } from "./SiteCertificates.ts"
import { SiteCertificates } from "./SiteCertificates.ts"

/** What `/status` says, as far as a harness asks. */
export type NodeStatus = Pick<StatusDocument, "role" | "membership" | "term" | "commit" | "lastIndex">

/** Milliseconds until every node has to be ready. */
const readyMs = 60_000

/** A small file system for one node, if this user may mount one. */
const mountSmall = (path: string): boolean => {
  try {
    mkdirSync(path, { recursive: true })
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=384m", "tmpfs", path], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Starts a node that has to come up. */
export const startNode = async (node: NodeProcess): Promise<void> => {
  const ended = await node.start()
  if (ended !== undefined) {
    throw new Error(`node ${node.id} did not start (${ended.code ?? ended.signal}):\n${node.log.slice(-20).join("\n")}`)
  }
}

export interface SiteOptions {
  /** Asks for a small file system for one of the nodes. */
  readonly small?: boolean | undefined
  /** Whether all ports have certificates. */
  readonly tls?: boolean | undefined
}

/** The name of the cluster in its certificates and its settings. */
const clusterId = "chaos"

export class Site {
  readonly folder: string
  /** Absent where connections are plain. */
  readonly certificates: SiteCertificates | undefined
  readonly nodes: ReadonlyArray<NodeProcess>
  readonly network: Network
  /** Nodes whose data lies on a small file system of its own. */
  readonly small: ReadonlyArray<NodeProcess>
  /** Where clients reach the nodes, behind proxies. */
  readonly endpoints: ReadonlyArray<Endpoint>

  private constructor(
    folder: string,
    addresses: ReadonlyArray<NodeAddress>,
    network: Network,
    mounted: boolean,
    certificates: SiteCertificates | undefined
  ) {
    this.folder = folder
    this.network = network
    this.certificates = certificates
    this.nodes = addresses.map((address) =>
      new NodeProcess({
        address,
        nodes: network.seenBy(address.id),
        dataDir: mounted && address.id === 3
          ? join(folder, "small", "data")
          : join(folder, `node-${address.id}`),
        program: ["bin/flaredb.js", "start"],
        // Little enough that a node which was away for a while is sent the state.
        env: {
          FLAREDB_CLUSTER_ID: clusterId,
          FLAREDB_MAX_LOG_ENTRIES: "2000",
          FLAREDB_LOG_SLACK_ENTRIES: "500",
          ...certificates?.nodeSettings(address.id)
        }
      })
    )
    this.small = mounted ? this.nodes.slice(2) : []
    this.endpoints = addresses.map(({ host, id }) => ({ host, port: network.door(id).port }))
  }

  /** Makes the place; nothing runs before `start`. */
  static async open({ small = false, tls = false }: SiteOptions = {}): Promise<Site> {
    const folder = mkdtempSync(join(tmpdir(), "flaredb-chaos-"))
    const ports = await findPorts(9)
    const addresses: ReadonlyArray<NodeAddress> = [1, 2, 3].map((id, i) => ({
      id,
      host: "127.0.0.1",
      clientPort: ports[3 * i] as number,
      peerPort: ports[3 * i + 1] as number,
      httpPort: ports[3 * i + 2] as number
    }))
    const network = new Network(addresses)
    await network.open()
    const certificates = tls
      ? await SiteCertificates.make(join(folder, "certs"), { clusterId, nodes: addresses })
      : undefined
    return new Site(folder, addresses, network, small && mountSmall(join(folder, "small")), certificates)
  }

  /** Starts every node that does not run, and waits until all are ready. */
  async start(): Promise<void> {
    await Promise.all(this.nodes.filter(({ running }) => !running).map(startNode))
    await this.ready()
  }

  /** Where a node stands; absent when it does not answer. */
  async status(node: NodeProcess): Promise<NodeStatus | undefined> {
    const { body, ok } = await this.ask(node, "/status")
    return ok ? JSON.parse(body) as NodeStatus : undefined
  }

  /** The node that leads, as far as the nodes say. */
  async leader(): Promise<NodeProcess | undefined> {
    const found: Array<{ readonly node: NodeProcess; readonly term: number }> = []
    for (const node of this.nodes) {
      const status = await this.status(node)
      if (status?.role === "leader") found.push({ node, term: status.term })
    }
    return found.sort((a, b) => b.term - a.term)[0]?.node
  }

  /** Waits until every node says that it is ready; fails at once when one of them ended by itself. */
  async ready(): Promise<void> {
    const deadlineMs = performance.now() + readyMs
    for (const node of this.nodes) {
      while (!(await this.ask(node, "/readyz")).ok) {
        const [ended] = this.ends()
        if (ended !== undefined) throw new Error(ended)
        if (performance.now() > deadlineMs) {
          throw new Error(`node ${node.id} was not ready within a minute:\n${node.log.slice(-20).join("\n")}`)
        }
        await wait(50)
      }
    }
  }

  /** What is to be said of nodes that ended without being told to. Each end is told once. */
  ends(): ReadonlyArray<string> {
    return this.nodes.flatMap(({ id, log, surprises }) =>
      surprises.splice(0).map(({ code, signal }) =>
        `node ${id} ended by itself (${code ?? signal}): ${log.slice(-8).join("\n")}`
      )
    )
  }

  private async ask({ address: { httpPort } }: NodeProcess, path: string): Promise<HttpAnswer> {
    try {
      return await (this.certificates?.get(httpPort, path, httpMs) ?? fetchText(httpPort, path))
    } catch {
      return { ok: false, body: "" }
    }
  }

  /** Ends every process and removes everything. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => {
      node.resume()
      return node.running ? node.end("SIGKILL") : undefined
    }))
    await this.network.close()
    if (this.small.length > 0) execFileSync("umount", [join(this.folder, "small")])
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Milliseconds in which a node has to answer over HTTP. */
const httpMs = 500

const fetchText = async (port: number, path: string): Promise<HttpAnswer> => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(httpMs) })
  return { ok: response.ok, body: await response.text() }
}
