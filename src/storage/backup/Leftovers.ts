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

export interface LeftoverOptions {
  /** Whose leftovers are removed, in a folder that others may write to. */
  readonly uid?: number | undefined
  /** Milliseconds without a change after which it counts as left. Default: as long as a lock lasts. */
  readonly restMs?: number | undefined
}

/** Whether it ends like a name with a process id, of a process that is not there, and has rested. */
const isLeft = (path: string, end: string, nowMs: number, restMs: number): boolean => {
  const [, pid] = /^(\d+)(?:-.*)?$/.exec(end) ?? []
  return pid !== undefined && !isRunning(Number(pid)) && nowMs - changedMs(path) >= restMs
}

/**
 * Removes what lies in a folder as `PREFIX` with a process id behind it, and perhaps `-` and more. A process of another
 * machine or container is not seen from here, so only what did not change for a while counts as left. What this user
 * may not list or remove stays, and does not hinder anything.
 */
export const removeLeftovers = (
  folder: string,
  prefix: string,
  nowMs: number,
  { restMs = staleMs, uid }: LeftoverOptions = {}
): void => {
  try {
    for (const name of readdirSync(folder)) {
      if (!name.startsWith(prefix)) continue
      const path = join(folder, name)
      if (uid !== undefined && lstatSync(path, { throwIfNoEntry: false })?.uid !== uid) continue
      if (isLeft(path, name.slice(prefix.length), nowMs, restMs)) {
        rmSync(path, { recursive: true, force: true })
      }
    }
  } catch {
    // Whether there is room without it, the command finds out itself.
  }
}
