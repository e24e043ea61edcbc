/** The file of the next segment is made while no caller waits for it: a close waits for that, after a failure as well. */
import { Cause, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import type * as Files from "node:fs"
import { readdirSync } from "node:fs"
import { stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import RocksDB from "rocksdb-native"
import { afterAll, assert, describe, it, vi } from "vitest"
import type { Watched } from "./WatchedFiles.ts"

const watched = vi.hoisted((): Watched => {
  // Files of one worker share modules: those under test are loaded again, over the file system below.
  vi.resetModules()
  return { by: undefined, paths: new Map<number, string>(), pending: 0 }
})

vi.mock(
  "node:fs",
  async (original) => (await import("./WatchedFiles.ts")).watchedFiles(await original<typeof Files>(), watched)
)

afterAll(() => {
  vi.doUnmock("node:fs")
  vi.resetModules()
})

const { LogStore } = await import("../../src/storage/LogStore.ts")
const { RocksDb } = await import("../../src/storage/rocksdb/RocksDb.ts")
const RocksStorage = await import("../../src/storage/rocksdb/RocksStorage.ts")
const { sampleEntry, writeOf } = await import("../../src/testing/LogStoreSamples.ts")
const { StorageIoError } = await import("../../src/storage/StorageError.ts")
const { openFiles } = await import("./OpenFiles.ts")
const { temporaryFolder } = await import("./TemporaryFolder.ts")

/** Passes once the thread pool has come to it. */
const turn = Effect.promise(() => stat(tmpdir()))

describe("the file of the next segment", () => {
  it("is waited for by the close of a log that failed", () =>
    Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const path = yield* temporaryFolder
      const { close } = RocksDB.prototype
      let closes = 0
      yield* Effect.addFinalizer(() => Effect.sync(() => Object.assign(RocksDB.prototype, { close })))
      RocksDB.prototype.close = function() {
        closes += 1
        return close.call(this)
      }
      const [making, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      watched.by = {
        begin: () => undefined,
        end: () => undefined,
        held: ({ name, paths: [file] }) => {
          // The first one is in use: its length is given back at the close.
          if (name !== "ftruncate" || file?.endsWith("flaredb-log-000000000002") !== true) return undefined
          making.resolve()
          return held.promise
        }
      }
      const scope = yield* Scope.make()
      const layer = RocksStorage.layer({ path, clusterId: "next", nodeId: 1, voters: [1, 2, 3] })
      const services = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
      yield* Context.get(services, LogStore).append([writeOf([sampleEntry(1, 1)])])
      yield* Effect.promise(() => making.promise)
      const cause = new Error("input/output error")
      Context.get(services, RocksDb).failure.record(new StorageIoError({ operation: "sync", path, cause }))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.fail(Cause.empty)))
      for (let turns = 0; turns < 200; turns++) yield* turn
      assert.strictEqual(closes, 0)
      held.resolve()
      yield* Fiber.join(closing)
      assert.isAbove(closes, 0)
      assert.deepStrictEqual(openFiles(path), [])
      assert.include(readdirSync(path), "flaredb-log-000000000002")
      watched.by = undefined
    }))))
})
