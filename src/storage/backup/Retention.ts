/**
 * Which backups of a folder are kept: the newest of each of so many hours, days, weeks and months, and so many of the
 * newest. The newest one is always kept, whatever the counts say.
 */
import type { ScheduledBackup } from "./BackupNames.ts"

/** How many of each are kept. Hours, days and months are those of UTC; a week begins on Monday. */
export interface Keep {
  readonly last: number
  readonly hourly: number
  readonly daily: number
  readonly weekly: number
  readonly monthly: number
}

const dayMs = 86_400_000

/** The first Monday of the epoch was its fifth day. */
const weekOf = (ms: number): number => Math.floor((ms / dayMs + 3) / 7)

const periods: ReadonlyArray<readonly [keyof Keep, (ms: number) => number | string]> = [
  ["hourly", (ms) => Math.floor(ms / 3_600_000)],
  ["daily", (ms) => Math.floor(ms / dayMs)],
  ["weekly", weekOf],
  ["monthly", (ms) => new Date(ms).toISOString().slice(0, 7)]
]

/** The backups that may go. `backups` are of one cluster, the newest first. */
export const expired = (backups: ReadonlyArray<ScheduledBackup>, keep: Keep): ReadonlyArray<ScheduledBackup> => {
  const kept = new Set<ScheduledBackup>(backups.slice(0, Math.max(1, keep.last)))
  for (const [name, periodOf] of periods) {
    const seen = new Set<number | string>()
    for (const backup of backups) {
      const period = periodOf(backup.createdMs)
      if (seen.has(period)) continue
      if (seen.size === keep[name]) break
      seen.add(period)
      kept.add(backup)
    }
  }
  return backups.filter((backup) => !kept.has(backup))
}
