/**
 * Work that a node does in parts: batches, pages, chunks, rounds. Those of production hold hundreds of commands, and a
 * simulated history has not many more, so each kind of work would be done in one part. Here they hold two or three.
 *
 * Sizes alone: nothing that an answer depends on, and nothing that is a limit of the product.
 */
import { changeSources } from "./ChangedSources.ts"

/** By file below `src/`: constants and their values. */
const sizes: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "kv/ChangeFeed.ts": { maxRecentBytes: 300, maxRecentRevisions: 4, unaskedRevisions: 2 },
  "kv/DueCommands.ts": { maxExpired: 2 },
  // Fewer, and a slow watcher does not come to the end in time.
  "kv/FeedPart.ts": { partRevisions: 8, partBytes: 2_000 },
  "kv/FoundGets.ts": { firstChunk: 2 },
  "kv/FoundLately.ts": { getChunk: 2, getChunkBytes: 100, getBytes: 60 },
  "kv/KvQueries.ts": { stretchBytes: 200, stretchQueries: 2 },
  "kv/KvStateMachine.ts": { workBytes: 300, minReadAheadKeys: 2, maxReadAheadKeys: 3, concurrentQueries: 2 },
  "kv/LoadedState.ts": { loadChunk: 3, loadBytes: 300 },
  "kv/QueryPages.ts": { countChunk: 3 },
  "kv/RecentCommands.ts": { maxRemembered: 3 },
  "kv/StoredFeed.ts": { maxBytesRead: 300, rememberedBlocks: 1 },
  "kv/model/Apply.ts": { maxReadAhead: 2 },
  "kv/model/Expiry.ts": { revokeKeys: 2 },
  "kv/model/HistoryBlock.ts": { maxBlockRevisions: 3, maxBlockBytes: 200, initialBytes: 16 },
  "kv/model/Session.ts": { blockNumbers: 4 },
  "kv/model/WriteSet.ts": { loadKeys: 2 },
  "node/Applier.ts": { readBackBytes: 200, readBackEntries: 3 },
  "node/CommitTimes.ts": { capacity: 4 },
  "node/CoreConfig.ts": { maxAppendEntries: 5, maxApplyBytes: 300 },
  "node/Gathering.ts": { maxHeldCommands: 3 },
  "node/KeptCommands.ts": { maxKeptCommands: 4 },
  "node/LogMeter.ts": { segments: 4 },
  "raft/State.ts": { maxOutstandingPersists: 3 },
  "storage/LogScrub.ts": { pageEntries: 3, pageBytes: 200 },
  "storage/LogTerms.ts": { maxReads: 4 },
  "storage/RecoveredLog.ts": { rowsAtOnce: 3, maxTimestampPage: 4 },
  "storage/rocksdb/EntryRows.ts": { tripBytes: 200, firstRowsAtOnce: 1, maxRowsAtOnce: 3 },
  "storage/rocksdb/KeyScans.ts": { pageKeys: 3, maxWaiting: 1 },
  "storage/rocksdb/LogBatches.ts": { batchOperations: 3 },
  "storage/rocksdb/Reader.ts": { iteratorCapacity: 3 },
  "storage/rocksdb/RocksLogStore.ts": { entryBytesBetweenFlushes: 1_000 },
  "storage/rocksdb/RowView.ts": { maxPageRows: 3 },
  // Fewer, and a slow disk takes longer for a snapshot than a short log waits for its follower.
  "storage/rocksdb/StateImports.ts": { importRows: 20 },
  "storage/rocksdb/StateScans.ts": { firstPageRows: 1, maxPageRows: 3 },
  "storage/rocksdb/WholeFamily.ts": { exportRows: 2 }
}

/** A source file with small values for its constants. */
const withSizes = (file: string, text: string): string => {
  let small = text
  for (const [name, value] of Object.entries(sizes[file] ?? {})) {
    const place = new RegExp(`^((?:export )?const ${name} = )[\\d_]+(?: \\* [\\d_]+)*$`, "m")
    if (!place.test(small)) throw new Error(`src/${file} has no number "${name}": change SmallParts.ts with the code`)
    small = small.replace(place, `$1${value}`)
  }
  return small
}

/** Loads modules by `load` with small parts in them. */
export const loadSmall = async <A>(load: () => Promise<A>): Promise<A> => {
  const changed = changeSources(new Set(Object.keys(sizes)), withSizes)
  const loaded = await load()
  const others = Object.keys(sizes).filter((file) => !changed.has(file))
  if (others.length > 0) throw new Error(`src/${others.join(", ")} was loaded before, or is not used any more`)
  return loaded
}
