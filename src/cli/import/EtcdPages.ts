/** The keys of etcd at one revision, page by page in byte order. */
import { Effect } from "effect"
import { successor } from "../../bytes/KeyRange.ts"
import type { EtcdEntry, EtcdRange, EtcdSource } from "./EtcdSource.ts"
import type { EtcdFailure } from "./ImportFailures.ts"
import type { Pace } from "./Pace.ts"

/** A key of etcd. Its value is absent when it is larger than an answer may be. */
export interface SourceEntry extends Omit<EtcdEntry, "value"> {
  readonly value: Uint8Array | undefined
}

/**
 * Keys of a page. etcd counts a page in keys alone and puts all of it together in memory, so the first page is small
 * and the next ones follow the size of values. The most is what etcd's own mirror asks for.
 */
const firstKeys = 16
export const maxKeys = 1_000

/** Bytes of keys and values that a page is to have. */
const pageBytes = 1024 * 1024

/** How many times larger a page may be than the one before. */
const growth = 4

export class EtcdPages {
  private readonly source: EtcdSource
  private readonly revision: number
  private readonly end: Uint8Array
  private readonly pace: Pace
  /** The first key of the next page; `undefined` behind the last. */
  private from: Uint8Array | undefined
  private limit = firstKeys

  constructor(source: EtcdSource, range: Pick<EtcdRange, "from" | "end" | "revision">, pace: Pace) {
    this.source = source
    this.revision = range.revision
    this.end = range.end
    this.from = range.from
    this.pace = pace
  }

  /** The next page; `undefined` when there is none. */
  readonly next: Effect.Effect<ReadonlyArray<SourceEntry> | undefined, EtcdFailure> = Effect.suspend(() =>
    this.from === undefined ? Effect.succeed(undefined) : this.read(this.from)
  )

  private readonly read = Effect.fnUntraced({ self: this }, function*(
    this: EtcdPages,
    from: Uint8Array
  ): Effect.fn.Return<ReadonlyArray<SourceEntry> | undefined, EtcdFailure> {
    const { end, revision } = this
    for (;;) {
      const { limit } = this
      const page = yield* this.source.range({ from, end, revision, limit }).pipe(
        Effect.catchTag("EtcdAnswerTooLarge", () => Effect.succeed(undefined))
      )
      if (page !== undefined) {
        this.adapt(page.entries)
        return yield* this.taken(page.entries, page.more)
      }
      if (limit > 1) {
        this.limit = Math.max(1, limit >> 3)
        continue
      }
      // One value that no answer has room for, and FlareDB neither.
      const { entries, more } = yield* this.source.range({ from, end, revision, limit: 1, keysOnly: true })
      return yield* this.taken(entries.map(({ key, lease }) => ({ key, lease, value: undefined })), more)
    }
  })

  private taken(entries: ReadonlyArray<SourceEntry>, more: boolean) {
    const last = entries[entries.length - 1]
    this.from = more && last !== undefined ? successor(last.key) : undefined
    return Effect.as(this.pace.after(entries.length), last === undefined ? undefined : entries)
  }

  private adapt(entries: ReadonlyArray<EtcdEntry>): void {
    if (entries.length === 0) return
    const bytes = entries.reduce((sum, { key, value }) => sum + key.byteLength + value.byteLength, 0)
    const wanted = Math.floor(pageBytes * entries.length / Math.max(1, bytes))
    this.limit = Math.max(1, Math.min(wanted, this.limit * growth, maxKeys))
  }
}
