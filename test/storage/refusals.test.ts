import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { encodeEntry } from "../../src/protocol/EntryRecord.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { encodeRecord, logKey, stateKeys } from "../../src/storage/Codec.ts"
import type { DataDirOptions } from "../../src/storage/DataDir.ts"
import { floorFile, readFloor, writeFloor } from "../../src/storage/DurableFloor.ts"
import { inspect } from "../../src/storage/Inspect.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import { EntriesReadAtStart } from "../../src/storage/RecoveredLog.ts"
import type { Operation } from "../../src/storage/rocksdb/Operation.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { sampleEntries, sampleEntry, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { copyCrashImage } from "./CrashImage.ts"
import type { LogFormat } from "./LogFormats.ts"
import { endOfLog, inFormat, logFormats, segmentsIn } from "./LogFormats.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const optionsOf = (path: string): DataDirOptions => ({ path, clusterId: "orders", nodeId: 1, voters: [1, 2, 3] })

/** Starts a node on the directory, does `use`, and stops it. */
const start = <A, E, R>(options: DataDirOptions, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.fresh(RocksStorage.layer(options)))

const append = (...args: Parameters<typeof sampleEntries>) =>
  LogStore.use((store) => store.append([writeOf(sampleEntries(...args))]))

/** A directory that a node used and left. */
const usedDirectoryIn = Effect.fnUntraced(function*(format: LogFormat) {
  const path = join(yield* temporaryFolder, "node-1")
  yield* inFormat(format, start(optionsOf(path), append(1, 5, 2)))
  return path
})

const usedDirectory = usedDirectoryIn("segments")

const refused = (options: DataDirOptions) =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(start(options, Effect.void))
    if (error._tag !== "DataDirRefused") return assert.fail(`expected a refusal, got ${error.message}`)
    return error
  })

const corrupt = (options: DataDirOptions) =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(start(options, Effect.void))
    if (error._tag !== "StorageCorruption") return assert.fail(`expected corruption, got ${error.message}`)
    return error
  })

/** Changes the database behind the stores' back. */
const tamper = (path: string, family: "raft_log" | "raft_state", ...operations: ReadonlyArray<Operation>) =>
  RocksDb.use((database) => database.write(family, operations, "durable")).pipe(
    Effect.provide(Layer.fresh(RocksDb.layer({ path, create: false })))
  )

const put = (key: Uint8Array | string, value: Uint8Array): Operation => ({ _tag: "Put", key, value })

