/** The part of the change feed that is older than memory: read from the blocks of history in the store. */
import { Effect } from "effect"
import { Compacted } from "../FlareDbError.ts"
import type { Change, Revision } from "./model/History.ts"
import { HistoryBlock, loadBlock, maxBlockBytes } from "./model/HistoryBlock.ts"
import type { KeyRecord } from "./model/KeyRecord.ts"
import { firstRevisionOf, historyRange } from "./model/Keyspace.ts"
import type { StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { FeedPart, FeedRequest } from "./FeedPart.ts"
import { boundPrevious, maxPreviousBytes, partBytes, partRevisions, revisionMemory, within } from "./FeedPart.ts"
import { corrupt, runLoading } from "../machine/KvLoader.ts"
import { loadMetadata } from "./StoredMetadata.ts"

/**
 * Bytes of blocks after which a part ends. A change in a part keeps the memory of its whole block, also where it is one
 * change of many.
 */
const maxBytesRead = 2 * 1024 * 1024

/** Blocks that are remembered while replaced records are looked for. */
const rememberedBlocks = 16

/** A part of the history as a view has it. */
export const readPart = Effect.fnUntraced(function*(
  view: StateView,
  request: FeedRequest,
  from: number,
  through: number
): Effect.fn.Return<FeedPart, Compacted | StorageError> {
  const { compacted } = yield* loadMetadata(view)
  // Compaction may have overtaken a reader that looked before.
  if (from <= compacted) return yield* new Compacted({ requested: from, oldest: compacted + 1 })
  const last = Math.min(through, from + partRevisions - 1)
  const replaced = new ReplacedRecords(view, compacted)
  const revisions: Array<Revision> = []
  let next = from
  let bytes = 0
  let bytesRead = 0
  let blocks: ReadonlyArray<HistoryBlock> = [yield* runLoading(view, loadBlock(from))]
  reading: while (blocks.length > 0) {
    for (const block of blocks) {
      if (request.previous) replaced.remember(block)
      bytesRead += block.byteLength
      while (next <= Math.min(block.last, last) && bytes < partBytes) {
        const revision = block.revision(next)
        // A revision that is missing or damaged ends the part. The next part begins with it, and fails.
        if (revision === undefined) break reading
        next += 1
        const matching = within(request, revision)
        if (matching === undefined) continue
        const sent = request.previous ? yield* replaced.addTo(matching) : matching
        revisions.push(sent)
        bytes += revisionMemory(sent)
      }
    }
    const room = Math.min(partBytes - bytes, maxBytesRead - bytesRead)
    blocks = next > last || room <= 0 ? [] : yield* blocksFrom(view, next, last, room)
  }
  if (next === from) return yield* corrupt(`the history of revision ${from} is malformed`)
  return { revisions, through: next - 1, bytes }
})

/** Blocks from the one that `next` begins on, without gaps, about as many as `maxBytes` have room for. */
const blocksFrom = (
  view: StateView,
  next: number,
  last: number,
  maxBytes: number
): Effect.Effect<ReadonlyArray<HistoryBlock>, StorageError> =>
  Effect.map(view.scan({ ...historyRange(next, last), limit: partRevisions, maxBytes }), (rows) => {
    const blocks: Array<HistoryBlock> = []
    for (const { key, value } of rows) {
      const block = firstRevisionOf(key) === next ? HistoryBlock.decode(next, value) : undefined
      if (block === undefined) break
      blocks.push(block)
      next = block.last + 1
    }
    return blocks
  })

/** Finds the records that changes replaced, in the revisions that wrote them. */
class ReplacedRecords {
  private readonly view: StateView
  private readonly compacted: number
  /** Blocks that were used lately, the latest last. */
  private readonly blocks: Array<HistoryBlock> = []

  constructor(view: StateView, compacted: number) {
    this.view = view
    this.compacted = compacted
  }

  /** A key that changes often was changed last in this block or in one of those before it. */
  remember(block: HistoryBlock): void {
    if (block.byteLength > maxBlockBytes) return
    this.blocks.push(block)
    if (this.blocks.length > rememberedBlocks) this.blocks.shift()
  }

  /** Adds the records that a revision's changes replaced, where history still has them, up to `maxPreviousBytes`. */
  addTo(revision: Revision): Effect.Effect<Revision, StorageError> {
    return Effect.map(this.find(revision.changes), (found) =>
      boundPrevious({
        ...revision,
        changes: revision.changes.map((change) => ({ ...change, previous: found.get(change) }))
      }))
  }

  private readonly find = Effect.fnUntraced({ self: this }, function*(
    this: ReplacedRecords,
    changes: ReadonlyArray<Change>
  ) {
    const replacing = Map.groupBy(
      changes.filter(({ previousRevision }) => previousRevision > this.compacted),
      ({ previousRevision }) => previousRevision
    )
    const found = new Map<Change, KeyRecord>()
    let bytes = 0
    for (const [at, replacements] of replacing) {
      if (bytes > maxPreviousBytes) break
      const earlier = (yield* this.blockOf(at)).revision(at)
      if (earlier === undefined) return yield* corrupt(`the history of revision ${at} is malformed`)
      for (const change of replacements) {
        const record = earlier.changes.find(({ key }) => Buffer.compare(key, change.key) === 0)?.record
        if (record === undefined) continue
        bytes += record.value.byteLength
        // The block may be far larger than the record.
        found.set(change, { ...record, value: new Uint8Array(record.value) })
      }
    }
    return found
  })

  private blockOf(revision: number): Effect.Effect<HistoryBlock, StorageError> {
    const known = this.blocks.find((block) => block.has(revision))
    return known !== undefined
      ? Effect.succeed(known)
      : Effect.tap(runLoading(this.view, loadBlock(revision)), (block) => Effect.sync(() => this.remember(block)))
  }
}
