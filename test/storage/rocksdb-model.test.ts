/**
 * The rows of a state family on RocksDB against a plain map, as `write-back-model.test.ts` compares them on a scripted
 * store: commits, reads, views, flushes to tables, snapshots, writes past the cache, restarts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { join } from "node:path"
import { createDirectory } from "../../src/storage/Folder.ts"
import type { Reader, Row, View } from "../../src/storage/rocksdb/Reader.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import { Random } from "../simulation/Random.ts"
import { checkRows, drawRange, keys } from "./CacheModel.ts"
import { bytes, carryOut, del, delRange, put, texts } from "./ScriptedStore.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const family = "state_a"

type Model = Map<string, string>

const check = Effect.fnUntraced(function*(random: Random, view: Pick<View, "getMany" | "scan">, moment: Model) {
  const question = drawRange(random, moment)
  if (question !== undefined) {
    const found: Array<Row> = []
    yield* view.scan(question.range, (row) => {
      found.push(row)
      return true
    })
    checkRows(question, found)
  }
  assert.deepStrictEqual(texts(yield* view.getMany(keys.map(bytes))), keys.map((key) => moment.get(key)))
})

const rowsOf = (reader: Reader): Pick<View, "getMany" | "scan"> => ({
  getMany: (wanted) => reader.getMany(family, wanted),
  scan: (range, take) => reader.scan(family, range, take)
})

/** One life of the database: some steps, and a check of what was kept open. */
const live = Effect.fnUntraced(function*(random: Random, model: Model, steps: number) {
  const database = yield* RocksDb
  const views: Array<{ readonly rows: Pick<View, "getMany" | "scan">; readonly moment: Model }> = []
  for (let step = 1; step <= steps; step++) {
    const operations = Array.from(
      { length: random.below(6) },
      () => random.chance(0.6) ? put(random.pick(keys), `${step}`.repeat(1 + random.below(50))) : del(random.pick(keys))
    )
    const [start, end] = [random.pick(keys), random.pick(keys)]
    if (start < end && random.chance(0.05)) operations.push(delRange(start, end))
    for (const operation of operations) carryOut(model, operation)
    model.set("end", String(step))
    yield* database.commit(family, operations, () => [put("end", String(step))])
    if (random.chance(0.1)) {
      const view = yield* Effect.acquireRelease(database.view(family), ({ close }) => close)
      views.push({ rows: view, moment: new Map(model) })
    }
    if (random.chance(0.03)) {
      const { reader } = yield* Effect.acquireRelease(database.snapshot(() => step), ({ close }) => close)
      views.push({ rows: rowsOf(reader), moment: new Map(model) })
    }
    if (random.chance(0.03)) yield* database.flush(family)
    if (random.chance(0.03)) {
      const foreign = put(random.pick(keys), `foreign ${step}`)
      yield* database.write(family, [foreign], random.chance(0.5) ? "durable" : "lazy")
      carryOut(model, foreign)
    }
    if (random.chance(0.3)) yield* Effect.promise(() => new Promise((later) => setImmediate(later)))
    const wanted = Array.from({ length: 1 + random.below(3) }, () => random.pick(keys))
    assert.deepStrictEqual(
      texts(yield* database.getMany(family, wanted.map(bytes))),
      wanted.map((key) => model.get(key)),
      `step ${step}`
    )
    const open = views[random.below(views.length + 1)]
    if (open !== undefined) yield* check(random, open.rows, open.moment)
  }
  for (const { moment, rows } of views) yield* check(random, rows, moment)
})

describe("the state rows on RocksDB", () => {
  for (let seed = 1; seed <= 12; seed++) {
    it.live(`are a plain map to every reader, in every life, seed ${seed}`, () =>
      Effect.gen(function*() {
        const random = new Random(seed)
        const path = join(yield* temporaryFolder, "data")
        createDirectory(path)
        const model: Model = new Map()
        for (let life = 0; life < 3; life++) {
          const scope = yield* Scope.make()
          const cacheLimits = {
            delayMs: 1 + random.below(20),
            batchRows: 1 + random.below(40),
            maxBytes: random.below(4_000),
            filters: { misses: 1 + random.below(20), keys: random.chance(0.8) ? 1_000 : 10 }
          }
          yield* live(random, model, 60).pipe(
            Effect.provide(RocksDb.layer({ path, create: true, writeBufferBytes: 64 * 1024, cacheLimits })),
            Scope.provide(scope),
            Effect.onExit((exit) => Scope.close(scope, Exit.asVoid(exit)))
          )
        }
        yield* Effect.gen(function*() {
          const database = yield* RocksDb
          yield* check(random, rowsOf(database), model)
        }).pipe(Effect.provide(RocksDb.layer({ path, create: false, readOnly: true })))
      }).pipe(Effect.scoped))
  }
})
