/** Segments in a directory whose log is in rows: a move into segments was killed, or failed, before it was done. */
import { readdirSync, unlinkSync } from "node:fs"
import { join } from "node:path"
import { syncFolder } from "../Folder.ts"
import { isPartial, sequenceOf } from "./SegmentFormat.ts"

/** Removes them, durably: a disk that they have filled is of use again. */
export const removeStraySegments = (path: string): void => {
  const stray = readdirSync(path).filter((name) => sequenceOf(name) !== undefined || isPartial(name))
  if (stray.length === 0) return
  for (const name of stray) unlinkSync(join(path, name))
  syncFolder(path)
}
