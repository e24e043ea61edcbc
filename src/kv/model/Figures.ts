/**
 * The figures about the whole store, in one row.
 *
 * ```
 * revision u64 · compacted u64 · log time u64 · history bytes u64 · compacted bytes u64
 * ```
 */
import { Reader, Writer } from "../../bytes/Binary.ts"

export interface Figures {
  /** The last revision: every command that changes a key takes the next one. Gapless. */
  readonly revision: number
  /** The history up to and including this revision is gone. */
  readonly compacted: number
  /**
   * The cluster's clock in milliseconds, as the log tells it: the latest stamp of any entry. It never goes back, and
   * stands still while no leader appends.
   */
  readonly logTimeMs: number
  /** Bytes of history written since the beginning, compacted ones included. */
  readonly historyBytes: number
  /** As many of them were compacted. */
  readonly compactedBytes: number
}

export const noFigures: Figures = { revision: 0, compacted: 0, logTimeMs: 0, historyBytes: 0, compactedBytes: 0 }

export const encodeFigures = (figures: Figures): Uint8Array =>
  new Writer(40)
    .u64(figures.revision)
    .u64(figures.compacted)
    .u64(figures.logTimeMs)
    .u64(figures.historyBytes)
    .u64(figures.compactedBytes)
    .bytes

/** The figures in `bytes`, none for the row that was never written; `undefined` for bytes that hold no figures. */
export const decodeFigures = (bytes: Uint8Array | undefined): Figures | undefined => {
  if (bytes === undefined) return noFigures
  const reader = new Reader(bytes)
  const figures: Figures = {
    revision: reader.u64(),
    compacted: reader.u64(),
    logTimeMs: reader.u64(),
    historyBytes: reader.u64(),
    compactedBytes: reader.u64()
  }
  return reader.complete ? figures : undefined
}
