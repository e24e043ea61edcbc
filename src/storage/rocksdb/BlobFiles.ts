/**
 * Large rows of the state lie in blob files beside RocksDB's tables ("Integrated BlobDB"): tables have their keys and
 * where they lie. A compaction of the state then writes keys and small rows again, and leaves the history alone, which
 * is most of the bytes and lies between rows that change all the time. Without it all nodes wrote the whole
 * history again every few seconds, at the same time, and puts stood still meanwhile.
 *
 * Only new tables have it: a table of an earlier version is read as before, and an earlier version reads blob files.
 */
import type { CompactionOptions, FamilyOptions } from "./Binding.ts"

/** Rows of at least so many bytes lie in blob files; blocks of history mostly have more. */
const minBlobBytes = 2 * 1024

/** A flush writes less than this, so each makes one file; rows that are moved gather in files of this size. */
const blobFileBytes = 256 * 1024 * 1024

/**
 * RocksDB deletes a blob file once none of its rows is in use. History goes in the order in which it came, so its files
 * empty by themselves. For those that keep a few rows, each compaction moves what is in use out of this share of the
 * files, the oldest ones. A larger share would write the history again and again.
 */
const movedShare = 0.05

/** How the tables of a state family are written. */
export const blobOptions: FamilyOptions = {
  enableBlobFiles: true,
  minBlobSize: minBlobBytes,
  blobFileSize: blobFileBytes,
  enableBlobGarbageCollection: true,
  blobGarbageCollectionAgeCutOff: movedShare
}

/** For a compaction of a range, which does not know what its family says. */
export const compactionOptions: CompactionOptions = { blobGarbageCollectionAgeCutoff: movedShare }

/** For one that leaves no room to be given back: it takes every table, and moves what is in use out of every file. */
export const wholeCompactionOptions: CompactionOptions = {
  blobGarbageCollectionAgeCutoff: 1,
  // "force" in the binding's numbers.
  blobGarbageCollectionPolicy: 1,
  bottommostLevelCompaction: 2
}
