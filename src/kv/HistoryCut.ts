/**
 * When history is more than is kept for watches, and up to which revision it goes then. The last revision always stays,
 * as after a client's compaction.
 */
import { Effect } from "effect"
import type { StoreMetadata } from "./model/StoreMetadata.ts"
import type { RevisionHead } from "./model/HistoryBlock.ts"
import { loadBlock } from "./model/HistoryBlock.ts"
import type { StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { runLoading } from "../machine/KvLoader.ts"
import { loadMetadata } from "./StoredMetadata.ts"

/** How much history is kept for watches, whichever bound is met first. */
export interface HistoryLimits {
  /** Revisions. */
  readonly maxHistoryRevisions: number
  /** Bytes of changes. */
  readonly maxHistoryBytes: number
  /** Milliseconds, by the log's clock. */
  readonly maxHistoryAgeMs: number
}

export const defaultHistoryLimits: HistoryLimits = {
  maxHistoryRevisions: 1_000_000,
  maxHistoryBytes: 512 * 1024 * 1024,
  maxHistoryAgeMs: 3_600_000
}

/** History grows past a bound by this share before it is cut back to it, so that it is not cut all the time. */
const slack = 0.1

/** Finds how far history goes beyond its bounds. Looks into the store only where it may. */
export class HistoryCut {
  private readonly limits: HistoryLimits
  /** The oldest revision that was kept when the store was looked at last; 0 before. */
  private oldest = 0
  private oldestTimeMs = 0

  constructor(limits: HistoryLimits) {
    this.limits = limits
  }

  /**
   * Up to which revision history should go; `undefined` when it should stay. `metadata` may be ahead of the store, in
   * the middle of a batch: the revision comes from one view of the store.
   */
  revision(
    store: StateStore["Service"],
    metadata: StoreMetadata,
    logTimeMs: number
  ): Effect.Effect<number | undefined, StorageError> {
    return this.isBeyond(metadata, logTimeMs)
      ? store.withView((view) => this.find(view, logTimeMs))
      : Effect.succeed(undefined)
  }

  /** Whether history is beyond a bound, as far as memory knows. */
  private isBeyond({ compacted, compactedBytes, historyBytes, revision }: StoreMetadata, logTimeMs: number): boolean {
    const { maxHistoryBytes, maxHistoryRevisions } = this.limits
    const kept = revision - compacted
    if (kept <= 1) return false
    return kept > maxHistoryRevisions * (1 + slack) ||
      historyBytes - compactedBytes > maxHistoryBytes * (1 + slack) ||
      this.oldest !== compacted + 1 || this.isOld(this.oldestTimeMs, logTimeMs)
  }

  private isOld(timeMs: number, logTimeMs: number): boolean {
    return timeMs < logTimeMs - this.limits.maxHistoryAgeMs * (1 + slack)
  }

  private readonly find = Effect.fnUntraced({ self: this }, function*(
    this: HistoryCut,
    view: StateView,
    logTimeMs: number
  ) {
    const { maxHistoryAgeMs, maxHistoryBytes, maxHistoryRevisions } = this.limits
    const { compacted, compactedBytes, historyBytes, revision } = yield* loadMetadata(view)
    const kept = revision - compacted
    if (kept <= 1) return undefined
    let cut = compacted
    if (kept > maxHistoryRevisions * (1 + slack)) cut = revision - maxHistoryRevisions
    if (historyBytes - compactedBytes > maxHistoryBytes * (1 + slack)) {
      const fits = (head: RevisionHead) => historyBytes - head.historyBytes <= maxHistoryBytes
      cut = Math.max(cut, yield* firstRevision(view, compacted + 1, revision, fits))
    }
    const oldest = yield* runLoading(view, loadBlock(compacted + 1))
    this.oldest = compacted + 1
    this.oldestTimeMs = oldest.head(this.oldest).logTimeMs
    if (this.isOld(this.oldestTimeMs, logTimeMs)) {
      const isYoung = (head: RevisionHead) => head.logTimeMs >= logTimeMs - maxHistoryAgeMs
      cut = Math.max(cut, (yield* firstRevision(view, compacted + 1, revision, isYoung)) - 1)
    }
    cut = Math.min(cut, revision - 1)
    return cut > compacted ? cut : undefined
  })
}

/** The first of `from..through` for which `holds`, which stays true once it is; `through` is not looked at. */
const firstRevision = Effect.fnUntraced(function*(
  view: StateView,
  from: number,
  through: number,
  holds: (head: RevisionHead) => boolean
) {
  let low = from
  let high = through
  while (low < high) {
    // What is read anyway answers for all revisions of its block.
    const block = yield* runLoading(view, loadBlock(Math.floor((low + high) / 2)))
    const first = Math.max(low, block.first)
    const last = Math.min(block.last, high - 1)
    if (!holds(block.head(last))) low = last + 1
    else {
      let found = first
      while (!holds(block.head(found))) found += 1
      if (found > first) return found
      high = first
    }
  }
  return low
})
