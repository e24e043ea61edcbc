/**
 * Names of the backups that a schedule makes: `CLUSTER-20261129T105347Z-r12345.flaredb`. The time is when it was taken,
 * in UTC, and the number its revision, so that names of one cluster sort by time.
 */
import { readdirSync } from "node:fs"
import { partialPrefix } from "../Folder.ts"

export interface ScheduledBackup {
  readonly name: string
  readonly clusterId: string
  /** When it was taken, to the second. */
  readonly createdMs: number
  readonly revision: number
}

const written = /^(.{1,64})-(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z-r(\d{1,16})\.flaredb$/

export const backupName = (clusterId: string, createdMs: number, revision: number): string => {
  const time = new Date(createdMs).toISOString().replace(/\.\d+Z$/, "Z").replace(/[-:]/g, "")
  return `${clusterId}-${time}-r${revision}.flaredb`
}

/** What the name says; `undefined` for any other file, which a schedule never touches. */
export const parseBackupName = (name: string): ScheduledBackup | undefined => {
  const [, clusterId, year, month, day, hour, minute, second, revision] = written.exec(name) ?? []
  if (clusterId === undefined) return undefined
  const createdMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(createdMs) ? undefined : { name, clusterId, createdMs, revision: Number(revision) }
}

/** The backups in a folder that a schedule made, the newest first. Throws the system's error. */
export const backupsIn = (folder: string): ReadonlyArray<ScheduledBackup> =>
  readdirSync(folder)
    .flatMap((name) => parseBackupName(name) ?? [])
    .sort((a, b) => b.createdMs - a.createdMs || b.revision - a.revision || (a.name < b.name ? 1 : -1))

/** What a backup of a schedule is called until it has been checked. */
export const unnamed = "taking.flaredb"

const unnamedPrefix = partialPrefix(unnamed)

/**
 * What a schedule that was killed left behind: the file of `BackupWriter.ts` before it gets its name. One that somebody
 * takes by hand into the same folder has another name, and goes on.
 */
export const isPartial = (name: string): boolean =>
  name.startsWith(unnamedPrefix) && /^\d+$/.test(name.slice(unnamedPrefix.length))
