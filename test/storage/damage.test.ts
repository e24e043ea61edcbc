/**
 * Data directories that were damaged while the node was down: each kind of file gone, cut short, or with bytes that are others.
 * A start is refused with a typed error that names the directory and says what to do, or it recovers everything: no entry, no
 * vote and no row that was durable is missing or different. A failed read afterwards is a typed error, too. Half of the
 * starts take an earlier run's word for most of the log, and meet the damage when they read it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { checkRecovered } from "../../src/raft/Recovered.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import { floorFile, readFloor } from "../../src/storage/DurableFloor.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import { EntriesReadAtStart } from "../../src/storage/RecoveredLog.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { SegmentBytes } from "../../src/storage/segments/SegmentBytes.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { sampleEntry, writeOf } from "../../src/testing/LogStoreSuite.ts"
import { figure } from "../cluster/Figures.ts"
import { copyCrashImage } from "./CrashImage.ts"
import type { LogFormat } from "./LogFormats.ts"
import { inFormat, logFormats } from "./LogFormats.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const seed = Number(process.env["DAMAGE_SEED"] ?? 1)

/** Entries in the log, all of which are durable, and the last of them whose effects are in the state. */
const entries = 300
const applied = 280
/** The vote that was written last, behind every entry. */
const vote = { term: Term(9), votedFor: NodeId(2) }

const payload = (index: number): string => `${index}:`.padEnd(700 + (index % 13), String(index % 10))
const entryOf = (index: number) => sampleEntry(index, 1 + Math.floor(index / 100), payload(index))
const rowKey = (index: number): Uint8Array => Uint8Array.of(0x10, index >> 8, index & 0xff)
/** Some of them are so large that they lie in blob files. */
const rowValue = (index: number): Uint8Array =>
  Buffer.from(`row ${payload(index)}`.padEnd(index % 4 === 0 ? 4_000 : 0, "x"))

const optionsOf = (path: string) => ({
  path,
  clusterId: "orders",
  nodeId: 1,
  voters: [1, 2, 3],
  // Small, so that some of it is in tables and some in the write-ahead log.
  writeBufferBytes: 64 * 1024
})

const start = <A, E, R>(path: string, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.fresh(RocksStorage.layer(optionsOf(path))))

/** Writes what memory has of the state into tables and blob files. */
const writeTables = (database: RocksDb["Service"]) =>
  database.snapshot(() => undefined).pipe(
    Effect.flatMap(({ close }) => close),
    Effect.andThen(database.flush("state_a"))
  )

/** The directory of a node that worked and stopped in good order; `killed` is what kill -9 would have left a moment earlier. */
const usedIn = Effect.fnUntraced(function*(format: LogFormat) {
  const folder = yield* temporaryFolder
  const path = join(folder, "node-1")
  const killed = join(folder, "killed")
  yield* start(
    path,
    Effect.gen(function*() {
      const log = yield* LogStore
      const state = yield* StateStore
      for (let first = 1; first <= entries; first += 10) {
        const some = Array.from({ length: 10 }, (_, i) => entryOf(first + i))
        yield* log.append([writeOf(some)])
        for (let index = first; index < first + 10 && index <= applied; index++) {
          const { term } = entryOf(index)
          yield* state.commit([{ _tag: "Put", key: rowKey(index), value: rowValue(index) }], {
            index: LogIndex(index),
            term
          })
        }
        if (first === 201) yield* RocksDb.use(writeTables)
      }
      yield* log.append([writeOf([], { hardState: { ...vote, commit: LogIndex(applied) } })])
      copyCrashImage(path, killed)
    })
  ).pipe((node) => inFormat(format, node), Effect.provideService(SegmentBytes, 64 * 1024))
  return { folder, path, killed }
})

/** Numbers below a bound, the same ones for the same seed. */
const numbersFrom = (from: number) => {
  let state = from
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

type Draw = ReturnType<typeof numbersFrom>

const commonKinds: ReadonlyArray<readonly [name: string, pattern: RegExp]> = [
  ["CURRENT", /^CURRENT$/],
  ["MANIFEST", /^MANIFEST-/],
  ["a table", /\.sst$/],
  ["a blob file", /\.blob$/],
  ["a write-ahead log", /\.log$/],
  ["OPTIONS", /^OPTIONS-/],
  ["IDENTITY", /^IDENTITY$/],
  ["the durable floor", new RegExp(`^${floorFile}$`)]
]

const kinds: Record<LogFormat, typeof commonKinds> = {
  rows: commonKinds,
  segments: [...commonKinds, ["a segment", /^flaredb-log-/]]
}

/** Files whose newest is in use when a node is killed. */
const inUse = new Set(["MANIFEST", "a segment", "a write-ahead log"])

const rewrite = (file: string, change: (bytes: Buffer) => void) => {
  const bytes = readFileSync(file)
  change(bytes)
  writeFileSync(file, bytes)
}

const damages: ReadonlyArray<readonly [name: string, times: number, apply: (file: string, next: Draw) => void]> = [
  ["is gone", 1, (file) => rmSync(file)],
  ["is empty", 1, (file) => truncateSync(file, 0)],
  ["lost its tail", 3, (file, next) => truncateSync(file, Math.max(0, statSync(file).size - 1 - next(400)))],
  ["is cut", 2, (file, next) => truncateSync(file, next(statSync(file).size + 1))],
  ["has a flipped bit", 5, (file, next) =>
    rewrite(file, (bytes) => {
      if (bytes.byteLength === 0) return
      const at = next(bytes.byteLength)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << next(8))
    })],
  ["has zeros in it", 2, (file, next) =>
    rewrite(file, (bytes) => {
      const at = next(bytes.byteLength + 1)
      bytes.fill(0, at, Math.min(at + 64, bytes.byteLength))
    })]
]

