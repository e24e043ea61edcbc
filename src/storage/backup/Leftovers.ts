/**
 * What commands that were killed have left: each writes under a name of its own, which ends with its process id, until
 * all of it is there. The next one of the same kind removes what no process is at work on.
 */
import { lstatSync, readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { isRunning, staleMs } from "./FolderLock.ts"

/** When a file, or anything in a folder, was last changed. */
const changedMs = (path: string): number => {
  const names = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    ? readdirSync(path, { recursive: true, encoding: "utf8" })
    : []
  return Math.max(...["", ...names].map((name) => statSync(join(path, name), { throwIfNoEntry: false })?.mtimeMs ?? 0))
}

/** Whether it ends like a name with a process id, of a process that is not there, and has rested. */
const isLeft = (path: string, end: string, nowMs: number): boolean => {
  const [, pid] = /^(\d+)(?:-.*)?$/.exec(end) ?? []
  return pid !== undefined && !isRunning(Number(pid)) && nowMs - changedMs(path) >= staleMs
}

/**
 * Removes what lies in a folder as `PREFIX` with a process id behind it, and perhaps `-` and more. A process of another
 * machine or container is not seen from here, so only what did not change for as long as a lock lasts counts as left.
 * What this user may not list or remove stays, and does not hinder anything. In a folder that others may write to,
 * `uid` says whose leftovers are removed.
 */
export const removeLeftovers = (folder: string, prefix: string, nowMs: number, uid?: number): void => {
  try {
    for (const name of readdirSync(folder)) {
      if (!name.startsWith(prefix)) continue
      const path = join(folder, name)
      if (uid !== undefined && lstatSync(path, { throwIfNoEntry: false })?.uid !== uid) continue
      if (isLeft(path, name.slice(prefix.length), nowMs)) {
        rmSync(path, { recursive: true, force: true })
      }
    }
  } catch {
    // Whether there is room without it, the command finds out itself.
  }
}
