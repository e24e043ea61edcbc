/**
 * A file that a command writes: under a name of its own until it is whole and on the disk. Whatever goes wrong before
 * leaves no file under the name that was asked for.
 */
import { Clock, Effect } from "effect"
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from "node:fs"
import { basename, dirname } from "node:path"
import { errorCode, isExisting, isMissing } from "../../ErrorCode.ts"
import { openPipe, writePipe } from "../../PipeFile.ts"
import { removeLeftovers } from "../../storage/backup/Leftovers.ts"
import { folderMissing, partialPath, partialPrefix, syncFolder } from "../../storage/Folder.ts"
import type { Failure } from "./Failure.ts"
import { failed, wrongUsage } from "./Failure.ts"
import { unwrittenText } from "../../ErrorText.ts"

/** Names of standard output. A descriptor that is a socket cannot be opened by its name. */
export const isStandardOutput = (path: string): boolean =>
  path === "-" || path === "/dev/stdout" || path === "/dev/fd/1" || path === "/proc/self/fd/1"

const kindOf = (path: string): "nothing" | "file" | "other" => {
  const found = statSync(path, { throwIfNoEntry: false })
  return found === undefined ? "nothing" : found.isFile() ? "file" : "other"
}

const exists = (path: string, advice = "give another name, or --force to replace it"): Failure =>
  wrongUsage(`${path} exists already; ${advice}`)

const notWritten = (path: string, error: unknown): Failure =>
  failed(`${path} cannot be written: ${reasonOf(path, error)}`)

const isFolder = "it is a folder; name a file in it"

/** The system's error names a temporary file, of which the user knows nothing. */
const reasonOf = (path: string, error: unknown): string => {
  if (isMissing(error)) return folderMissing(path)
  if (errorCode(error) === "EISDIR") return isFolder
  return unwrittenText(error)
}

/** Why a file cannot be written, as far as can be seen before. */
const problemOf = (path: string, force: boolean): Failure | undefined => {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats?.isDirectory() === true) return failed(`${path} cannot be written: ${isFolder}`)
  if (stats?.isFile() === true && !force) return exists(path)
  return stats === undefined && !existsSync(dirname(path))
    ? failed(`${path} cannot be written: ${folderMissing(path)}`)
    : undefined
}

/** Refuses a name that is taken, or that no file can have, before anything is done for it. */
export const checkOutputFile = (path: string, force: boolean): Effect.Effect<void, Failure> =>
  Effect.suspend(() => {
    if (path === "") return Effect.fail(wrongUsage("--output is empty; give a file, or - for standard output"))
    return Effect.try({ try: () => problemOf(path, force), catch: (error) => notWritten(path, error) }).pipe(
      Effect.flatMap((problem) => problem === undefined ? Effect.void : Effect.fail(problem))
    )
  })

const writeAll = (file: number, bytes: Uint8Array): void => {
  for (let offset = 0; offset < bytes.byteLength;) offset += writeSync(file, bytes, offset)
}

const write = (path: string, bytes: Uint8Array, mode: number): void => {
  // A process of this id that was killed may have left its temporary file: in a container ids are the same each time.
  rmSync(path, { force: true })
  const file = openSync(path, "wx", ownerOnly)
  try {
    writeAll(file, bytes)
    // What a process creates is for its owner alone, whatever mode it asks for.
    if (mode !== ownerOnly) fchmodSync(file, mode)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

const ownerOnly = 0o600

/** What of an earlier process did not change for so many milliseconds is left: it is written at once. */
const restMs = 60_000

/**
 * Writes a file, for its owner alone unless a mode is given. A device or a pipe of that name is written into, and keeps
 * its own mode: others use it too. `advice` says what to do when the name is taken.
 */
export const writeOutputFile = (
  path: string,
  bytes: Uint8Array,
  force: boolean,
  { advice, mode = ownerOnly }: { readonly advice?: string; readonly mode?: number } = {}
): Effect.Effect<void, Failure> =>
  Effect.flatMap(
    Effect.try({ try: () => kindOf(path), catch: (error) => notWritten(path, error) }),
    (kind) => kind === "other" ? writeStraight(path, bytes) : writeNamed(path, bytes, force, mode, advice)
  )

/** Into a device, or a pipe once it has a reader. */
const writeStraight = (path: string, bytes: Uint8Array): Effect.Effect<void, Failure> =>
  Effect.acquireUseRelease(
    Effect.interruptible(openPipe(path)),
    (file) => Effect.tryPromise({ try: () => writePipe(file, bytes), catch: (error) => error }),
    (file) => Effect.promise(() => file.close().catch(() => undefined))
  ).pipe(Effect.mapError((error) => notWritten(path, error)))

const writeNamed = (
  path: string,
  bytes: Uint8Array,
  force: boolean,
  mode: number,
  advice?: string
): Effect.Effect<void, Failure> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMs) =>
    Effect.try({
      try: () => {
        const temporary = partialPath(path)
        // One that was killed may have left a key there.
        removeLeftovers(dirname(path), partialPrefix(basename(path)), nowMs, { restMs, uid: process.getuid?.() })
        try {
          write(temporary, bytes, mode)
          if (force) {
            renameSync(temporary, path)
          } else {
            linkSync(temporary, path)
            rmSync(temporary)
          }
        } catch (error) {
          rmSync(temporary, { force: true })
          throw error
        }
        syncFolder(dirname(path))
      },
      catch: (error) => isExisting(error) ? exists(path, advice) : notWritten(path, error)
    }))
