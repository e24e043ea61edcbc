/** The part of rocksdb-native that this folder uses; the package ships no types. */
declare module "rocksdb-native" {
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

  interface FamilyOptions {
    writeBufferSize?: number
    maxWriteBufferNumber?: number
    filterPolicy?: null
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

  export class ColumnFamily {
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

  export default class RocksDB {
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
    /** Drops what was deleted in a range of this family. Never settles when the database closed before. */
    compactRange(start: string, end: string): Promise<void>
    /** Never settles when the database closed before. */
    approximateSize(start: string, end: string, options?: { includeMemtables?: boolean }): Promise<number>
    /** A property by RocksDB's name for it; of this family, where there is one for each. */
    getProperty(name: string): Promise<string | undefined>
    currentWalFile(): Promise<{ path: string; number: number; size: number }>
  }
}
