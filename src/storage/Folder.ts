/** Folders whose names survive a power loss. */
import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, statSync } from "node:fs"
import { open } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { fileKind } from "../FileKind.ts"
import { errorText } from "../ErrorText.ts"
import { othersMayUse } from "../SecretFile.ts"
import { errorCode, isExisting } from "../ErrorCode.ts"
import { FolderError } from "./StorageError.ts"

/** Makes the names in a folder durable: what was created, renamed or removed there. */
export const syncFolder = (path: string): void => {
  const folder = openSync(path, "r")
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** {@link syncFolder} on the thread pool. */
export const syncFolderAsync = async (path: string): Promise<void> => {
  const folder = await open(path, "r")
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/**
 * A folder that others made may be one that this process may not read, or on a file system that cannot sync folders.
 */
const notToBeSynced = new Set(["EACCES", "EPERM", "EINVAL", "ENOTSUP", "EROFS"])

/** Why a folder is open to others than its owner, and how to close it; `undefined` when it is not. */
export const openToOthers = (path: string): string | undefined => {
  const mode = statSync(path).mode & 0o777
  return !othersMayUse(mode)
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
  const made = createMissing(path)
  const device = statSync(path).dev
  let own = made !== undefined
  for (let child = resolve(path), parent = dirname(child); parent !== child; child = parent, parent = dirname(child)) {
    if (!own && statSync(parent).dev !== device) return
    try {
      syncFolder(parent)
    } catch (error) {
      if (own || !notToBeSynced.has(errorCode(error) ?? "")) throw error
    }
    if (child === made) own = false
  }
}

/** What the system's codes mean where a folder is to be created. */
const meanings: Readonly<Record<string, (parent: string) => string>> = {
  EACCES: (parent) => `this process may not create anything in ${parent}`,
  EPERM: (parent) => `nothing may be created in ${parent}`,
  ENOENT: (parent) => `nothing can be created in ${parent}`,
  EROFS: (parent) => `the file system of ${parent} is read-only`,
  ENOSPC: (parent) => `the file system of ${parent} is full`,
  EDQUOT: (parent) => `the quota in ${parent} is used up`,
  ENAMETOOLONG: () => "a name in it is too long for the file system",
  ELOOP: () => "its links lead in a circle"
}

const folderError = (path: string, at: string, cause: unknown): FolderError => {
  const code = errorCode(cause) ?? ""
  const meaning = meanings[code]?.(dirname(at))
  const text = errorText(cause)
  return new FolderError({ path, problem: meaning === undefined ? text : `${meaning} (${code})` })
}

/** Whether something has this name, if only a link. What is below a file is not there. */
const isThere = (path: string): boolean => {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    if (errorCode(error) === "ENOTDIR") return false
    throw error
  }
}

/**
 * Creates the folders that are missing, one at a time, and gives the first of them. So an error has its folder, and
 * nothing is tried twice: the recursive `mkdir` of Node 24 does not always end.
 */
const createMissing = (path: string): string | undefined => {
  const missing: Array<string> = []
  let made: string | undefined
  let at = resolve(path)
  try {
    while (!isThere(at) && dirname(at) !== at) {
      missing.push(at)
      at = dirname(at)
    }
    requireFolder(path, at)
    for (at = missing.pop() ?? ""; at !== ""; at = missing.pop() ?? "") {
      // Another process may have created it meanwhile.
      if (makeFolder(at)) made ??= at
      else requireFolder(path, at)
    }
  } catch (cause) {
    throw cause instanceof FolderError ? cause : folderError(path, at, cause)
  }
  return made
}

/** Whether this call created it; otherwise something with its name is there. */
const makeFolder = (path: string): boolean => {
  try {
    mkdirSync(path, { mode: 0o700 })
    return true
  } catch (error) {
    if (isExisting(error)) return false
    throw error
  }
}

const requireFolder = (path: string, at: string): void => {
  const stats = statSync(at, { throwIfNoEntry: false })
  if (stats?.isDirectory() === true) return
  throw new FolderError({
    path,
    problem: `${at} is ${stats === undefined ? "a link to nothing" : `${fileKind(stats)}, and no folder`}`
  })
}

/** How the names of a file begin until it is whole, in whichever process; its id is behind that. */
export const partialPrefix = (path: string): string => `${path}.partial-`

/** The name of a file until it is whole, beside the one that it is to have. */
export const partialPath = (path: string): string => `${partialPrefix(path)}${process.pid}`

/** Why a file cannot be made where its folder is missing, and what to do. */
export const folderMissing = (path: string): string => `the folder ${dirname(path)} does not exist; make it first`
