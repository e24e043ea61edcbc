/** A view costs something for as long as it is open, and nothing afterwards. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { createDirectory } from "../../src/storage/Folder.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import { eventually } from "../Eventually.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const key = Uint8Array.of(1, 1)
const range = { start: Uint8Array.of(1), end: Uint8Array.of(2) }

const valueBytes = 256 * 1024

describe("a view that was read and closed", () => {
  it.live("does not keep what was overwritten since", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "data")
      createDirectory(path)
      yield* Effect.gen(function*() {
        const database = yield* RocksDb
        const overwrites = 30
        for (let i = 0; i < overwrites; i++) {
          // It does not compress.
          const value = randomBytes(valueBytes)
          yield* database.commit("state_a", [{ _tag: "Put", key, value }])
          yield* Effect.acquireUseRelease(
            database.snapshot(() => i),
            ({ reader }) =>
              Effect.gen(function*() {
                assert.deepStrictEqual(yield* reader.get("state_a", key), value)
                assert.strictEqual(yield* reader.get("state_b", key), undefined)
              }),
            ({ close }) => close
          )
        }
        database.reclaimUnsafe("state_a", range.start, range.end)
        yield* eventually(
          `${overwrites} values of ${valueBytes} bytes were written, and about one is left`,
          Effect.map(
            database.approximateBytes("state_a", range.start, range.end),
            (size) => size > 0 && size < 3 * valueBytes
          )
        )
      }).pipe(Effect.provide(RocksDb.layer({ path, create: true })))
    }))
})
