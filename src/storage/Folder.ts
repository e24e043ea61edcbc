/** Folders whose names survive a power loss. */
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"

/** Makes the names in a folder durable: what was created, renamed or removed there. */
export const syncFolder = (path: string): void => {
  const folder = openSync(path, "r")
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/**
 * A folder that others made may be one that this process may not read, or on a file system that cannot sync folders.
 */
const notToBeSynced = new Set(["EACCES", "EPERM", "EINVAL", "ENOTSUP", "EROFS"])

/** Why a folder is open to others than its owner, and how to close it; `undefined` when it is not. */
export const openToOthers = (path: string): string | undefined => {
  const mode = statSync(path).mode & 0o777
  return process.platform === "win32" || (mode & 0o077) === 0
    ? undefined
    : `others can reach the data in ${path} (mode ${mode.toString(8).padStart(4, "0")}): ` +
      `run \`chmod -R go-rwx ${path}\``
}

/**
 * Creates a folder and those above it, for their owner alone, and makes their names durable: RocksDB syncs what is
 * inside, not the entry in the parent, and a parent that is lost takes everything below it along.
 *
 * Every folder above is synced, up to the mount point, and not only those that did not exist: who has just created the
 * others, an earlier start that was killed or an operator's `mkdir -p`, has not synced them.
 */
export const createDirectory = (path: string): void => {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 })
  const made = first === undefined ? undefined : resolve(first)
  const device = statSync(path).dev
  let own = made !== undefined
  for (let child = resolve(path), parent = dirname(child); parent !== child; child = parent, parent = dirname(child)) {
    if (!own && statSync(parent).dev !== device) return
    try {
      syncFolder(parent)
    } catch (error) {
      if (own || !(error instanceof Error && "code" in error && notToBeSynced.has(String(error.code)))) throw error
    }
    if (child === made) own = false
  }
}
