/** The keys of both sides, merged in their order: what etcd has at one revision beside what FlareDB has. */
import { Effect } from "effect"
import { compareBytes } from "../../bytes/Bytes.ts"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import type { Renaming } from "./ImportKeys.ts"
import type { EtcdPages, SourceEntry } from "./EtcdPages.ts"
import type { StorePages } from "./StorePages.ts"

/** A key, with what each side has under it. At least one of them has something. */
export interface Pair {
  /** The key in FlareDB. */
  readonly key: Uint8Array
  readonly source: SourceEntry | undefined
  readonly stored: KeyValueEntry | undefined
}

interface Named {
  readonly key: Uint8Array
  readonly source: SourceEntry
}

/** A page and how far it is read. */
interface Side<A> {
  readonly items: ReadonlyArray<A>
  readonly at: number
  readonly ended: boolean
}

const begun: Side<never> = { items: [], at: 0, ended: false }

const isRead = <A>({ at, ended, items }: Side<A>): boolean => !ended && at === items.length

export class Pairs {
  private readonly source: EtcdPages
  private readonly store: StorePages
  private readonly renaming: Renaming
  private sources: Side<Named> = begun
  private stored: Side<KeyValueEntry> = begun

  constructor(source: EtcdPages, store: StorePages, renaming: Renaming) {
    this.source = source
    this.store = store
    this.renaming = renaming
  }

  /** The next ones, at most a page of each side; `undefined` when both sides are at their end. */
  readonly next = Effect.suspend(() => this.read())

  private readonly read = Effect.fnUntraced({ self: this }, function*(this: Pairs) {
    const [entries, rows] = yield* Effect.all([
      isRead(this.sources) ? this.source.next : Effect.succeed("kept" as const),
      isRead(this.stored) ? this.store.next : Effect.succeed("kept" as const)
    ], { concurrency: 2 })
    if (entries !== "kept") {
      const items = (entries ?? []).map((source): Named => ({ key: this.renaming.keyOf(source.key), source }))
      this.sources = { items, at: 0, ended: entries === undefined }
    }
    if (rows !== "kept") this.stored = { items: rows ?? [], at: 0, ended: rows === undefined }
    const isEnd = this.sources.ended && this.stored.ended
    return isEnd && this.isTaken() ? undefined : this.merge()
  })

  private isTaken(): boolean {
    return this.sources.at === this.sources.items.length && this.stored.at === this.stored.items.length
  }

  /** Pairs up to the end of the page that ends first, unless its side has no other one. */
  private merge(): ReadonlyArray<Pair> {
    const pairs: Array<Pair> = []
    while (!isRead(this.sources) && !isRead(this.stored) && !this.isTaken()) {
      const named = this.sources.items[this.sources.at]
      const stored = this.stored.items[this.stored.at]
      const order = named === undefined ? 1 : stored === undefined ? -1 : compareBytes(named.key, stored.key)
      if (order <= 0) this.sources = { ...this.sources, at: this.sources.at + 1 }
      if (order >= 0) this.stored = { ...this.stored, at: this.stored.at + 1 }
      pairs.push({
        key: order <= 0 ? (named as Named).key : (stored as KeyValueEntry).key,
        source: order <= 0 ? named?.source : undefined,
        stored: order >= 0 ? stored : undefined
      })
    }
    return pairs
  }
}
