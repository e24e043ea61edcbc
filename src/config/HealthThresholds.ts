/**
 * Limits beyond which a figure of a node is a problem: `flaredb doctor`, the console and the rules of
 * `deploy/prometheus/flaredb.rules.yml` judge by them. Rules are files, and a test compares them with this record.
 */
import { warnShare } from "../BoundedTables.ts"
import { defaultLimits } from "./Limits.ts"

export const healthThresholds = {
  /**
   * What etcd asks of a disk: the 99th percentile of a sync of its log, in milliseconds. Only the doctor warns of it.
   */
  goodSyncMs: 10,
  /** From here on elections are lost to the disk: a fifth of the shortest election timeout. */
  slowSyncMs: 100,
  /** Free shares of a disk: below the first one room is to be made soon, below the second one now. */
  lowRoomShare: 0.15,
  criticalRoomShare: 0.05,
  /** The same for small disks, in bytes. */
  lowRoomBytes: 1024 ** 3,
  criticalRoomBytes: 256 * 1024 ** 2,
  /** The share of the heap's limit that may be in use. */
  heapShare: 0.85,
  /**
   * Committed entries that a node may have yet to apply: about a second of writes at full load, so a node that keeps
   * pace is always below. A node that is further behind says that it waits. The alert asks for five minutes of it.
   */
  lagEntries: 10_000,
  /**
   * The same for the node whose help an upgrade counts on: while another one restarts, each write waits for what this
   * one lacks. That many are applied in a tenth of a second, and under load some always are to be.
   */
  restartLagEntries: 1_000,
  /** Between the clocks of two nodes, beyond what the measurement explains: a node warns of the first in its log. */
  clockMs: defaultLimits.maxClockDifferenceMs,
  /** From here on leases that outlive a leader end visibly late or early. Only the doctor calls it a failure. */
  failingClockMs: 10_000,
  /** Share of a table's limit, or of the descriptors, that may be in use. */
  tableShare: warnShare,
  /** Days before the end of a certificate: to renew it, when renewing it was missed, and when somebody is woken. */
  renewCertificateDays: 30,
  lateCertificateDays: 14,
  endingCertificateDays: 2,
  /** Hours that the newest backup of a daily schedule may be old: a day, and what taking it may last. */
  backupHours: 26
} as const

/** A share for people. */
export const percent = (share: number): string => `${Math.round(share * 100)} %`

/** Whether a node that has to apply `lag` entries more is behind the others. */
export const isFarBehind = (lag: number): boolean => lag > healthThresholds.lagEntries

/** How much room is left on a disk. */
export const roomLevel = (freeBytes: number, totalBytes: number): "enough" | "low" | "critical" => {
  const { criticalRoomBytes, criticalRoomShare, lowRoomBytes, lowRoomShare } = healthThresholds
  return freeBytes < criticalRoomBytes || freeBytes < criticalRoomShare * totalBytes
    ? "critical"
    : freeBytes < lowRoomBytes || freeBytes < lowRoomShare * totalBytes
    ? "low"
    : "enough"
}
