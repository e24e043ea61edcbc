/** What this process has open. */
import { readdirSync, readlinkSync } from "node:fs"

const targetOf = (descriptor: string): ReadonlyArray<string> => {
  try {
    return [readlinkSync(`/proc/self/fd/${descriptor}`)]
  } catch {
    // That of the list itself is closed by now.
    return []
  }
}

/** The folder, and files in it, that this process has open. Linux alone tells. */
export const openFiles = (folder: string): ReadonlyArray<string> =>
  process.platform === "linux"
    ? readdirSync("/proc/self/fd").flatMap(targetOf).filter((path) => path === folder || path.startsWith(`${folder}/`))
    : []
