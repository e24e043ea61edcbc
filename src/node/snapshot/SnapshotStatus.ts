import type { SnapshotProgress } from "./SnapshotSender.ts"

/** The snapshots in transfer to this node and from it, and the bytes of all since the start. */
export interface SnapshotStatus {
  readonly sending: ReadonlyArray<SnapshotProgress>
  readonly receiving: SnapshotProgress | undefined
  readonly sentBytes: number
  readonly receivedBytes: number
}
