/** A node as a process of its own, under the control of a harness that means it no good. */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { cpSync, existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { processSettings } from "../../src/bin/ProcessSettings.ts"
import type { NodeAddress } from "../../src/FlareDbConfig.ts"
import { formatNodes } from "../../src/FlareDbConfig.ts"

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

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Log lines kept. */
const keptLines = 2_000

export class NodeProcess {
  readonly id: number
  readonly dataDir: string
  /** Where the node itself listens. */
  readonly address: NodeAddress
  readonly log: Array<string> = []
  /** Ends that nobody asked for. */
  readonly surprises: Array<Ended> = []
  private readonly options: NodeProcessOptions
  private child: ChildProcess | undefined
  private ended: Promise<Ended> = Promise.resolve({ code: 0, signal: null })
  private expected = true

  constructor(options: NodeProcessOptions) {
    this.options = options
    this.id = options.address.id
    this.address = options.address
    this.dataDir = options.dataDir
  }

  get running(): boolean {
    return this.child !== undefined
  }

  /** Starts the node and waits until it is ready; tells how it ended if it does before. */
  async start(): Promise<Ended | undefined> {
    if (this.child !== undefined) throw new Error(`node ${this.id} runs already`)
    const { dataDir, env, nodes, program, under = [] } = this.options
    const [command, ...args] = [...under, process.execPath, ...program]
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FLAREDB_")))
    const child = spawn(command as string, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...clean,
        ...processSettings(process.env),
        NO_COLOR: "1",
        FLAREDB_NODE_ID: String(this.id),
        FLAREDB_NODES: formatNodes(nodes),
        FLAREDB_DATA_DIR: dataDir,
        FLAREDB_CLUSTER_ID: "chaos",
        ...env
      }
    })
    this.child = child
    this.expected = false
    this.log.push(`--- started as ${child.pid}`)
    const keep = (line: string) => {
      this.log.push(line)
      if (this.log.length > keptLines) this.log.shift()
    }
    createInterface({ input: child.stderr }).on("line", keep)
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.child = undefined
        keep(`--- ended: ${code ?? signal}`)
        if (!this.expected) this.surprises.push({ code, signal })
        resolve({ code, signal })
      })
    })
    const ready = new Promise<undefined>((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line.startsWith("READY ")) resolve(undefined)
      })
    })
    return Promise.race([ready, this.ended])
  }

  /** Sends a signal that is to end the process, and waits for its end. A node that was stopped goes on, to end. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<Ended> {
    this.expected = true
    this.signal(signal)
    if (signal === "SIGTERM") this.signal("SIGCONT")
    return this.ended
  }

  /** The node is about to end by itself, and that is as it should be. */
  expectEnd(): Promise<Ended> {
    this.expected = true
    return this.ended
  }

  pause(): void {
    this.signal("SIGSTOP")
  }

  resume(): void {
    this.signal("SIGCONT")
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

  /** The process that is the node: the child, or the child of what runs it. */
  pid: () => number | undefined = () => this.child?.pid

  private signal(signal: NodeJS.Signals): void {
    const pid = this.pid()
    if (pid !== undefined && this.child !== undefined) process.kill(pid, signal)
  }
}
