/** Which file or folder it is, whatever its name. */
import type { Stats } from "node:fs"
import { statSync } from "node:fs"

export type FileIdentity = Pick<Stats, "dev" | "ino">

export const isSame = (one: FileIdentity, other: FileIdentity): boolean =>
  one.ino === other.ino && one.dev === other.dev

/** Whether a path names this very file or folder. */
export const isAt = (path: string, identity: FileIdentity): boolean => {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat !== undefined && isSame(stat, identity)
}
