/** The keys of etcd at one revision, page by page in byte order. */
import { Effect } from "effect"
import { compareBytes } from "../../bytes/Bytes.ts"
import { prefixRange, successor } from "../../bytes/KeyRange.ts"
import type { EtcdEntry, EtcdPage, EtcdRange, EtcdSource } from "./EtcdSource.ts"
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

/** How many times as many keys as a page a range may have before a shorter one is asked for. */
const wide = 8

export class EtcdPages {
  private readonly source: EtcdSource
  private readonly revision: number
  private readonly end: Uint8Array
  private readonly pace: Pace
  /** The first key of the next page; `undefined` behind the last. */
  private from: Uint8Array | undefined
  private limit = firstKeys
  /**
   * Bytes of `from` that all keys of the next range have in common; 0 for a range up to the end. etcd 3.4 goes through
   * the index of a whole range for each page of it, so ranges are kept about as short as pages.
   */
  private common = 0
  /** Whether a range was too short once: its length is about right since. */
  private isNear = false
  /** Keys that came, and that etcd has from the first one on. */
  private taken = 0
  private expected: number | undefined

  constructor(source: EtcdSource, range: Pick<EtcdRange, "from" | "end" | "revision">, pace: Pace) {
    this.source = source
    this.revision = range.revision
    this.end = range.end
    this.from = range.from
    this.pace = pace
  }

  /** The next page, which may be empty; `undefined` when there is none. */
  readonly next: Effect.Effect<ReadonlyArray<SourceEntry> | undefined, EtcdFailure> = Effect.suspend(() => {
    if (this.from !== undefined) return this.read(this.from)
    // Whatever reads in pieces may leave some out, and so would the comparison, which reads by the same way.
    return this.taken === this.expected
      ? Effect.succeed(undefined)
      : Effect.die(new Error(`etcd has ${this.expected} keys at revision ${this.revision}, and ${this.taken} came`))
  })

  private readonly read = Effect.fnUntraced({ self: this }, function*(
    this: EtcdPages,
    from: Uint8Array
  ): Effect.fn.Return<ReadonlyArray<SourceEntry> | undefined, EtcdFailure> {
    const { limit, revision } = this
    const end = this.rangeEnd(from)
    const page = yield* this.source.range({ from, end, revision, limit }).pipe(
      Effect.catchTag("EtcdAnswerTooLarge", () => Effect.succeed(undefined))
    )
    if (page !== undefined) {
      this.advance(page, end)
      this.adapt(page)
      yield* this.pace.after(page.entries.length)
      return page.entries
    }
    if (limit > 1) {
      this.limit = Math.max(1, limit >> 3)
      return []
    }
    // One value that no answer has room for, and FlareDB neither.
    const named = yield* this.source.range({ from, end, revision, limit: 1, keysOnly: true })
    this.advance(named, end)
    yield* this.pace.after(named.entries.length)
    return named.entries.map(({ key, lease }) => ({ key, lease, value: undefined }))
  })

  /** The end of the range of keys that begin as `from` does, or that of all. */
  private rangeEnd(from: Uint8Array): Uint8Array {
    if (this.common === 0) return this.end
    const { lt } = prefixRange(from.subarray(0, this.common))
    const isBehind = lt.byteLength === 0 || (this.end.byteLength > 0 && compareBytes(lt, this.end) >= 0)
    return isBehind ? this.end : lt
  }

  private advance({ count, entries, more }: EtcdPage, end: Uint8Array): void {
    this.expected ??= count
    this.taken += entries.length
    const last = entries[entries.length - 1]
    this.from = more && last !== undefined ? successor(last.key) : end === this.end ? undefined : end
  }

  private adapt({ count, entries }: EtcdPage): void {
    this.adaptRange(count, entries.length)
    if (entries.length === 0) return
    const bytes = entries.reduce((sum, { key, value }) => sum + key.byteLength + value.byteLength, 0)
    const wanted = Math.floor(pageBytes * entries.length / Math.max(1, bytes))
    this.limit = Math.max(1, Math.min(wanted, this.limit * growth, maxKeys))
  }

  /**
   * A range with far more keys than a page makes the next one shorter, one with far fewer longer. A short one costs
   * etcd little, so the first step goes far, and what comes after it goes byte by byte.
   */
  private adaptRange(count: number, came: number): void {
    const { common, from } = this
    if (from === undefined) return
    if (count > wide * Math.max(came, this.limit)) {
      this.common = this.isNear ? common + 1 : Math.ceil((common + from.byteLength) / 2)
    } else if (count * wide < this.limit) {
      this.common = Math.max(0, common - 1)
      this.isNear = true
    }
  }
}
