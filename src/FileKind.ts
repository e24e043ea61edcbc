/** What there is under a name, for messages: what something is says more than what it is not. */
import type { Stats } from "node:fs"
import { statSync } from "node:fs"

const folder = "a folder"

export const fileKind = (stats: Stats): string => {
  if (stats.isFile()) return "a file"
  if (stats.isDirectory()) return folder
  if (stats.isFIFO()) return "a named pipe"
  if (stats.isSocket()) return "a socket"
  return stats.isSymbolicLink() ? "a link" : "a device"
}

/** Why something is not read or written as a file, and what to give. */
export const notAFile = (stats: Stats): string =>
  `it is ${fileKind(stats)}; ${stats.isDirectory() ? "name a file in it" : "name a file"}`

/** What has this name; `undefined` where nothing has, or this user may not look. */
export const kindAt = (path: string): string | undefined => {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats === undefined ? undefined : fileKind(stats)
  } catch {
    return undefined
  }
}

export const isFolder = (path: string): boolean => kindAt(path) === folder
