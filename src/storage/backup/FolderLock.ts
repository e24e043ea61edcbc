/**
 * One schedule at a time in a folder of backups. The lock is a file that names the process that holds it, with the time
 * at which that process began: one that was killed leaves the file, and its id may go to another program. Of a process
 * of another machine, or of a container with a name of its own, only the file is seen: its holder touches it every
 * minute, and one that was not touched for long is of a process that was killed. Whatever happens to the lock, each
 * backup has a name of its own and appears whole.
 */
import type { Scope } from "effect"
import { Data, Effect, Schedule } from "effect"
import { linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { errorCode, isExisting, isMissing } from "../../ErrorCode.ts"
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

/** How often a holder touches its lock, and when it is taken for dead: in milliseconds. */
const touchMs = 60_000
export const staleMs = 15 * 60_000

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

/** Whether a process of this machine has the id. */
export const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errorCode(error) === "EPERM"
  }
}

const holderIn = (text: string): Holder | undefined => {
  const [, pid, host = "", began = ""] = /^(\d+) (\S+) (\d*)\n$/.exec(text) ?? []
  return pid === undefined ? undefined : { pid: Number(pid), host, began }
}

/** Whether the holder is there still. `idleMs` is how long its file was not touched. */
const isHeld = ({ began, host, pid }: Holder, idleMs: number): boolean =>
  host === hostname() ? isRunning(pid) && (began === "" || beginOf(pid) === began) : idleMs < staleMs

/** The text of a lock; empty when its holder has just taken it away, which is looked at once more. */
const textOf = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if (isMissing(error)) return ""
    throw error
  }
}

interface Found {
  readonly text: string
  readonly idleMs: number
}

/** Puts the file there; gives the holder's when there is one. */
const take = (path: string, text: string): Found | undefined => {
  const own = `${path}.${process.pid}`
  try {
    writeFileSync(own, text, { mode: 0o600 })
    // Unlike a file that is opened and then written, it is there with its content or not at all.
    linkSync(own, path)
    return undefined
  } catch (error) {
    if (!isExisting(error)) throw error
    // Both times are by the clock of the file system, which another machine may keep.
    const nowMs = statSync(own).mtimeMs
    const touchedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? nowMs
    return { text: textOf(path), idleMs: nowMs - touchedMs }
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

const acquire = (path: string, text: string): FolderInUse | undefined => {
  for (let attempt = 0;; attempt++) {
    const other = take(path, text)
    if (other === undefined) return undefined
    const holder = holderIn(other.text)
    if (attempt > 0 || (holder !== undefined && isHeld(holder, other.idleMs))) {
      const name = holder === undefined ? "another process" : `process ${holder.pid} of ${holder.host}`
      return new FolderInUse({ path, holder: name })
    }
    if (!discard(path, other.text)) return new FolderInUse({ path, holder: "another process" })
  }
}

/** Does something to the lock while it is this process's own. */
const whileOwn = (path: string, text: string, run: () => void): Effect.Effect<void> =>
  Effect.ignore(Effect.try(() => {
    if (textOf(path) === text) run()
  }))

const touch = (path: string): void => {
  const now = Date.now() / 1_000
  utimesSync(path, now, now)
}

/** Holds the folder within the scope. */
export const lockFolder = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<void, FolderInUse | BackupIoError, Scope.Scope> {
  const path = join(folder, lockName)
  const text = `${process.pid} ${hostname()} ${beginOf(process.pid)}\n`
  yield* Effect.acquireRelease(
    Effect.try({
      try: () => acquire(path, text),
      catch: (cause) => new BackupIoError({ operation: "lock", path, cause })
    }).pipe(Effect.filterOrFail((found) => found === undefined, (found) => found as FolderInUse)),
    () => whileOwn(path, text, () => rmSync(path, { force: true }))
  )
  yield* Effect.forkScoped(Effect.repeat(whileOwn(path, text, () => touch(path)), Schedule.spaced(touchMs)))
})