/** Reads everything, and compares it with what was written. `true` when all of it was there. */
const verify = (least: number, leastVote: boolean) =>
  Effect.gen(function*() {
    const { read, recovered } = yield* LogStore
    const state = yield* StateStore
    checkRecovered({ ...recovered, applied: state.recovered.index })
    assert.isAtLeast(recovered.lastIndex, least, "acknowledged entries are missing")
    const { hardState } = recovered
    if (leastVote) {
      assert.deepStrictEqual({ term: hardState.term, votedFor: hardState.votedFor }, vote, "a vote is forgotten")
    }
    const found = yield* read(LogIndex(1), recovered.lastIndex, 2 ** 30)
    for (const [i, entry] of found.entries()) {
      assert.strictEqual(Buffer.from(entry.payload).toString(), payload(i + 1))
      assert.strictEqual(entry.term, entryOf(i + 1).term)
    }
    const rows = yield* state.scan({ gte: Uint8Array.of(0x10), lt: Uint8Array.of(0x11), limit: 10_000 })
    assert.deepStrictEqual(
      rows.map(({ key, value }) => [Buffer.from(key).toString("hex"), Buffer.from(value).toString()]),
      Array.from({ length: state.recovered.index }, (_, i) => [
        Buffer.from(rowKey(i + 1)).toString("hex"),
        Buffer.from(rowValue(i + 1)).toString()
      ])
    )
  })

/**
 * A start that reads so many of the entries that the floor covers: "whole", or the tag of the typed error. Anything else
 * is a bug.
 */
const attempt = Effect.fnUntraced(function*(path: string, least: number, leastVote: boolean, readEntries: number) {
  const started = start(path, verify(least, leastVote))
  const exit = yield* Effect.exit(Effect.provideService(started, EntriesReadAtStart, readEntries))
  if (Exit.isSuccess(exit)) return "whole"
  const [reason] = exit.cause.reasons
  if (reason?._tag !== "Fail") return assert.fail(`not a typed error: ${String(exit.cause)}`)
  const { error } = reason
  assert.include(["StorageCorruption", "StorageIoError", "DataDirRefused"], error._tag)
  assert.include(error.message, path)
  assert.match(error.message, /runbooks|check the disk|make room|chown|Give |data-dir/)
  assert.notMatch(error.message, /\n\s+at /)
  return error._tag
})

describe.each(logFormats)("a damaged data directory with its log in %s is refused, or recovered whole", (format) => {
  for (const [k, [kind, pattern]] of kinds[format].entries()) {
    it.live(`${kind} that is gone, cut or changed`, () =>
      Effect.gen(function*() {
        const { folder, killed, path } = yield* usedIn(format)
        const next = numbersFrom(seed * 100 + k)
        const outcomes: Record<string, number> = {}
        for (const image of inUse.has(kind) ? [path, killed] : [path]) {
          const files = readdirSync(image).filter((name) => pattern.test(name))
          assert.isNotEmpty(files)
          // After kill -9 the tail of the file that was written last may be what never was durable, down to the floor.
          const floor = image === path ? undefined : yield* readFloor(image)
          const keepsEntries = image === path || kind !== (format === "rows" ? "a write-ahead log" : "a segment")
          const least = keepsEntries ? entries : floor?.index ?? 0
          const keepsVote = image === path || kind !== "a write-ahead log"
          for (const [name, times, damage] of damages) {
            for (let i = 0; i < times; i++) {
              const copy = join(folder, "copy")
              cpSync(image, copy, { recursive: true })
              // The newest as often as all the others: what was written last lies in it.
              const file = (next(2) === 0 ? files.at(-1) : files[next(files.length)]) ?? ""
              damage(join(copy, file), next)
              const outcome = yield* attempt(copy, least, keepsVote, i % 2 === 0 ? entries : 40).pipe(
                Effect.catchDefect((defect) => Effect.die(new Error(`DAMAGE_SEED=${seed}: ${file} ${name}: ${defect}`)))
              )
              outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
              rmSync(copy, { recursive: true })
            }
          }
        }
        figure(`${format}, ${kind}: ${JSON.stringify(outcomes)}`)
      }), 60_000)
  }
})