describe("a data directory is refused", () => {
  const others: ReadonlyArray<readonly [string, Partial<DataDirOptions>, string, string]> = [
    ["cluster-id", { clusterId: "payments" }, `cluster "payments"`, `cluster "orders"`],
    ["node-id", { nodeId: 2 }, "node 2", "node 1"],
    ["voters", { voters: [1, 2, 4] }, "voters 1, 2, 4", "voters 1, 2, 3"]
  ]
  for (const [reason, change, expected, found] of others) {
    it.live(`when it has another ${reason}, with both values and what to do`, () =>
      Effect.gen(function*() {
        const path = yield* usedDirectory
        const error = yield* refused({ ...optionsOf(path), ...change })
        assert.deepStrictEqual([error.reason, error.expected, error.found], [reason, expected, found] as const)
        assert.include(error.message, path)
        assert.isNotEmpty(error.hint)
        // A refusal changes nothing: the rightful node starts as before.
        yield* start(
          optionsOf(path),
          LogStore.use((store) => Effect.sync(() => assert.equal(store.recovered.lastIndex, 5)))
        )
      }))
  }

  it.live("when another version of the format wrote it", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      const marker = { formatVersion: 99, clusterId: "orders", nodeId: 1, voters: [1, 2, 3], createdMs: 0 }
      yield* tamper(path, "raft_state", put(stateKeys.marker, encodeRecord(marker)))
      const error = yield* refused(optionsOf(path))
      assert.deepStrictEqual([error.reason, error.expected, error.found], [
        "format-version",
        "format 4, 5, 6",
        "format 99"
      ])
    }))

  it.live("while a node uses it", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      yield* start(
        optionsOf(path),
        Effect.gen(function*() {
          const error = yield* refused(optionsOf(path))
          assert.strictEqual(error.reason, "locked")
          yield* append(6, 6, 2)
        })
      )
      yield* start(
        optionsOf(path),
        LogStore.use((store) => Effect.sync(() => assert.equal(store.recovered.lastIndex, 6)))
      )
    }))

  it.live("when it is a file", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "file")
      writeFileSync(path, "keep me")
      assert.strictEqual((yield* refused(optionsOf(path))).reason, "not-a-directory")
      assert.strictEqual(readFileSync(path, "utf8"), "keep me")
    }))

  it.live("when it holds other files, which stay as they are", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFolder
      writeFileSync(join(path, "thesis.tex"), "keep me")
      assert.strictEqual((yield* refused(optionsOf(path))).reason, "foreign")
      assert.deepStrictEqual(readdirSync(path), ["thesis.tex"])
    }))

  it.live("when its CURRENT file is gone: it must not look like an empty one", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      rmSync(join(path, "CURRENT"))
      const error = yield* refused(optionsOf(path))
      assert.strictEqual(error.reason, "foreign")
      assert.isFalse(existsSync(join(path, "CURRENT")))
    }))

  it.live("when its manifest was copied halfway: it is damaged, and nobody else's", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      const manifest = join(path, readdirSync(path).find((name) => name.startsWith("MANIFEST-")) ?? "")
      truncateSync(manifest, statSync(manifest).size / 2)
      for (const opened of [start(optionsOf(path), Effect.void), inspect(path, () => Effect.void)]) {
        const error = yield* Effect.flip(opened)
        assert.strictEqual(error._tag, "StorageCorruption")
        assert.match(error.message, /Do not delete anything; see deploy\/runbooks\/lost-node\.md/)
      }
    }))

  it.live(
    "when a record of its manifest is of no kind: RocksDB may not come back from damage there",
    () =>
      Effect.gen(function*() {
        const path = yield* usedDirectory
        const manifest = join(path, readdirSync(path).find((name) => name.startsWith("MANIFEST-")) ?? "")
        const whole = readFileSync(manifest)
        for (let at = 0; at + 7 <= whole.byteLength; at += 7 + whole.readUInt16LE(at + 4)) {
          assert.strictEqual(whole[at + 6], 1)
          const changed = Buffer.from(whole)
          changed[at + 6] = 0x21
          writeFileSync(manifest, changed)
          for (const opened of [start(optionsOf(path), Effect.void), inspect(path, () => Effect.void)]) {
            const error = yield* Effect.flip(opened)
            assert.strictEqual(error._tag, "StorageCorruption")
            assert.match(error.message, new RegExp(`the record at ${at} is of no kind that it can have`))
          }
        }
        writeFileSync(manifest, whole)
        yield* start(optionsOf(path), append(6, 6, 2))
      }),
    60_000
  )

  it.live("when it cannot be created", () =>
    Effect.gen(function*() {
      const file = join(yield* temporaryFolder, "file")
      writeFileSync(file, "")
      const path = join(file, "node-1")
      const error = yield* Effect.flip(start(optionsOf(path), Effect.void))
      assert.strictEqual(error._tag, "FolderError")
      assert.include(error.message, path)
    }))

  it.live("when inspected without a database in it", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "nothing")
      const error = yield* Effect.flip(inspect(path, () => Effect.void))
      assert.strictEqual(error._tag, "DataDirRefused")
      assert.isFalse(existsSync(path))
    }))
})

