/** Reads of RocksDB: of the newest state, or of a snapshot. */
import { Effect } from "effect"
import type { StorageError } from "../StorageError.ts"
import type { RocksDB } from "./Binding.ts"
import type { Family } from "./Operation.ts"
import { checkBytes, checkRange } from "./Operation.ts"
import type { Promised } from "../DiskWork.ts"

export interface RangeOptions {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  readonly limit?: number
  readonly reverse?: boolean
  readonly keysOnly?: boolean
  /** Rows fetched per trip, however few are taken then. For rows that may be large: the binding knows no bytes. */
  readonly rowsAtOnce?: number
}

export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** A family, or where to look which one it is when the read begins. */
export type FamilyChoice = Family | (() => Family)

export const familyOf = (choice: FamilyChoice): Family => typeof choice === "function" ? choice() : choice

/** Reads, of the newest state or of one snapshot. */
export interface Reader {
  readonly get: (
    family: FamilyChoice,
    key: Uint8Array | string
  ) => Effect.Effect<Uint8Array | undefined, StorageError>
  /** One round trip for all keys, and one snapshot. */
  readonly getMany: (
    family: FamilyChoice,
    keys: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, StorageError>
  /** Rows in order until the range, the limit or `take` ends it: `take` answers whether to go on after a row. */
  readonly scan: (
    family: FamilyChoice,
    range: RangeOptions,
    take: (row: Row) => boolean
  ) => Effect.Effect<void, StorageError>
}

/** Reads of one snapshot, for as long as it is open. */
export interface Snapshot {
  readonly reader: Reader
  readonly close: Effect.Effect<void>
}

/** Reads of one family in one snapshot, for as long as it is open. */
export interface View {
  readonly getMany: (
    keys: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, StorageError>
  readonly scan: (range: RangeOptions, take: (row: Row) => boolean) => Effect.Effect<void, StorageError>
  readonly close: Effect.Effect<void>
}

/** Rows fetched per trip to the thread pool; 512 block the event loop for about a millisecond. */
const iteratorCapacity = 512

/** The reads that are under way, so that what none of them can see any more may be deleted. */
export class OpenReads {
  private readonly open = new Set<Promise<unknown>>()

  counted<A>(read: () => A | Promise<A>): A | Promise<A> {
    const reading = read()
    if (!(reading instanceof Promise)) return reading
    const ended = () => {
      this.open.delete(reading)
    }
    this.open.add(reading)
    reading.then(ended, ended)
    return reading
  }

  /** Ends with the reads that are under way now. */
  readonly settled: Effect.Effect<void> = Effect.promise(() => Promise.allSettled(this.open).then(() => undefined))
}

export const multiGet = async (
  session: RocksDB,
  keys: ReadonlyArray<Uint8Array>
): Promise<ReadonlyArray<Uint8Array | undefined>> => {
  const batch = session.read({ capacity: keys.length })
  try {
    const values = keys.map((key) => batch.get(key))
    batch.tryFlush()
    return (await Promise.all(values)).map((value) => value ?? undefined)
  } finally {
    batch.destroy()
  }
}

export const reader = (promised: Promised, sessionOf: (family: Family) => RocksDB, reads: OpenReads): Reader => {
  const session = (family: FamilyChoice) => sessionOf(familyOf(family))
  return readerOf(session, (operation, read) => promised(operation, () => reads.counted(read)))
}

const readerOf = (
  session: (family: FamilyChoice) => RocksDB,
  counted: Promised
): Reader => ({
  get: (family, key) => {
    checkBytes("key", key)
    return Effect.map(counted("read", () => session(family).get(key)), (value) => value ?? undefined)
  },
  getMany: (family, keys) => {
    if (keys.length === 0) return Effect.succeed([])
    for (const key of keys) checkBytes("key", key)
    return counted("read", () => multiGet(session(family), keys))
  },
  scan: (family, range, take) => {
    checkRange(range.gte, range.lt)
    return counted("scan", () => scanRows(session(family), range, take))
  }
})

/** Rows in order until the range, the limit or `take` ends it. */
export const scanRows = async (
  session: RocksDB,
  { gte, keysOnly, limit = Number.MAX_SAFE_INTEGER, lt, reverse, rowsAtOnce = iteratorCapacity }: RangeOptions,
  take: (row: Row) => boolean
): Promise<void> => {
  if (limit < 1) return
  const iterator = session.iterator(
    { gte, lt },
    {
      capacity: Math.min(limit + 1, rowsAtOnce),
      ...(limit === Number.MAX_SAFE_INTEGER ? {} : { limit }),
      ...(reverse === true ? { reverse: true } : {}),
      ...(keysOnly === true ? { values: false } : {})
    }
  )
  // Leaving the loop early destroys the iterator; a live one would keep `close` waiting for ever.
  for await (const { key, value } of iterator) {
    if (!take({ key, value: value ?? empty })) break
  }
}

const empty = new Uint8Array(0)
