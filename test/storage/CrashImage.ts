import { Effect } from "effect"
import { cpSync, readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"

/** As often as the files of a directory at rest may change before they are left alone. */
const attempts = 200

/** What changes when any file of a directory is written, renamed or deleted. */
const stateOf = (path: string): string =>
  readdirSync(path).toSorted().map((name) => {
    const stats = statSync(join(path, name), { throwIfNoEntry: false })
    return stats === undefined ? `${name} gone` : `${name} ${stats.size} ${stats.mtimeMs}`
  }).join("\n")

const isGone = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT"

/**
 * Copies a data directory as kill -9 of its node would leave it: the files of one moment, without a close and without
 * the lock of the process that has it open.
 *
 * Files are copied one after another. When one of them changed meanwhile, as RocksDB's threads and the durable floor do
 * behind a node at rest, the copy shows no moment at all and is taken again. Whoever writes without a pause gets an
 * error.
 */
export const copyCrashImage = (path: string, copy: string): void => {
  for (let left = attempts; left > 0; left--) {
    rmSync(copy, { recursive: true, force: true })
    const before = stateOf(path)
    try {
      cpSync(path, copy, { recursive: true })
    } catch (error) {
      if (isGone(error)) continue
      throw error
    }
    if (stateOf(path) !== before) continue
    rmSync(join(copy, "LOCK"), { force: true })
    return
  }
  throw new Error(`${path} changed during each of ${attempts} copies`)
}

/** {@link copyCrashImage} as an effect, which gives the copy's path. */
export const crashImage = (path: string, copy: string): Effect.Effect<string> =>
  Effect.sync(() => {
    copyCrashImage(path, copy)
    return copy
  })
