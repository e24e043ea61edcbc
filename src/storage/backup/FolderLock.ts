/**
 * One schedule at a time in a folder of backups. The lock is a file that names the process that holds it, with the time
 * at which that process began: one that was killed leaves the file, and its id may go to another program. A process of
 * another machine, or in another container, cannot be looked at: it touches the file as long as it lives. Whatever
 * happens to the lock, each backup has a name of its own and appears whole.
 */
import type { Scope } from "effect"
import { Clock, Data, Effect, Schedule } from "effect"
import { linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
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

/** How often a holder touches its lock, in milliseconds. */
const touchMs = 30_000

/** A lock of another machine that nothing has touched for so long has no holder any more, in milliseconds. */
export const abandonedMs = 600_000

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

/** Whether the lock was touched lately. A time that is yet to come is one of a clock that is ahead. */
const isFresh = (path: string, nowMs: number): boolean => {
  const touched = statSync(path, { throwIfNoEntry: false })
  return touched !== undefined && nowMs - touched.mtimeMs < abandonedMs
}

/** Whether the holder is there still. */
const isHeld = (path: string, { began, host, pid }: Holder, nowMs: number): boolean =>
  host === hostname() ? isRunning(pid) && (began === "" || beginOf(pid) === began) : isFresh(path, nowMs)

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

const acquire = (path: string, nowMs: number): FolderInUse | undefined => {
  const text = `${process.pid} ${hostname()} ${beginOf(process.pid)}\n`
  for (let attempt = 0;; attempt++) {
    const other = take(path, text)
    if (other === undefined) return undefined
    const holder = holderIn(other)
    if (attempt > 0 || (holder !== undefined && isHeld(path, holder, nowMs))) {
      const name = holder === undefined ? "another process" : `process ${holder.pid} of ${holder.host}`
      return new FolderInUse({ path, holder: name })
    }
    if (!discard(path, other)) return new FolderInUse({ path, holder: "another process" })
  }
}

/** Says to other machines that this process lives. A lock that was taken away is missed at its end, not here. */
const touch = (path: string) =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (nowMs) => Effect.ignore(Effect.try(() => utimesSync(path, nowMs / 1_000, nowMs / 1_000)))
  )

/** Holds the folder within the scope. */
export const lockFolder = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<void, FolderInUse | BackupIoError, Scope.Scope> {
  const path = join(folder, lockName)
  const nowMs = yield* Clock.currentTimeMillis
  yield* Effect.acquireRelease(
    Effect.try({
      try: () => acquire(path, nowMs),
      catch: (cause) => new BackupIoError({ operation: "lock", path, cause })
    }).pipe(Effect.filterOrFail((found) => found === undefined, (found) => found as FolderInUse)),
    () => Effect.sync(() => rmSync(path, { force: true }))
  )
  yield* Effect.forkScoped(Effect.repeat(touch(path), Schedule.spaced(touchMs)))
})
