/** A second name, in a folder of its own, for every file that appears in a directory: what was removed can be had again. */
import type { FSWatcher } from "node:fs"
import { linkSync, mkdirSync, readdirSync, rmSync, statSync, watch } from "node:fs"
import { join } from "node:path"
import type { Shadow } from "./VolatileDisk.ts"

export class LinkShadow implements Shadow {
  private readonly folder: string
  private readonly watcher: FSWatcher
  /** What bore each name, by inode, in the order in which it was seen. */
  private readonly seen = new Map<string, Array<number>>()
  private closed = false

  /** `appeared` is told of each name as soon as it is there. `folder` is on the same file system, and is created. */
  constructor(directory: string, appeared: (name: string) => void, folder = `${directory}.shadow`) {
    this.folder = folder
    mkdirSync(this.folder)
    const keep = (name: string): void => {
      const path = join(directory, name)
      try {
        const { ino } = statSync(path)
        const inodes = this.seen.get(name) ?? []
        if (inodes.at(-1) === ino) return
        this.seen.set(name, [...inodes, ino])
        linkSync(path, join(this.folder, String(ino)))
      } catch (error) {
        // Gone again, or known by another name.
        if (!(error instanceof Error && "code" in error && /ENOENT|EEXIST/.test(String(error.code)))) throw error
      }
    }
    this.watcher = watch(directory, (event, name) => {
      if (event !== "rename" || name === null || this.closed) return
      keep(name)
      appeared(name)
    })
    for (const name of readdirSync(directory)) keep(name)
  }

  find(names: ReadonlyArray<string>, others: ReadonlySet<number>): string | undefined {
    for (const name of names) {
      const inode = this.seen.get(name)?.findLast((one) => !others.has(one))
      if (inode !== undefined && this.has(inode)) return join(this.folder, String(inode))
    }
    return undefined
  }

  close(): void {
    this.closed = true
    this.watcher.close()
    rmSync(this.folder, { recursive: true, force: true })
  }

  private has(inode: number): boolean {
    try {
      statSync(join(this.folder, String(inode)))
      return true
    } catch {
      return false
    }
  }
}
