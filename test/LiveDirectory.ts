import { renameSync, rmSync } from "node:fs"

/**
 * Removes a directory that a node uses. Files that the node makes meanwhile would keep the directory from being empty:
 * so its name goes first.
 */
export function removeLive(directory: string): void {
  const away = `${directory}.removed`
  renameSync(directory, away)
  rmSync(away, { recursive: true })
}
