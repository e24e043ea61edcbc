/**
 * The part of rocksdb-native that this folder uses, as types: the package ships none. The declarations of this package
 * name these, because a client has no rocksdb-native installed, and its type check would find nothing under that name.
 */
type Bytes = Uint8Array | string

interface Range {
  gte?: Bytes
  lt?: Bytes
}

interface IteratorOptions {
  reverse?: boolean
  limit?: number
  capacity?: number
  values?: boolean
}

export interface FamilyOptions {
  writeBufferSize?: number
  maxWriteBufferNumber?: number
  enableBlobFiles?: boolean
  minBlobSize?: number
  blobFileSize?: number
  enableBlobGarbageCollection?: boolean
  blobGarbageCollectionAgeCutOff?: number
  filterPolicy?: null
}

export interface CompactionOptions {
  blobGarbageCollectionAgeCutoff?: number
  blobGarbageCollectionPolicy?: 0 | 1 | 2
  bottommostLevelCompaction?: 0 | 1 | 2
}

interface OpenOptions extends FamilyOptions {
  columnFamilies?: ReadonlyArray<string | ColumnFamily>
  readOnly?: boolean
  createIfMissing?: boolean
  createMissingColumnFamilies?: boolean
  maxBackgroundJobs?: number
  maxOpenFiles?: number
  walRecoveryMode?: 0 | 1 | 2 | 3
  /** How keys are written, where a session has no other way; bounds of a compaction always. */
  keyEncoding?: {
    preencode: (state: { end: number }, key: string) => void
    encode: (state: { start: number; readonly buffer: Buffer }, key: string) => void
  }
}

export declare class ColumnFamily {
  constructor(name: string, options?: FamilyOptions)
  readonly name: string
}

interface WriteBatch {
  tryPut(key: Bytes, value: Bytes): void
  tryDelete(key: Bytes): void
  tryDeleteRange(start: Bytes, end: Bytes): void
  flush(): Promise<void>
  destroy(): void
}

interface ReadBatch {
  get(key: Bytes): Promise<Buffer | null>
  tryFlush(): void
  destroy(): void
}

interface Iterator extends AsyncIterable<{ key: Buffer; value: Buffer | null }> {
  destroy(): void
}

export declare class RocksDB {
  constructor(path: string, options?: OpenOptions)
  readonly path: string
  ready(): Promise<void>
  close(): Promise<void>
  columnFamily(family: string, options?: { keyEncoding: null }): RocksDB
  snapshot(): RocksDB
  read(options?: { capacity?: number }): ReadBatch
  write(options?: { capacity?: number }): WriteBatch
  get(key: Bytes): Promise<Buffer | null>
  iterator(range: Range, options?: IteratorOptions): Iterator
  /** Writes this family's memtable to a table, which releases the log files that held it. */
  flush(): Promise<void>
  /** Drops what was deleted in a range of this family. Not to be called once the database is closed. */
  compactRange(start: string, end: string, options?: CompactionOptions): Promise<void>
  /** Not to be called once the database is closed. */
  approximateSize(start: string, end: string, options?: { includeMemtables?: boolean }): Promise<number>
  /** A property by RocksDB's name for it; of this family, where there is one for each. */
  getProperty(name: string): Promise<string | undefined>
  currentWalFile(): Promise<{ path: string; number: number; size: number }>
}
