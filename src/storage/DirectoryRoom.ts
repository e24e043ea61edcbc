/** What a directory takes of its disk, and what the file system under it has left. */
import { readdir, stat, statfs } from "node:fs/promises"
import { join } from "node:path"

/** Of a whole file system, which others may fill too. What only root may use does not count as free. */
export interface Room {
  readonly freeBytes: number
  readonly totalBytes: number
  readonly freeFiles: number
  readonly totalFiles: number
}

/** The room of the file system that `path` is on. Rejects when it cannot be asked. */
export const roomAt = async (path: string): Promise<Room> => {
  const { bavail, blocks, bsize, ffree, files } = await statfs(path)
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, freeFiles: ffree, totalFiles: files }
}

/** Most files that are looked at. A data directory has some hundreds. */
const maxFiles = 100_000

/** The bytes that the files below a directory take. Rejects when it cannot be read. */
export const bytesBelow = async (directory: string): Promise<number> => {
  const names = await readdir(directory, { recursive: true })
  let bytes = 0
  for (const name of names.slice(0, maxFiles)) {
    // RocksDB removes files while this goes on.
    const found = await stat(join(directory, name)).catch(() => undefined)
    // What is taken, not what a file ends at: log files are reserved, and sparse behind what is in them.
    if (found?.isFile() === true) bytes += found.blocks * 512
  }
  return bytes
}
