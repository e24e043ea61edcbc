/**
 * The queues of shards that are too large for a mirror, read in pages. What is held in memory is a window: what was
 * handed out and is not finished, and what is read to be handed out next, up to a number of bytes. The window is kept
 * up to date by a watch, which reports all changes and holds none of them.
 *
 * Pages are in the order of ids, which is about that of saving. What is due later is left out until it is due.
 */
import { Deferred, Effect, Exit, Stream } from "effect"
import type { Scope } from "effect"
import { entryBytes } from "../../client/Listing.ts"
import type { KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import { Watch } from "../../client/Watch.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import type { RequestRow } from "./MessageRows.ts"

/** Rows of a page. A request has five at most. */
const pageRows = 128

/** Shards that are read at once. */
const shardsAtOnce = 8

/** How the queues know what is read and what is gone. */
export interface PageReader {
  readonly put: (entry: KeyValueEntry) => void
  readonly delete: (key: string) => void
  /** There may be something to read. */
  readonly wake: () => void
  /** There is something to read from a time on. */
  readonly wakeAt: (dueMs: number) => void
}

interface Queue {
  /** Where the next page begins; `undefined` for the first one. */
  cursor: Uint8Array | undefined
  /** Whether there may be rows that the window has not, behind the cursor and anywhere. */
  more: boolean
  again: boolean
  /** The earliest time at which something left out is due. */
  nextDueMs: number
}

export class QueuePages {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly reader: PageReader
  private readonly maxBytes: number
  private readonly queues: ReadonlyMap<string, Queue>
  private readonly byPrefix: ReadonlyMap<string, Queue>
  /** What was deleted while pages are read: a page may be older than that. */
  private readonly gone = new Map<string, number>()
  private reading = 0
  /** The rows in the window, with their revisions and sizes. */
  private readonly rows = new Map<string, { readonly revision: number; readonly bytes: number }>()
  private readonly requests = new Map<string, number>()
  private held = 0
  private ended = false

  private constructor(
    keys: ClusterKeys,
    kv: KeyValue["Service"],
    reader: PageReader,
    maxBytes: number,
    shards: ReadonlyArray<string>
  ) {
    this.keys = keys
    this.kv = kv
    this.reader = reader
    this.maxBytes = maxBytes
    this.queues = new Map(
      shards.map((shard) => [shard, { cursor: undefined, more: true, again: false, nextDueMs: Infinity }])
    )
    this.byPrefix = new Map([...this.queues].map(([shard, queue]) => [keys.queue(shard), queue]))
  }

  /** Follows the queues until the scope closes. */
  static readonly make = Effect.fnUntraced(function*(
    keys: ClusterKeys,
    shards: ReadonlyArray<string>,
    maxBytes: number,
    reader: PageReader
  ): Effect.fn.Return<QueuePages, never, KeyValue | Watch | Scope.Scope> {
    const pages = new QueuePages(keys, yield* LatestReads, reader, maxBytes, shards)
    const watch = yield* Watch
    const began = Deferred.makeUnsafe<void>()
    const prefixes = shards.map((shard) => keys.queue(shard))
    yield* watch.notices({ prefixes }).pipe(
      Stream.runForEach((notice) =>
        Effect.sync(() => {
          if (notice._tag === "Began") Deferred.doneUnsafe(began, Exit.void)
          if (notice._tag !== "Changes") return
          for (const event of notice.events) {
            if (event._tag === "Put") pages.changed(event.entry)
            else pages.deleted(event.keyText, notice.revision)
          }
          reader.wake()
        })
      ),
      Effect.ignore,
      Effect.andThen(Effect.sync(() => {
        // The next reading lists the pages again.
        pages.ended = true
        Deferred.doneUnsafe(began, Exit.void)
        reader.wake()
      })),
      Effect.forkScoped
    )
    yield* Deferred.await(began)
    return pages
  })

  /** The watch is gone, so that the window is not up to date any more. */
  get isEnded(): boolean {
    return this.ended
  }

  /** Whether all rows are in the window, and take so little that a mirror has room for them. */
  get fitsMirror(): boolean {
    if (this.held > this.maxBytes / 4) return false
    for (const { more, nextDueMs } of this.queues.values()) if (more || nextDueMs < Infinity) return false
    return true
  }

  /** Reads a page of each shard that has more. Says whether it read one. */
  readonly readMore = Effect.fnUntraced({ self: this }, function*(
    this: QueuePages,
    asked: ReadonlySet<string>,
    now: number
  ): Effect.fn.Return<boolean, ReadFailure> {
    const wanted: Array<readonly [string, Queue]> = []
    for (const [shard, queue] of this.queues) {
      if (queue.nextDueMs <= now) {
        queue.nextDueMs = Infinity
        queue.again = true
        queue.more = true
      }
      if (queue.more && asked.has(shard)) wanted.push([shard, queue])
    }
    let read = false
    yield* Effect.forEach(wanted, ([shard, queue]) =>
      Effect.suspend(() => {
        // What is handed out has to be finished first.
        if (this.held >= this.maxBytes) return Effect.void
        read = true
        return this.readPage(shard, queue, now)
      }), { concurrency: shardsAtOnce, discard: true })
    let nextDueMs = Infinity
    for (const queue of this.queues.values()) nextDueMs = Math.min(nextDueMs, queue.nextDueMs)
    if (nextDueMs < Infinity) this.reader.wakeAt(nextDueMs)
    return read
  })

  private readPage(shard: string, queue: Queue, now: number): Effect.Effect<void, ReadFailure> {
    const prefix = this.keys.queue(shard)
    const scan = Effect.suspend(() => {
      this.reading++
      return this.kv.scan(prefix, { cursor: queue.cursor, limit: pageRows })
    })
    return Effect.map(scan, ({ cursor, entries, revision }) => {
      const requests = new Map<string, Array<KeyValueEntry>>()
      for (const entry of entries) {
        const [id] = this.keys.partOf(prefix, entry.keyText)
        requests.set(id, [...requests.get(id) ?? [], entry])
      }
      if (cursor !== undefined && requests.size > 1) {
        // The last request may go on behind the page.
        const last = [...requests.keys()].at(-1) ?? ""
        const left = requests.get(last)?.length ?? 0
        requests.delete(last)
        queue.cursor = entries[entries.length - left - 1]?.key
      } else queue.cursor = cursor
      for (const [id, rows] of requests) {
        const dueMs = this.dueOf(prefix, rows)
        if (dueMs > now && !this.requests.has(id)) queue.nextDueMs = Math.min(queue.nextDueMs, dueMs)
        else {
          for (const entry of rows) {
            if ((this.gone.get(entry.keyText) ?? 0) <= revision) this.take(id, entry)
          }
        }
      }
      if (queue.cursor !== undefined) return
      queue.more = queue.again
      queue.again = false
    }).pipe(
      Effect.ensuring(Effect.sync(() => {
        if (--this.reading === 0) this.gone.clear()
      }))
    )
  }

  private dueOf(prefix: string, rows: ReadonlyArray<KeyValueEntry>): number {
    const row = rows.find((entry) => this.keys.partOf(prefix, entry.keyText)[1] === "r")
    if (row === undefined) return -Infinity
    try {
      return (JSON.parse(row.text) as RequestRow).deliverAt ?? -Infinity
    } catch {
      return -Infinity
    }
  }

  private take(id: string, entry: KeyValueEntry): void {
    const before = this.rows.get(entry.keyText)
    if (before !== undefined && before.revision >= entry.modRevision) return
    const bytes = entryBytes(entry)
    this.held += bytes - (before?.bytes ?? 0)
    this.rows.set(entry.keyText, { revision: entry.modRevision, bytes })
    if (before === undefined) this.requests.set(id, (this.requests.get(id) ?? 0) + 1)
    this.reader.put(entry)
  }

  private placeOf(key: string): readonly [id: string, queue: Queue] | undefined {
    const prefix = key.slice(0, key.indexOf("/", this.keys.queues.length) + 1)
    const queue = this.byPrefix.get(prefix)
    return queue === undefined ? undefined : [this.keys.partOf(prefix, key)[0], queue]
  }

  private changed(entry: KeyValueEntry): void {
    const place = this.placeOf(entry.keyText)
    if (place === undefined) return
    const [id, queue] = place
    if (this.requests.has(id)) return this.take(id, entry)
    // Of a request that is not in the window; it may belong before the cursor.
    queue.again = queue.more
    queue.more = true
  }

  private deleted(key: string, revision: number): void {
    if (this.reading > 0) this.gone.set(key, revision)
    const row = this.rows.get(key)
    if (row === undefined || row.revision > revision) return
    this.rows.delete(key)
    this.held -= row.bytes
    const id = this.placeOf(key)?.[0]
    const left = (id === undefined ? 0 : this.requests.get(id) ?? 0) - 1
    if (id !== undefined && left > 0) this.requests.set(id, left)
    else if (id !== undefined) this.requests.delete(id)
    this.reader.delete(key)
  }
}
