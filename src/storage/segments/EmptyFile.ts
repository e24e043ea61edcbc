/** The file of a segment before anything is in it. */
import { closeSync, fstatSync, fsync as fsyncCallback, ftruncate, open } from "node:fs"
import { promisify } from "node:util"
import type { FileIdentity } from "../FileIdentity.ts"
import { syncFolderAsync } from "../Folder.ts"

const openFile = promisify(open)
const truncate = promisify(ftruncate)
const fsync = promisify(fsyncCallback)

/** A file of zeros that is there after a power loss too, under its name and with its length. */
export interface EmptyFile {
  readonly sequence: number
  readonly path: string
  readonly descriptor: number
  readonly identity: FileIdentity
  /** Bytes it has. */
  readonly capacity: number
}

/** Makes an empty file at `path`, in `folder`, where nothing may be yet. */
export const makeEmptyFile = async (
  folder: string,
  path: string,
  sequence: number,
  capacity: number
): Promise<EmptyFile> => {
  const descriptor = await openFile(path, "wx", 0o600)
  try {
    await truncate(descriptor, capacity)
    await fsync(descriptor)
    await syncFolderAsync(folder)
    return { sequence, path, descriptor, identity: fstatSync(descriptor), capacity }
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}
