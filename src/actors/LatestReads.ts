/**
 * The key-value store as actors use it: a read that names no consistency is linearizable. The client's own default is
 * for what the program asks, and may be `stale`: a runner that read so would take what was just stored for missing.
 */
import { Effect } from "effect"
import type { ReadOptions } from "../client/KeyValue.ts"
import { KeyValue } from "../client/KeyValue.ts"

const latest = <Options extends ReadOptions>(options: Options | undefined) => ({
  ...options,
  consistency: options?.consistency ?? "linearizable"
} as const)

export const LatestReads: Effect.Effect<KeyValue["Service"], never, KeyValue> = Effect.map(
  KeyValue,
  (kv) =>
    KeyValue.of({
      ...kv,
      get: (key, options) => kv.get(key, latest(options)),
      scan: (prefix, options) => kv.scan(prefix, latest(options)),
      scanAll: (prefix, options) => kv.scanAll(prefix, latest(options)),
      count: (prefix, options) => kv.count(prefix, latest(options)),
      transact: (txn, options) => kv.transact(txn, latest(options))
    })
)