describe("a first start that was cut short", () => {
  it.live("is made again on the next start", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      mkdirSync(path)
      writeFileSync(join(path, "flaredb-creating"), "")
      yield* start(optionsOf(path), append(1, 2, 1))
      assert.isFalse(existsSync(join(path, "flaredb-creating")))
    }))

  it.live("with a database but no marker yet is made again as well", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFolder
      writeFileSync(join(path, "flaredb-creating"), "")
      yield* Effect.void.pipe(Effect.provide(Layer.fresh(RocksDb.layer({ path, create: true }))))
      yield* start(optionsOf(path), append(1, 2, 1))
    }))

  it.live("is told from a database that lost its marker", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      yield* tamper(path, "raft_state", { _tag: "Delete", key: Buffer.from(stateKeys.marker) })
      assert.include((yield* corrupt(optionsOf(path))).detail, "marker is missing")
    }))
})

describe("corruption is found at the start", () => {
  const flipped = (record: Uint8Array, at: number): Uint8Array => {
    const copy = Uint8Array.from(record)
    copy[at] = (copy[at] ?? 0) ^ 1
    return copy
  }
  const record3 = () => encodeEntry(sampleEntry(3, 2))
  const forged = (index: number, term: number) => encodeEntry(sampleEntry(index, term))
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<Operation>, RegExp]> = [
    ["a flipped bit in an entry", [put(logKey(LogIndex(3)), flipped(record3(), 40))], /entry 3: checksum/],
    ["a short entry", [put(logKey(LogIndex(3)), record3().slice(0, 31))], /entry 3: .*needs 32 bytes/],
    ["an empty entry", [put(logKey(LogIndex(3)), new Uint8Array(0))], /entry 3: /],
    ["a gap", [{ _tag: "Delete", key: logKey(LogIndex(3)) }], /entry 3 is missing, 4 follows/],
    ["a missing head", [{ _tag: "Delete", key: logKey(LogIndex(1)) }], /entry 1 is missing, 2 follows/],
    [
      "an entry in another one's place",
      [put(logKey(LogIndex(3)), forged(4, 2))],
      /entry 3 holds the record of entry 4/
    ],
    ["a term that goes back", [put(logKey(LogIndex(3)), forged(3, 1))], /entry 3 has term 1 after term 2/],
    ["a key that is no index", [put(Uint8Array.of(0, 0, 1), record3())], /no index: 000001/]
  ]
  for (const [name, operations, expected] of cases) {
    it.live(`${name} of a log in rows`, () =>
      Effect.gen(function*() {
        const path = yield* usedDirectoryIn("rows")
        yield* tamper(path, "raft_log", ...operations)
        const error = yield* corrupt(optionsOf(path))
        assert.match(error.detail, expected)
        assert.match((yield* Effect.flip(inspect(path, () => Effect.void))).message, expected)
      }))

    it.live(`${name} of a log in rows, later where the start takes an earlier run's word for it`, () =>
      Effect.gen(function*() {
        const path = yield* usedDirectoryIn("rows")
        yield* tamper(path, "raft_log", ...operations)
        const running = start(optionsOf(path), LogStore.use(({ failed }) => failed))
        const error = yield* Effect.flip(Effect.provideService(running, EntriesReadAtStart, 0))
        if (error._tag !== "StorageCorruption") return assert.fail(`expected corruption, got ${error.message}`)
        assert.match(error.detail, expected)
      }))
  }

  /** A directory whose log has a segment for each entry. */
  const segmented = Effect.provideService(usedDirectory, SegmentBytes, 64)
  const third = (path: string): string => join(path, segmentsIn(path)[2] ?? "")
  const damaged: ReadonlyArray<readonly [string, (path: string) => void, RegExp]> = [
    [
      "a flipped bit in an entry",
      (path) => writeFileSync(third(path), flipped(readFileSync(third(path)), 100)),
      /entry 3 is/
    ],
    ["a short entry", (path) => truncateSync(third(path), statSync(third(path)).size - 1), /entry 3 is missing/],
    [
      "a flipped bit in a header",
      (path) => writeFileSync(third(path), flipped(readFileSync(third(path)), 20)),
      /header/
    ],
    ["an empty file", (path) => truncateSync(third(path), 0), /000003 has no whole header/],
    ["a missing file", (path) => rmSync(third(path)), /entry 3 is missing, flaredb-log-000000000004 begins behind 3/],
    ["a missing head", (path) => rmSync(join(path, segmentsIn(path)[0] ?? "")), /entry 1 is missing/],
    ["a missing tail", (path) => rmSync(join(path, segmentsIn(path)[4] ?? "")), /ends at 4, but .* durable up to 5/],
    ["all files missing", (path) => {
      for (const name of segmentsIn(path)) rmSync(join(path, name))
    }, /ends at 0, but .* durable up to 5/]
  ]
  it.live.each(damaged)("%s of a log in segments", ([, damage, expected]) =>
    Effect.gen(function*() {
      const path = yield* segmented
      damage(path)
      const left = segmentsIn(path)
      const error = yield* corrupt(optionsOf(path))
      assert.match(error.detail, expected)
      assert.match((yield* Effect.flip(inspect(path, () => Effect.void))).message, expected)
      assert.deepStrictEqual(segmentsIn(path), left)
    }))

  for (const key of ["marker", "hardState", "confState", "compacted", "activeFamily"] as const) {
    it.live(`a damaged ${key} record`, () =>
      Effect.gen(function*() {
        const path = yield* usedDirectory
        const json = Buffer.from("{\"unknown\":true}")
        const shape = Buffer.concat([Buffer.alloc(4), json])
        shape.writeUInt32BE(crc32(json))
        for (const bytes of [Buffer.from("no"), Buffer.from("not the checksum"), shape]) {
          yield* tamper(path, "raft_state", put(stateKeys[key], bytes))
          assert.match((yield* corrupt(optionsOf(path))).detail, /only 2 bytes|checksum|unknown shape/)
        }
      }))
  }

  it.live("a RocksDB manifest that is gone", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      for (const name of readdirSync(path)) if (name.startsWith("MANIFEST")) rmSync(join(path, name))
      assert.include((yield* corrupt(optionsOf(path))).message, path)
    }))

  it.live("a CURRENT file with garbage in it", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      writeFileSync(join(path, "CURRENT"), "garbage")
      yield* corrupt(optionsOf(path))
    }))
})

