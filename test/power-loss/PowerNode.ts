/** A node whose machine can lose its power: it runs under a tracer that tells what of its directory is durable. */
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import type { NodeAddress } from "../../src/FlareDbConfig.ts"
import { NodeProcess } from "../chaos/NodeProcess.ts"
import type { Random } from "../simulation/Random.ts"
import { LinkShadow } from "./LinkShadow.ts"
import { readTrace, tracer } from "./SystemCalls.ts"
import type { Loss, Losses } from "./VolatileDisk.ts"
import { VolatileDisk } from "./VolatileDisk.ts"

export interface PowerNodeOptions {
  readonly address: NodeAddress
  readonly nodes: ReadonlyArray<NodeAddress>
  readonly dataDir: string
  readonly env: Readonly<Record<string, string>>
  /** Told when the node begins a new log file. */
  readonly rotated: () => void
}

export class PowerNode {
  readonly process: NodeProcess
  private readonly options: PowerNodeOptions
  private readonly trace: string
  private disk: VolatileDisk | undefined
  private shadow: LinkShadow | undefined

  constructor(options: PowerNodeOptions) {
    this.options = options
    this.trace = `${options.dataDir}.trace`
    mkdirSync(options.dataDir)
    this.process = new NodeProcess({
      ...options,
      program: ["--import", "./test/power-loss/SmallBuffers.ts", "bin/flaredb.js", "start"],
      under: tracer(this.trace)
    })
  }

  /** Starts the node on what its directory has, and waits until it is ready; tells how it ended if it does before. */
  start(): ReturnType<NodeProcess["start"]> {
    const { dataDir, rotated } = this.options
    this.disk = new VolatileDisk(dataDir)
    this.shadow = new LinkShadow(dataDir, (name) => {
      if (name.endsWith(".log")) rotated()
    })
    return this.process.start()
  }

  /** The process ends at this very moment; its tracer has written everything down when the promise is done. */
  cut(): Promise<unknown> {
    return this.process.end("SIGKILL")
  }

  /** Makes the directory of a node that was cut what the loss left of it. */
  lose(loss: Loss, random: Random): Losses {
    const { disk, shadow } = this
    if (disk === undefined || shadow === undefined) throw new Error("this node was never started")
    readTrace(readFileSync(this.trace, "utf8"), {
      begin: (call) => disk.begin(call),
      end: (call) => disk.end(call)
    })
    const losses = disk.lose(loss, shadow, random)
    shadow.close()
    rmSync(this.trace)
    return losses
  }
}
