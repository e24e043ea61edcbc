/** Segments in a directory whose log is in rows: a move into segments was killed, or failed, before it was done. */
import { Effect } from "effect"
import { readdirSync, unlinkSync } from "node:fs"
import { join } from "node:path"
import { syncFolder } from "../Folder.ts"
import type { StorageError } from "../StorageError.ts"
import { failureIn } from "../StorageError.ts"
import { isPartial, sequenceOf } from "./SegmentFormat.ts"

/** Removes them, durably: a disk that they have filled is of use again. */
export const removeStraySegments = (path: string): Effect.Effect<void, StorageError> =>
  Effect.try({
    try: () => {
      const stray = readdirSync(path).filter((name) => sequenceOf(name) !== undefined || isPartial(name))
      if (stray.length === 0) return
      for (const name of stray) unlinkSync(join(path, name))
      syncFolder(path)
    },
    catch: (cause) => failureIn("remove what a move of the log has left", path, cause)
  })