describe("the durable floor", () => {
  it.live("is the log's end after a clean stop", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      assert.deepStrictEqual(yield* readFloor(path), { index: LogIndex(5), term: Term(2) })
    }))

  it.live.each(logFormats)("refuses a log whose tail was cut off, in %s", (format) =>
    Effect.gen(function*() {
      const path = yield* usedDirectoryIn(format)
      const copy = `${path}-copy`
      yield* start(
        optionsOf(path),
        Effect.gen(function*() {
          yield* append(6, 9, 2)
          copyCrashImage(path, copy)
        })
      )
      // A write-ahead log loses its last bytes, and RocksDB opens without a word; of a segment some entries are left.
      const { file, size } = endOfLog(copy, format)
      truncateSync(file, size - 10)
      yield* writeFloor(copy, { index: LogIndex(9), term: Term(2) })
      const error = yield* corrupt(optionsOf(copy))
      assert.include(error.detail, "it was durable up to 9: its tail was lost")
      assert.include(error.safe, `log entries up to ${format === "rows" ? 5 : 8}`)
      assert.include(error.message, "lost-node.md")
    }))

  it.live("refuses a directory whose last vote was cut off", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      const vote = { term: Term(4), votedFor: NodeId(3) }
      yield* start(
        optionsOf(path),
        LogStore.use((log) => log.append([writeOf([], { hardState: { ...vote, commit: LogIndex(0) } })]))
      )
      assert.deepStrictEqual((yield* readFloor(path))?.vote, vote)
      // The vote is the last record of the write-ahead log, and every entry stays.
      const wals = readdirSync(path).filter((name) => name.endsWith(".log")).toSorted()
      const wal = join(path, wals.at(-1) ?? "")
      truncateSync(wal, readFileSync(wal).byteLength - 10)
      assert.match((yield* corrupt(optionsOf(path))).detail, /term 4 with a vote for node 3 was durable: it was lost/)
    }))

  it.live("knows that a later term has no vote to keep", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      const hardState = (term: number, votedFor: NodeId | undefined) =>
        start(
          optionsOf(path),
          LogStore.use((log) =>
            log.append([writeOf([], { hardState: { term: Term(term), votedFor, commit: LogIndex(0) } })])
          )
        )
      yield* hardState(4, NodeId(3))
      yield* hardState(5, undefined)
      yield* hardState(5, NodeId(1))
      yield* start(
        optionsOf(path),
        LogStore.use(({ recovered }) => Effect.sync(() => assert.strictEqual(recovered.hardState.votedFor, NodeId(1))))
      )
      // What an earlier version wrote says nothing of votes.
      yield* writeFloor(path, { index: LogIndex(5), term: Term(2) })
      yield* start(optionsOf(path), Effect.void)
    }))

  it.live.each(logFormats)("refuses a log with another term at the floor, in %s", (format) =>
    Effect.gen(function*() {
      const path = yield* usedDirectoryIn(format)
      yield* writeFloor(path, { index: LogIndex(4), term: Term(1) })
      assert.include((yield* corrupt(optionsOf(path))).detail, "entry 4 has term 2, but term 1 was durable there")
    }))

  it.live("refuses a start when the file itself is damaged", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      writeFileSync(join(path, floorFile), "nonsense")
      assert.include((yield* corrupt(optionsOf(path))).detail, "durable floor")
    }))

  it.live.each(logFormats)("is lowered before a tail it covers is removed, in %s", (format) =>
    Effect.gen(function*() {
      const path = yield* usedDirectoryIn(format)
      const copy = `${path}-copy`
      yield* start(
        optionsOf(path),
        Effect.gen(function*() {
          const log = yield* LogStore
          yield* log.append([writeOf([], { truncateFrom: LogIndex(3) })])
          // What kill -9 would leave behind now.
          copyCrashImage(path, copy)
        })
      )
      assert.deepStrictEqual(yield* readFloor(copy), { index: LogIndex(2), term: Term(2) })
      yield* start(
        optionsOf(copy),
        LogStore.use((store) => Effect.sync(() => assert.equal(store.recovered.lastIndex, 2)))
      )
    }))
})

