/** What a compaction of the log costs. Of rows, the tables of the entries that stay are not written again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import { encodeRecord, indexOfLogKey, logEnd, logKey, stateKeys } from "../../src/storage/Codec.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { decodeHeader, sequenceOf } from "../../src/storage/segments/SegmentFormat.ts"
import { sampleEntries, sampleEntry, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { eventually } from "../Eventually.ts"
import type { LogFormat } from "./LogFormats.ts"
import { inFormat, logFormats, segmentsIn } from "./LogFormats.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const tables = (path: string) => readdirSync(path).filter((name) => name.endsWith(".sst"))

const directory = Effect.map(temporaryFolder, (folder) => join(folder, "node-1"))

const start = <A, E, R>(path: string, use: Effect.Effect<A, E, R>, format: LogFormat = "rows") =>
  inFormat(
    format,
    Effect.provide(
      use,
      Layer.fresh(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] }))
    )
  )

/** The tables that some work leaves behind and that were not there before; the oldest first. */
const newTables = <A, E, R>(path: string, work: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = new Set(tables(path))
    yield* work
    return tables(path).filter((name) => !before.has(name)).sort()
  })

const flushLog = RocksDb.use((database) => database.flush("raft_log"))

const append = (from: number, through: number) =>
  LogStore.use((log) => log.append([writeOf(sampleEntries(from, through, 1))]))

const compact = (through: number) => LogStore.use((log) => log.compact({ index: LogIndex(through), term: Term(1) }))

/** Waits until the room of these tables was given back. */
const gone = (path: string, removed: ReadonlyArray<string>) =>
  eventually(`${removed.join()} are gone`, () => !tables(path).some((name) => removed.includes(name)))

const holds = (from: number, through: number) =>
  LogStore.use((log) =>
    Effect.map(log.read(LogIndex(from), LogIndex(through), 1e9), (entries) => {
      assert.lengthOf(entries, through - from + 1)
    })
  )

describe("a compaction of the log in rows", () => {
  for (const keptIsInTable of [true, false]) {
    it.live(
      `does not write again what it leaves ${keptIsInTable ? "in a table" : "in memory"}`,
      () =>
        Effect.gen(function*() {
          const path = yield* directory
          yield* start(
            path,
            Effect.gen(function*() {
              yield* flushLog
              const removed = yield* newTables(path, Effect.andThen(append(1, 300), flushLog))
              const [kept] = yield* newTables(
                path,
                Effect.gen(function*() {
                  yield* append(301, 600)
                  if (keptIsInTable) yield* flushLog
                  yield* compact(300)
                })
              )
              yield* gone(path, removed)
              assert.include(tables(path), kept)
              yield* holds(301, 600)
            })
          )
        }),
      60_000
    )
  }

  it.live("does not write again what comes meanwhile", () =>
    Effect.gen(function*() {
      const path = yield* directory
      yield* start(
        path,
        Effect.gen(function*() {
          const removed = yield* newTables(path, Effect.andThen(append(1, 300), flushLog))
          const [kept] = yield* newTables(path, Effect.andThen(append(301, 600), flushLog))
          const written = { through: 600 }
          const appendOne = Effect.suspend(() => {
            const next = written.through + 1
            return Effect.map(append(next, next), () => {
              written.through = next
            })
          })
          const appending = yield* Effect.forkChild(Effect.forever(appendOne))
          yield* compact(300)
          const meanwhile = written.through
          yield* eventually("ten entries more", () => written.through >= meanwhile + 10)
          yield* Fiber.interrupt(appending)
          yield* gone(path, removed)
          assert.include(tables(path), kept)
          yield* holds(301, meanwhile + 10)
        })
      )
    }), 60_000)

  it.live("does not write again what comes after a start", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const removed = yield* start(
        path,
        Effect.gen(function*() {
          const first = yield* newTables(path, Effect.andThen(append(1, 300), flushLog))
          const second = yield* newTables(path, Effect.andThen(append(301, 600), flushLog))
          yield* compact(300)
          yield* gone(path, first)
          return second
        })
      )
      yield* start(
        path,
        Effect.gen(function*() {
          const [kept] = yield* newTables(path, Effect.andThen(append(601, 900), flushLog))
          yield* compact(600)
          yield* gone(path, removed)
          assert.include(tables(path), kept)
          yield* holds(601, 900)
        })
      )
    }), 60_000)
})

/** Where the oldest thing begins that a stopped node's directory has of its log. */
const oldest: Record<LogFormat, (path: string) => Effect.Effect<number, unknown>> = {
  rows: (path) => {
    let first = 0
    const takes = ({ key }: { readonly key: Uint8Array }) => {
      first = indexOfLogKey(key)
      return false
    }
    return RocksDb.use((database) => database.scan("raft_log", { gte: logKey(LogIndex(1)), lt: logEnd }, takes)).pipe(
      Effect.map(() => first),
      Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false })))
    )
  },
  segments: (path) =>
    Effect.sync(() => {
      const [name = ""] = segmentsIn(path)
      const base = decodeHeader(readFileSync(join(path, name)), sequenceOf(name) ?? 0)
      return base !== undefined && "index" in base ? base.index + 1 : 0
    })
}

describe.each(logFormats)("a compaction of the log in %s", (format) => {
  it.live("that a crash cut short is finished by the next start", () =>
    Effect.gen(function*() {
      const path = yield* directory
      yield* start(path, append(1, 600), format)
      const point = encodeRecord({ index: 300, term: 1 })
      yield* RocksDb.use((database) =>
        database.write("raft_state", [{ _tag: "Put", key: stateKeys.compacted, value: point }], "durable")
      ).pipe(Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false }))))
      assert.strictEqual(yield* oldest[format](path), 1)
      yield* start(path, holds(301, 600), format)
      const first = yield* oldest[format](path)
      // A segment goes as a whole.
      assert.isAtMost(first, 301)
      assert.isAtLeast(first, format === "rows" ? 301 : 280)
    }).pipe(Effect.provideService(SegmentBytes, 1_024)))
})

describe.each(logFormats)("the write-ahead log, with the log in %s,", (format) => {
  it.live("does not grow for ever behind a hard state that stays", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const walBytes = () =>
        readdirSync(path).filter((name) => name.endsWith(".log"))
          .reduce((sum, name) => sum + (statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0), 0)
      const mebi = 1024 * 1024
      yield* Effect.gen(function*() {
        const log = yield* LogStore
        const hardState = { term: Term(1), votedFor: undefined, commit: LogIndex(0) }
        yield* log.append([writeOf([], { hardState })])
        for (let index = 1; index <= 40; index++) {
          yield* log.append([writeOf([sampleEntry(index, 1, "x".repeat(mebi))])])
        }
        yield* eventually("at most 8 MiB of write-ahead logs", () => walBytes() <= 8 * mebi)
      }).pipe(
        Effect.provide(
          RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3], writeBufferBytes: mebi })
        ),
        (node) => inFormat(format, node)
      )
    }), 60_000)
})
