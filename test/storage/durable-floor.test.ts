/** The durable floor and a tail that is removed: whatever happens in between, the floor never speaks of entries that are gone. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { join } from "node:path"
import { LogIndex } from "../../src/raft/Types.ts"
import { FloorFile, readFloor } from "../../src/storage/DurableFloor.ts"
import { DataDir } from "../../src/storage/DataDir.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksLogStore from "../../src/storage/rocksdb/RocksLogStore.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { DiskWork } from "../../src/storage/DiskWork.ts"
import { FirstFailure } from "../../src/storage/FirstFailure.ts"
import { SegmentWriter } from "../../src/storage/segments/SegmentWriter.ts"
import { StorageIoError } from "../../src/storage/StorageError.ts"
import { sampleEntries, sampleEntry, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { eventually } from "../Eventually.ts"
import { copyCrashImage } from "./CrashImage.ts"
import { inFormat, logFormats } from "./LogFormats.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const storage = (path: string) =>
  Layer.fresh(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] }))

/** Entry 2 of another leader takes the place of entries 2 and 3. */
const conflicting = { ...writeOf([sampleEntry(2, 2, "another leader's")]), truncateFrom: LogIndex(2) }

const recoveredFrom = (path: string) =>
  Effect.gen(function*() {
    return (yield* LogStore).recovered
  }).pipe(Effect.provide(storage(path)))

const floorAt = (path: string) => Effect.map(readFloor(path), (floor) => floor?.index ?? 0)

it.live.each(logFormats)(
  "is lowered only once a raise that was under way has ended, in %s",
  (format) =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "node-1")
      const file = yield* FloorFile
      const raising = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      let holds = false
      const gated: FloorFile = {
        read: file.read,
        replace: (directory, bytes) =>
          Effect.suspend(() => {
            if (!holds) return file.replace(directory, bytes)
            holds = false
            return Deferred.succeed(raising, undefined).pipe(
              Effect.andThen(Deferred.await(goOn)),
              Effect.andThen(file.replace(directory, bytes))
            )
          })
      }
      const killed = join(folder, "killed")
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        // The one that is held is to speak of the three entries, and not the start's.
        yield* eventually("a durable floor", Effect.map(readFloor(path), (floor) => floor !== undefined))
        holds = true
        yield* log.append([writeOf(sampleEntries(1, 3, 1))])
        yield* Deferred.await(raising)
        const removing = yield* Effect.forkChild(log.append([conflicting]), { startImmediately: true })
        yield* Deferred.succeed(goOn, undefined)
        yield* Fiber.join(removing)
        copyCrashImage(path, killed)
      }).pipe(Effect.provide(storage(path)), Effect.provideService(FloorFile, gated), (node) => inFormat(format, node))
      assert.isAtMost(yield* floorAt(killed), 2)
      assert.strictEqual((yield* recoveredFrom(killed)).lastIndex, 2)
    })
)

it.live.each(logFormats)(
  "is not raised to a tail that a node was removing when it was asked to stop, in %s",
  (format) =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const file = yield* FloorFile
      const lowered = yield* Deferred.make<void>()
      let lowering = false
      const observed: FloorFile = {
        read: file.read,
        replace: (directory, bytes) =>
          Effect.tap(
            file.replace(directory, bytes),
            () => lowering ? Deferred.succeed(lowered, undefined) : Effect.void
          )
      }
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        yield* log.append([writeOf(sampleEntries(1, 3, 1))])
        yield* eventually("the floor is at 3", Effect.map(floorAt(path), (floor) => floor >= 3))
        lowering = true
        const removing = yield* Effect.forkChild(log.append([conflicting]), { startImmediately: true })
        // From here on the log itself is being written, which takes longer than asking the fiber to end.
        yield* Deferred.await(lowered)
        yield* Fiber.interrupt(removing)
      }).pipe(
        Effect.provide(storage(path)),
        Effect.provideService(FloorFile, observed),
        (node) => inFormat(format, node)
      )
      assert.strictEqual(yield* floorAt(path), 2)
      assert.strictEqual((yield* recoveredFrom(path)).lastIndex, 2)
    })
)

it.live.each(logFormats)(
  "is not raised to a tail whose removal was written and could not be synced, in %s",
  (format) =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const options = { path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] }
      let fails = false
      const failure = new StorageIoError({ operation: "sync", path, cause: new Error("the disk said no") })
      const failing = Effect.suspend(() => fails ? Effect.fail(failure) : Effect.void)
      // The store must not need the word of the database that something failed.
      const unsynced = Layer.effect(
        RocksDb,
        Effect.map(RocksDb, (database) => {
          const failure = Object.assign(new FirstFailure(path), { record: () => undefined })
          return RocksDb.of({
            ...database,
            failure,
            work: new DiskWork(path, failure),
            writeAll: (batches) => Effect.andThen(database.writeAll(batches), failing)
          })
        })
      )
      const layer = RocksLogStore.layer.pipe(
        Layer.provide(unsynced.pipe(Layer.provideMerge(DataDir.layer(options))))
      )
      const healthy = SegmentWriter.prototype.sync
      SegmentWriter.prototype.sync = async function() {
        await healthy.call(this)
        // Of the segment that takes the place of the tail.
        if (fails && this.segment.base.index === 1) throw failure
      }
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        yield* log.append([writeOf(sampleEntries(1, 3, 1))])
        yield* eventually("the floor is at 3", Effect.map(floorAt(path), (floor) => floor >= 3))
        fails = true
        assert.strictEqual(yield* Effect.flip(log.append([conflicting])), failure)
        fails = false
      }).pipe(
        Effect.provide(Layer.fresh(layer)),
        (node) => inFormat(format, node),
        Effect.ensuring(Effect.sync(() => {
          SegmentWriter.prototype.sync = healthy
        }))
      )
      assert.strictEqual(yield* floorAt(path), 1)
      assert.strictEqual((yield* recoveredFrom(path)).lastIndex, 2)
    })
)