describe("inspection", () => {
  it.live("says everything a directory holds and changes nothing", () =>
    Effect.gen(function*() {
      const path = yield* usedDirectory
      yield* start(
        optionsOf(path),
        Effect.gen(function*() {
          const log = yield* LogStore
          const state = yield* StateStore
          yield* log.append([
            writeOf(sampleEntries(6, 8, 3), {
              hardState: { term: Term(3), votedFor: NodeId(2), commit: LogIndex(6) }
            })
          ])
          yield* state.commit([], { index: LogIndex(6), term: Term(3) })
          yield* log.compact({ index: LogIndex(2), term: Term(2) })
        })
      )
      const look = inspect(path, (found) =>
        Effect.gen(function*() {
          assert.strictEqual(found.marker.clusterId, "orders")
          assert.deepStrictEqual(found.log.compacted, { index: LogIndex(2), term: Term(2) })
          assert.strictEqual(found.log.lastIndex, 8)
          assert.deepStrictEqual(found.log.hardState.votedFor, NodeId(2))
          assert.deepStrictEqual(found.applied, { index: LogIndex(6), term: Term(3) })
          assert.strictEqual(found.activeFamily, "state_a")
          assert.deepStrictEqual(found.floor, {
            index: LogIndex(8),
            term: Term(3),
            vote: { term: Term(3), votedFor: NodeId(2) }
          })
          const entries = yield* found.entries(LogIndex(1), 4)
          assert.deepStrictEqual(entries.map(({ index }) => Number(index)), [3, 4, 5, 6])
        }))
      yield* look
      yield* look
      yield* start(optionsOf(path), append(9, 9, 3))
    }))
})
