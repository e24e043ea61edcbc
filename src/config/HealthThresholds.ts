/**
 * Limits beyond which a figure of a node is a problem: `flaredb doctor`, the console and the rules of
 * `deploy/prometheus/flaredb.rules.yml` judge by them. Rules are files, and a test compares them with this record.
 */

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
  heapShare: 0.85
} as const

/** How much room is left on a disk. */
export const roomLevel = (freeBytes: number, totalBytes: number): "enough" | "low" | "critical" => {
  const { criticalRoomBytes, criticalRoomShare, lowRoomBytes, lowRoomShare } = healthThresholds
  return freeBytes < criticalRoomBytes || freeBytes < criticalRoomShare * totalBytes
    ? "critical"
    : freeBytes < lowRoomBytes || freeBytes < lowRoomShare * totalBytes
    ? "low"
    : "enough"
}
