/**
 * The file `LOCK`, by which RocksDB keeps a second process out of a directory. Its lock is on the file and not on the
 * name: once the file is removed, another process makes and locks a new one, and both write to the same database.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs"
import { join } from "node:path"
import { DataDirRefused } from "./StorageError.ts"

const lockFile = "LOCK"

const identityOf = (path: string): string | undefined => {
  const found = statSync(join(path, lockFile), { throwIfNoEntry: false })
  return found === undefined ? undefined : `${found.dev}:${found.ino}`
}

/** Watches the lock of a database that this process has open. */
export class LockWatch {
  private readonly path: string
  private readonly own: string | undefined

  constructor(path: string) {
    this.path = path
    this.own = identityOf(path)
  }

  /** Why this process has the directory no longer to itself, if so. */
  problem(): string | undefined {
    return identityOf(this.path) === this.own
      ? undefined
      : "LOCK was removed or replaced, so that another process can write to the database"
  }
}

/** A lock file that is older was not made in place of one that was removed just now. */
const recentMs = 60_000

/** Whether there is a database, and its lock may have been removed under a process that still runs. */
const mayBeUnlocked = (path: string, nowMs: number): boolean => {
  if (!existsSync(join(path, "CURRENT"))) return false
  const found = statSync(join(path, lockFile), { throwIfNoEntry: false })
  return found === undefined || nowMs - found.mtimeMs < recentMs
}

/** What a function gives, or nothing where the system does not let it: processes end, and others' are closed. */
const orNothing = <A>(read: () => ReadonlyArray<A>): ReadonlyArray<A> => {
  try {
    return read()
  } catch {
    return []
  }
}

/**
 * Refuses a directory whose lock was removed while a process has it open. Linux alone tells, and of processes that this
 * user may look at; elsewhere the other process finds it out by its own {@link LockWatch}.
 */
export const removedLock = (path: string, nowMs: number): DataDirRefused | undefined => {
  if (process.platform !== "linux" || !mayBeUnlocked(path, nowMs)) return undefined
  const held = `${realpathSync(path)}/${lockFile} (deleted)`
  const holder = orNothing(() => readdirSync("/proc")).find((id) =>
    /^\d+$/.test(id) &&
    orNothing(() => readdirSync(`/proc/${id}/fd`)).some((descriptor) =>
      orNothing(() => [readlinkSync(`/proc/${id}/fd/${descriptor}`)])[0] === held
    )
  )
  return holder === undefined ? undefined : new DataDirRefused({
    path,
    reason: "locked",
    expected: "a directory no other process uses",
    found: `process ${holder}, under which LOCK was removed`,
    hint: "Stop that process. To remove LOCK frees nothing: two processes then destroy the database."
  })
}

/** How the system's list of locks names a file. */
const listedAs = (path: string): string | undefined => {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (found === undefined) return undefined
  const major = ((found.dev >> 8n) & 0xfffn) | ((found.dev >> 32n) & 0xfffff000n)
  const minor = (found.dev & 0xffn) | ((found.dev >> 12n) & 0xffffff00n)
  const hex = (part: bigint): string => part.toString(16).padStart(2, "0")
  return `${hex(major)}:${hex(minor)}:${found.ino}`
}

/**
 * The process that has the directory open, found without its lock being asked for: a node that starts meanwhile would
 * take that for another one. Linux alone tells, and of processes of the same container.
 */
export const lockHolder = (path: string): number | undefined => {
  if (process.platform !== "linux") return undefined
  const [line] = orNothing(() => {
    const file = listedAs(join(path, lockFile))
    return readFileSync("/proc/locks", "utf8").split("\n").filter((lock) => lock.includes(` ${file} `))
  })
  const found = /POSIX +\S+ +WRITE +(\d+) /.exec(line ?? "")?.[1]
  return found === undefined ? undefined : Number(found)
}
