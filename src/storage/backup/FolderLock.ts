/**
 * One schedule at a time in a folder of backups. The lock is a file that names the process that holds it, with the time
 * at which that process began: one that was killed leaves the file, and its id may go to another program. Whatever
 * happens to the lock, each backup has a name of its own and appears whole.
 */
import type { Scope } from "effect"
import { Data, Effect } from "effect"
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { BackupIoError } from "./BackupReader.ts"

/** Another process makes backups into the folder. */
export class FolderInUse extends Data.TaggedError("FolderInUse")<{
  readonly path: string
  readonly holder: string
}> {
  override get message() {
    return `${this.path} says that ${this.holder} makes backups here; one at a time does. Wait for it, or remove ` +
      "that file if there is no such process"
  }
}

export const lockName = ".flaredb-backups.lock"

interface Holder {
  readonly pid: number
  readonly host: string
  /** When the process began, as the system counts it; empty where that is not told. */
  readonly began: string
}

/** The 22nd field of `stat`, counted behind the name of the program, which may have blanks in it. */
const beginOf = (pid: number): string => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
  } catch {
    return ""
  }
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

const holderIn = (text: string): Holder | undefined => {
  const [, pid, host = "", began = ""] = /^(\d+) (\S+) (\d*)\n$/.exec(text) ?? []
  return pid === undefined ? undefined : { pid: Number(pid), host, began }
}

/** Whether the holder is there still. A process of another machine cannot be looked at. */
const isHeld = ({ began, host, pid }: Holder): boolean =>
  host !== hostname() || (isRunning(pid) && (began === "" || beginOf(pid) === began))

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code

const isExisting = (error: unknown): boolean => hasCode(error, "EEXIST")

const isMissing = (error: unknown): boolean => hasCode(error, "ENOENT")

/** The text of a lock; empty when its holder has just taken it away, which is looked at once more. */
const textOf = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if (isMissing(error)) return ""
    throw error
  }
}

/** Puts the file there; gives the holder's text when there is one. */
const take = (path: string, text: string): string | undefined => {
  const own = `${path}.${process.pid}`
  writeFileSync(own, text, { mode: 0o600 })
  try {
    // Unlike a file that is opened and then written, it is there with its content or not at all.
    linkSync(own, path)
    return undefined
  } catch (error) {
    if (!isExisting(error)) throw error
    return textOf(path)
  } finally {
    rmSync(own, { force: true })
  }
}

/**
 * Takes a lock away that says `text`. Another process may have done so meanwhile, and have its own there: that is put
 * back.
 */
const discard = (path: string, text: string): boolean => {
  const stale = `${path}.stale-${process.pid}`
  try {
    renameSync(path, stale)
  } catch (error) {
    if (isMissing(error)) return true
    throw error
  }
  try {
    if (readFileSync(stale, "utf8") === text) return true
    linkSync(stale, path)
    return false
  } finally {
    rmSync(stale, { force: true })
  }
}

const acquire = (path: string): FolderInUse | undefined => {
  const text = `${process.pid} ${hostname()} ${beginOf(process.pid)}\n`
  for (let attempt = 0;; attempt++) {
    const other = take(path, text)
    if (other === undefined) return undefined
    const holder = holderIn(other)
    if (attempt > 0 || (holder !== undefined && isHeld(holder))) {
      const name = holder === undefined ? "another process" : `process ${holder.pid} of ${holder.host}`
      return new FolderInUse({ path, holder: name })
    }
    if (!discard(path, other)) return new FolderInUse({ path, holder: "another process" })
  }
}

/** Holds the folder within the scope. */
export const lockFolder = (folder: string): Effect.Effect<void, FolderInUse | BackupIoError, Scope.Scope> => {
  const path = join(folder, lockName)
  return Effect.asVoid(Effect.acquireRelease(
    Effect.try({
      try: () => acquire(path),
      catch: (cause) => new BackupIoError({ operation: "lock", path, cause })
    }).pipe(Effect.filterOrFail((found) => found === undefined, (found) => found as FolderInUse)),
    () => Effect.sync(() => rmSync(path, { force: true }))
  ))
}
