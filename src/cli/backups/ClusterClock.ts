/**
 * The cluster's clock against that of the machines, as a backup shows both. The first stands still while no node leads,
 * so after a night without power it is behind by a night, for good.
 */
import type { BackupHeader } from "../../protocol/BackupFile.ts"
import { formatDuration } from "../../DurationText.ts"

/** From so many milliseconds on an operator who means a time of the wall clock has to know. */
const noticedMs = 10_000

const iso = (ms: number): string => new Date(ms).toISOString()

/**
 * What to know before a time is given by the clock on the wall; `undefined` when there is no difference. A cluster in
 * which nothing happened looks the same as one whose clock is behind.
 */
export const clockDifference = (
  { createdMs, logTimeMs }: Pick<BackupHeader, "createdMs" | "logTimeMs">
): string | undefined => {
  const behindMs = createdMs - logTimeMs
  if (behindMs < noticedMs) return undefined
  return `the last entry of the later backup is of ${iso(logTimeMs)} by the cluster's clock, and it was taken at ` +
    `${iso(createdMs)}. Unless nothing was written in between, that clock is behind by up to ` +
    `${formatDuration(Math.floor(behindMs / 1_000) * 1_000)}, because it stands still while no node leads: ` +
    "give --time by the cluster's clock, or --revision"
}
