/** An etcd in memory, as an import reads it: keys at every revision, leases, compaction. */
import { Effect } from "effect"
import { compareBytes } from "../../../src/bytes/Bytes.ts"
import type { EtcdEntry, EtcdPage, EtcdSource } from "../../../src/cli/import/EtcdSource.ts"
import type { EtcdFailure } from "../../../src/cli/import/ImportFailures.ts"
import { EtcdAnswerTooLarge, EtcdCompacted } from "../../../src/cli/import/ImportFailures.ts"

const encoder = new TextEncoder()

/** Bytes of an answer beyond which it is refused. */
const maxAnswerBytes = 4 * 1024 * 1024

export class FakeEtcd implements EtcdSource {
  readonly version = "3.4.23"
  readonly cluster = "17"
  /** What each range was asked for: how many keys. */
  readonly limits: Array<number> = []
  /** How many keys the whole of each range had. */
  readonly counts: Array<number> = []
  /** Seconds that leases have left. */
  readonly leases = new Map<string, number>()
  /** Carried out before a range is answered; it may fail in its place. */
  before: () => Effect.Effect<void, EtcdFailure> = () => Effect.void
  /** Carried out before a lease is asked for. */
  beforeLease: () => Effect.Effect<unknown> = () => Effect.void
  private compacted = 0
  /** The entries of revisions that were read, in order. */
  private readonly sorted = new Map<number, ReadonlyArray<EtcdEntry>>()
  private readonly revisions: Array<ReadonlyMap<string, EtcdEntry>> = [new Map(), new Map()]

  get revision(): number {
    return this.revisions.length - 1
  }

  put(key: string | Uint8Array, value: string | Uint8Array = "", lease = "0"): void {
    const bytes = typeof key === "string" ? encoder.encode(key) : key
    this.putAll([{ key: bytes, value: typeof value === "string" ? encoder.encode(value) : value, lease }])
  }

  /** Puts all of them at one revision. */
  putAll(entries: ReadonlyArray<EtcdEntry>): void {
    const now = new Map(this.revisions[this.revision])
    for (const entry of entries) now.set(Buffer.from(entry.key).toString("hex"), entry)
    this.revisions.push(now)
  }

  delete(key: string): void {
    const now = new Map(this.revisions[this.revision])
    now.delete(Buffer.from(key).toString("hex"))
    this.revisions.push(now)
  }

  compact(revision: number): void {
    this.compacted = revision
  }

  readonly head: EtcdSource["head"] = ({ end, from }) =>
    Effect.sync(() => ({ revision: this.revision, keys: this.entries(this.revision, from, end).length }))

  readonly range: EtcdSource["range"] = ({ end, from, keysOnly, limit, revision }) =>
    Effect.flatMap(this.before(), (): Effect.Effect<EtcdPage, EtcdFailure> => {
      if (revision < this.compacted) return Effect.fail(new EtcdCompacted({ revision }))
      this.limits.push(limit)
      const found = this.entries(revision, from, end)
      this.counts.push(found.length)
      const entries = found.slice(0, limit).map((entry) =>
        keysOnly === true ? Object.assign({}, entry, { value: new Uint8Array(0) }) : entry
      )
      const bytes = entries.reduce((sum, { key, value }) => sum + key.byteLength + value.byteLength, 0)
      return bytes > maxAnswerBytes
        ? Effect.fail(new EtcdAnswerTooLarge({ path: "/v3/kv/range", maxBytes: maxAnswerBytes }))
        : Effect.succeed({ entries, more: found.length > limit, count: found.length })
    })

  readonly remainingSeconds: EtcdSource["remainingSeconds"] = (lease) =>
    Effect.map(this.beforeLease(), () => this.leases.get(lease) ?? -1)

  private entries(revision: number, from: Uint8Array, end: Uint8Array): ReadonlyArray<EtcdEntry> {
    const sorted = this.sorted.get(revision) ??
      [...this.revisions[revision]?.values() ?? []].sort((a, b) => Buffer.compare(a.key, b.key))
    this.sorted.set(revision, sorted)
    return sorted.slice(placeOf(sorted, from), end.byteLength === 0 ? sorted.length : placeOf(sorted, end))
  }
}

/** The place of the first entry that is not before a key. */
const placeOf = (sorted: ReadonlyArray<EtcdEntry>, key: Uint8Array): number => {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBytes(sorted[middle]!.key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
