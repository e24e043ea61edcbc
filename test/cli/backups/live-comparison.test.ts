/** A backup against a store that goes on: what is the same, what was changed since, and what should not differ. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { LiveComparison } from "../../../src/cli/backups/LiveComparison.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import { encodeRecord } from "../../../src/kv/model/KeyRecord.ts"
import { historyKey, metadataKey, recordKey } from "../../../src/kv/model/Keyspace.ts"
import type { StateRow } from "../../../src/storage/StateStore.ts"

/** More than a page of a scan. */
const keyCount = 1_203

const keyOf = (i: number): string => `key/${String(i).padStart(5, "0")}`

/** The rows of a backup of the store as it is, between rows of other kinds. */
const backupOf = (kv: KeyValue["Service"]) =>
  Effect.map(Stream.runCollect(kv.scanAll("")), (entries): ReadonlyArray<StateRow> => [
    { key: metadataKey, value: new Uint8Array(40) },
    ...entries.map((entry) => ({ key: recordKey(entry.key), value: encodeRecord(entry) })),
    { key: historyKey(1), value: new Uint8Array(9) }
  ])

const compare = Effect.fnUntraced(function*(rows: ReadonlyArray<StateRow>, revision: number) {
  const comparison = new LiveComparison(yield* KeyValue, revision)
  for (let at = 0; at < rows.length; at += 100) yield* comparison.take(rows.slice(at, at + 100))
  const found = yield* comparison.end()
  const { backupHash, liveHash, ...counts } = found
  return { counts, sameHash: backupHash === liveHash }
})

const none = { equal: 0, changedSince: 0, deletedSince: 0, differing: 0, missing: 0 }

describe("a backup and the live store", () => {
  it.live("are told apart by what was not changed since", () =>
    Effect.gen(function*() {
      const kv = yield* KeyValue
      yield* Effect.forEach(Array.from({ length: keyCount }, (_, i) => i), (i) => kv.put(keyOf(i), `value ${i}`), {
        concurrency: 256
      })
      const rows = yield* backupOf(kv)
      const { revision } = yield* kv.scan("", { limit: 1 })
      assert.deepStrictEqual(yield* compare(rows, revision), {
        counts: { ...none, equal: keyCount },
        sameHash: true
      })

      yield* kv.put(keyOf(5), "again")
      yield* kv.put("a first key", "1")
      yield* kv.put("z last key", "1")
      yield* kv.delete(keyOf(0))
      yield* kv.delete(keyOf(keyCount - 1))
      const since = { ...none, equal: keyCount - 3, changedSince: 3, deletedSince: 2 }
      assert.deepStrictEqual(yield* compare(rows, revision), { counts: since, sameHash: true })

      const tampered = rows.map((row, i) =>
        i === 700 ? { key: row.key, value: Buffer.concat([row.value, row.key]) } : row
      )
      assert.deepStrictEqual(yield* compare(tampered, revision), {
        counts: { ...since, equal: since.equal - 1, differing: 1 },
        sameHash: false
      })
      const cut = rows.filter((_, i) => i !== 700)
      assert.deepStrictEqual((yield* compare(cut, revision)).counts, { ...since, equal: since.equal - 1, missing: 1 })
      assert.deepStrictEqual((yield* compare([], revision)).counts, { ...none, changedSince: 3, missing: keyCount - 3 })
    }).pipe(Effect.provide(FlareDb.layerMemory)), 60_000)
})
