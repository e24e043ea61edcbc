/** A store under a write-back cache, whose writes and reads end when the test says so. */
import type { KeyFilter } from "../../src/storage/rocksdb/KeyFilter.ts"
import { KeyFilters } from "../../src/storage/rocksdb/KeyFilters.ts"
import type { Operation } from "../../src/storage/rocksdb/Operation.ts"
import type { RangeOptions, Row } from "../../src/storage/rocksdb/Reader.ts"
import type { StoreSnapshot } from "../../src/storage/rocksdb/RowView.ts"
import type { CacheLimits, RowStore } from "../../src/storage/rocksdb/WriteBackCache.ts"
import { WriteBackCache } from "../../src/storage/rocksdb/WriteBackCache.ts"

export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const textOf = (value: Uint8Array): string => Buffer.from(value).toString()
export const put = (key: string, value: string): Operation => ({ _tag: "Put", key: bytes(key), value: bytes(value) })
export const del = (key: string): Operation => ({ _tag: "Delete", key: bytes(key) })
export const delRange = (start: string, end: string): Operation => ({
  _tag: "DeleteRange",
  start: bytes(start),
  end: bytes(end)
})

/** What an operation does to a plain map. */
export const carryOut = (content: Map<string, string>, operation: Operation): void => {
  if (operation._tag === "DeleteRange") {
    const [start, end] = [textOf(operation.start), textOf(operation.end)]
    for (const key of content.keys()) if (key >= start && key < end) content.delete(key)
    return
  }
  const key = typeof operation.key === "string" ? operation.key : textOf(operation.key)
  if (operation._tag === "Delete") content.delete(key)
  else content.set(key, textOf(operation.value))
}

export class ScriptedStore {
  readonly content = new Map<string, string>()
  readonly batches: Array<ReadonlyArray<Operation>> = []
  readonly reads: Array<ReadonlyArray<string>> = []
  /** The store as the cache sees it. */
  readonly rows: RowStore
  readonly cache: WriteBackCache
  /** Held writes and reads, oldest first. */
  readonly held: Array<() => void> = []
  readonly scansWanted: Array<number> = []
  holding = false
  failing = false
  openSnapshots = 0

  constructor(limits: Partial<CacheLimits> = {}, filterOf?: () => KeyFilter) {
    const filters = { misses: 1_000, keys: 1_000, ...limits.filters }
    this.rows = {
      write: async (operations) => {
        this.batches.push(operations)
        await this.turn()
        if (this.failing) throw new Error("the disk is gone")
        for (const operation of operations) carryOut(this.content, operation)
      },
      read: (keys) => this.read(keys, this.content),
      // Its moment is when it begins, which is some time after the call.
      scan: async (range, take) => {
        await this.turn()
        await this.scan(new Map(this.content), range, take)
      },
      snapshot: () => this.snapshot()
    }
    this.cache = new WriteBackCache(this.rows, {
      maxBytes: 1024 * 1024,
      // Nothing is written by time alone unless a test asks for it.
      delayMs: 1_000_000,
      batchRows: 1_000,
      batchBytes: 1024 * 1024,
      ...limits,
      filters
    }, new KeyFilters(filters, (firstByte) => this.scansWanted.push(firstByte), filterOf))
  }

  async values(...keys: ReadonlyArray<string>): Promise<ReadonlyArray<string | undefined>> {
    return texts(await this.cache.getMany(keys.map(bytes)))
  }

  /** Lets everything that is held go on, and whatever that leads to. */
  async letAllGo(): Promise<void> {
    this.holding = false
    for (const go of this.held.splice(0)) go()
    await this.cache.flush()
  }

  private turn(): Promise<void> {
    return this.holding ? new Promise((go) => this.held.push(go)) : Promise.resolve()
  }

  private async read(keys: ReadonlyArray<Uint8Array>, content: ReadonlyMap<string, string>) {
    const names = keys.map(textOf)
    this.reads.push(names)
    const values = names.map((name) => content.get(name))
    await this.turn()
    return values.map((value) => value === undefined ? undefined : bytes(value))
  }

  private async scan(
    content: ReadonlyMap<string, string>,
    { gte, keysOnly = false, limit = Number.MAX_SAFE_INTEGER, lt, reverse = false }: RangeOptions,
    take: (row: Row) => boolean
  ): Promise<void> {
    const names = [...content.keys()].filter((name) => name >= textOf(gte) && name < textOf(lt)).sort()
    if (reverse) names.reverse()
    for (const name of names.slice(0, limit)) {
      await this.turn()
      if (!take({ key: bytes(name), value: bytes(keysOnly ? "" : content.get(name) as string) })) return
    }
  }

  private snapshot(): StoreSnapshot {
    const content = new Map(this.content)
    this.openSnapshots += 1
    return {
      read: (keys) => this.read(keys, content),
      scan: (range, take) => this.scan(content, range, take),
      close: async () => {
        this.openSnapshots -= 1
      }
    }
  }
}

export const texts = (values: ReadonlyArray<Uint8Array | undefined>): ReadonlyArray<string | undefined> =>
  values.map((value) => value === undefined ? undefined : textOf(value))
