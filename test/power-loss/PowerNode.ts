/** A node whose machine can lose its power: it runs under a tracer that tells what of its directory is durable. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import { sequenceOf } from "../../src/storage/segments/SegmentFormat.ts"
import { NodeProcess } from "../chaos/NodeProcess.ts"
import type { Random } from "../simulation/Random.ts"
import { LinkShadow } from "./LinkShadow.ts"
import { readTrace, tracer } from "./SystemCalls.ts"
import type { Loss, Losses } from "./VolatileDisk.ts"
import { VolatileDisk } from "./VolatileDisk.ts"
import { VolatileFolders } from "./VolatileFolders.ts"

export interface PowerNodeOptions {
  readonly address: NodeAddress
  readonly nodes: ReadonlyArray<NodeAddress>
  /** A folder for this node alone. Its data directory is further down, and the node makes all that is in between. */
  readonly home: string
  readonly env: Readonly<Record<string, string>>
  /** Told when the node begins a new file. */
  readonly rotated: (what: Rotation) => void
}

/** What begins: a log file of the database, or a segment of the log, which is made while the one before it fills up. */
export type Rotation = "log file" | "segment"

const rotationOf = (name: string): Rotation | undefined =>
  name.endsWith(".log") ? "log file" : sequenceOf(name) === undefined ? undefined : "segment"

/** How a directory is lost. */
export type Wipe = "the node was killed before" | "the node runs"

/** A node whose directory is gone ends by itself within this time. */
const endsWithinMs = 20_000

export class PowerNode {
  readonly process: NodeProcess
  private readonly options: PowerNodeOptions
  private readonly dataDir: string
  private readonly trace: string
  private disk: VolatileDisk | undefined
  private folders: VolatileFolders | undefined
  private shadow: LinkShadow | undefined

  constructor(options: PowerNodeOptions) {
    this.options = options
    this.dataDir = join(options.home, "volume", "flaredb", "data")
    this.trace = `${options.home}.trace`
    mkdirSync(options.home)
    this.process = new NodeProcess({
      ...options,
      dataDir: this.dataDir,
      program: ["--import", "./test/power-loss/SmallBuffers.ts", "bin/flaredb.js", "start"],
      under: tracer(this.trace)
    })
  }

  /** Starts the node on what its directory has, and waits until it is ready; tells how it ended if it does before. */
  async start(): ReturnType<NodeProcess["start"]> {
    this.disk = new VolatileDisk(this.dataDir)
    this.folders = new VolatileFolders(this.options.home, this.dataDir)
    const started = this.process.start()
    while (this.process.running && !existsSync(this.dataDir)) await wait(1)
    if (this.process.running) this.shadow = this.keepShadow()
    return started
  }

  /** The process ends at this very moment; its tracer has written everything down when the promise is done. */
  cut(): Promise<unknown> {
    return this.process.end("SIGKILL")
  }

  /** Starts a node that was cut on all that it had written: its machine ran on, and nothing became durable by that. */
  startAgain(): ReturnType<NodeProcess["start"]> {
    const { disk, folders } = this
    if (disk === undefined || folders === undefined) throw new Error("this node was never started")
    this.follow(disk, folders)
    disk.outlive()
    return this.process.start()
  }

  /** Makes the directory of a node that was cut what the loss left of it. */
  lose(loss: Loss, random: Random): Losses & { readonly folders: number } {
    const { disk, folders } = this
    if (disk === undefined || folders === undefined) throw new Error("this node was never started")
    const shadow = this.shadow ?? (existsSync(this.dataDir) ? this.keepShadow() : undefined)
    this.follow(disk, folders)
    const losses = shadow === undefined ? { bytes: 0, files: 0, names: 0 } : disk.lose(loss, shadow, random)
    const lost = folders.lose(loss, random)
    this.forget()
    return { ...losses, folders: lost }
  }

  /** Removes the directory and the folders above it. Answers what is wrong with how a running node took it, if anything is. */
  async wipe(how: Wipe): Promise<string | undefined> {
    const { id, kept } = this.process
    if (how === "the node was killed before") await this.cut()
    const before = kept.end
    const ended = this.process.running ? this.process.expectEnd() : undefined
    removeFolder(join(this.options.home, "volume"))
    const end = await Promise.race([ended, ended === undefined ? undefined : wait(endsWithinMs, "runs on" as const)])
    // What a node that ends may have made again.
    removeFolder(join(this.options.home, "volume"))
    this.forget()
    if (end === undefined) return undefined
    if (end === "runs on") return `node ${id} runs on ${endsWithinMs} ms after its directory was removed`
    const said = kept.since(before).some((line) =>
      // It notices by itself, or RocksDB first fails at something that needs the directory.
      /the node stops serving/.test(line) && (/removed, moved/.test(line) || /failed in/.test(line))
    )
    return end.code === 1 && said
      ? undefined
      : `node ${id} lost its directory and ended with ${end.code ?? end.signal}:\n${kept.lines.slice(-8).join("\n")}`
  }

  /** Whether the node knows a leader, has caught up, and votes. */
  async isReady(): Promise<boolean> {
    const { host, httpPort } = this.options.address
    return fetch(`http://${host}:${httpPort}/readyz`, { signal: AbortSignal.timeout(5_000) }).then(
      async (response) => {
        await response.arrayBuffer()
        return response.ok
      },
      () => false
    )
  }

  private keepShadow(): LinkShadow {
    return new LinkShadow(this.dataDir, (name) => {
      const rotation = rotationOf(name)
      if (rotation !== undefined) this.options.rotated(rotation)
    }, `${this.options.home}.shadow`)
  }

  /** Takes note of what the process that has ended did. */
  private follow(disk: VolatileDisk, folders: VolatileFolders): void {
    readTrace(readFileSync(this.trace, "utf8"), {
      begin: (call) => {
        disk.begin(call)
        folders.begin(call)
      },
      end: (call) => {
        disk.end(call)
        folders.end(call)
      },
      fail: (call) => {
        disk.fail(call)
        folders.fail(call)
      }
    })
  }

  private forget(): void {
    this.shadow?.close()
    this.shadow = undefined
    rmSync(`${this.options.home}.shadow`, { recursive: true, force: true })
    rmSync(this.trace, { force: true })
  }
}

/** Removes a folder in which somebody still creates files. */
const removeFolder = (path: string): void => {
  for (let attempt = 1;; attempt++) {
    try {
      return rmSync(path, { recursive: true, force: true })
    } catch (error) {
      if (attempt === 1_000) throw error
    }
  }
}
