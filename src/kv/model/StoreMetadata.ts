/**
 * The metadata of the store: figures about the whole, in one row.
 *
 * ```
 * revision u64 · compacted u64 · log time u64 · history bytes u64 · compacted bytes u64
 * ```
 */
import { Reader, Writer } from "../../bytes/Binary.ts"

export interface StoreMetadata {
  /** The last revision: every command that changes a key takes the next one. Gapless. */
  readonly revision: number
  /** The history up to and including this revision is gone. */
  readonly compacted: number
  /**
   * The cluster's clock in milliseconds, as the log tells it: the latest timestamp of any entry. It never goes back,
   * and stands still while no leader appends.
   */
  readonly logTimeMs: number
  /** Bytes of history written since the beginning, compacted ones included. */
  readonly historyBytes: number
  /** As many of them were compacted. */
  readonly compactedBytes: number
}

export const noMetadata: StoreMetadata = { revision: 0, compacted: 0, logTimeMs: 0, historyBytes: 0, compactedBytes: 0 }

export const encodeMetadata = (metadata: StoreMetadata): Uint8Array =>
  new Writer(40)
    .u64(metadata.revision)
    .u64(metadata.compacted)
    .u64(metadata.logTimeMs)
    .u64(metadata.historyBytes)
    .u64(metadata.compactedBytes)
    .bytes

/**
 * The metadata in `bytes`, that of an empty store for a row that was never written; `undefined` for bytes that hold
 * none.
 */
export const decodeMetadata = (bytes: Uint8Array | undefined): StoreMetadata | undefined => {
  if (bytes === undefined) return noMetadata
  const reader = new Reader(bytes)
  const metadata: StoreMetadata = {
    revision: reader.u64(),
    compacted: reader.u64(),
    logTimeMs: reader.u64(),
    historyBytes: reader.u64(),
    compactedBytes: reader.u64()
  }
  return reader.complete ? metadata : undefined
}
