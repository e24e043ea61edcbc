/**
 * The folders above a data directory that a process creates: each is there after a power loss once a sync of its parent that
 * began later has succeeded. One that is not takes everything below it along, however often that was synced.
 */
import { existsSync, rmSync } from "node:fs"
import { dirname } from "node:path"
import type { Random } from "../simulation/Random.ts"
import type { Call } from "./SystemCalls.ts"
import type { Loss } from "./VolatileDisk.ts"

export class VolatileFolders {
  /** From the topmost one to the data directory itself. */
  private readonly folders: ReadonlyArray<string>
  private readonly unsynced = new Set<string>()
  /** What a sync that has begun will have made durable. */
  private readonly begun = new Map<Call, ReadonlyArray<string>>()

  /** Takes `root`, and what is there below it, for durable. */
  constructor(root: string, directory: string) {
    const folders: Array<string> = []
    for (let folder = directory; folder !== root; folder = dirname(folder)) folders.unshift(folder)
    this.folders = folders
  }

  begin(call: Call): void {
    if (call.name !== "fsync" && call.name !== "fdatasync") return
    const covered = [...this.unsynced].filter((folder) => dirname(folder) === call.paths[0])
    if (covered.length > 0) this.begun.set(call, covered)
  }

  /** A call ended, with success. */
  end(call: Call): void {
    const [path = ""] = call.paths
    if (call.name === "mkdir" || call.name === "mkdirat") {
      if (this.folders.includes(path)) this.unsynced.add(path)
      return
    }
    for (const folder of this.begun.get(call) ?? []) this.unsynced.delete(folder)
    this.begun.delete(call)
  }

  /** A call failed, which changed nothing. */
  fail(call: Call): void {
    this.begun.delete(call)
  }

  /** Removes what would not be there, and answers how many folders that were not durable it took. */
  lose(loss: Loss, random: Random): number {
    const lost = this.folders.find((folder) => this.unsynced.has(folder) && (loss === "all" || random.chance(0.5)))
    if (lost === undefined || !existsSync(lost)) return 0
    rmSync(lost, { recursive: true })
    return this.folders.length - this.folders.indexOf(lost)
  }
}
