/** The keys of FlareDB under a prefix, page by page in byte order, without those that imports keep for themselves. */
import { Effect } from "effect"
import { contains, prefixRange } from "../../bytes/KeyRange.ts"
import type { KeyValue, KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import { stateRange } from "./ImportKeys.ts"
import { reading } from "./Retry.ts"

export class StorePages {
  private readonly kv: KeyValue["Service"]
  private readonly prefix: Uint8Array
  private cursor: Uint8Array | undefined
  private ended = false

  /** The keys behind `after`, or all of them. */
  constructor(kv: KeyValue["Service"], prefix: Uint8Array, after: Uint8Array | undefined) {
    this.kv = kv
    this.prefix = prefix
    this.cursor = after
  }

  /** The next page, which may be empty; `undefined` when there is none. */
  readonly next: Effect.Effect<ReadonlyArray<KeyValueEntry> | undefined, ReadFailure> = Effect.suspend(() => {
    if (this.ended) return Effect.succeed(undefined)
    return Effect.map(reading(this.kv.scan(this.prefix, { cursor: this.cursor })), ({ cursor, entries }) => {
      this.ended = cursor === undefined
      this.cursor = cursor
      return entries.filter(({ key }) => !contains(stateRange, key))
    })
  })
}

/** Whether a prefix lies among the keys that imports keep for themselves. */
export const isState = (key: Uint8Array): boolean => contains(stateRange, key)

/** The keys that begin with a prefix, as etcd takes them: from its first key on, up to its end. */
export const rangeOf = (prefix: Uint8Array): { readonly from: Uint8Array; readonly end: Uint8Array } => {
  const { gte, lt } = prefixRange(prefix)
  return { from: gte, end: lt }
}
