/** The log against a model that keeps every entry in a plain array. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { entryBytes } from "../../src/raft/Config.ts"
import { Log } from "../../src/raft/Log.ts"
import type { Entry, LogPoint } from "../../src/raft/Types.ts"
import { LogIndex, origin, Term } from "../../src/raft/Types.ts"
import { entry, termRunsOf } from "./Cluster.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const Operation = Schema.Union([
  Schema.Struct({ op: Schema.Literal("append"), count: upTo(6), terms: upTo(2), size: upTo(40) }),
  Schema.Struct({ op: Schema.Literal("truncate"), at: upTo(100) }),
  Schema.Struct({ op: Schema.Literal("compact"), at: upTo(100) }),
  Schema.Struct({ op: Schema.Literal("reset"), beyond: upTo(5), terms: upTo(2) }),
  Schema.Struct({ op: Schema.Literal("evict"), keep: upTo(300), durable: upTo(100) }),
  Schema.Struct({ op: Schema.Literal("restart") })
])
type Operation = typeof Operation.Type
const Operations = Schema.Array(Operation).check(Schema.isMaxLength(40))

/** All entries, and from which index on they are in memory. */
class Model {
  base: LogPoint = origin
  entries: Array<Entry> = []
  windowFirst = 1

  get lastIndex(): number {
    return this.base.index + this.entries.length
  }
  get lastTerm(): number {
    return this.entries[this.entries.length - 1]?.term ?? this.base.term
  }
  termAt(index: number): Term | undefined {
    return index === this.base.index ? this.base.term : this.at(index)?.term
  }
  at(index: number): Entry | undefined {
    return this.entries[index - this.base.index - 1]
  }
  /** The index a share of the log's length stands for. */
  place(percent: number): number {
    return this.base.index + Math.floor(percent * this.entries.length / 100)
  }
  get inMemory(): Array<Entry> {
    return this.entries.filter(({ index }) => index >= this.windowFirst)
  }
  get bytes(): number {
    return this.inMemory.reduce((sum, held) => sum + entryBytes(held), 0)
  }
}

const carryOut = (log: Log, model: Model, operation: Operation): Log => {
  switch (operation.op) {
    case "append": {
      const term = model.lastTerm + operation.terms
      const added = Array.from(
        { length: operation.count },
        (_, at) => entry(model.lastIndex + 1 + at, Math.max(1, term), "x".repeat(operation.size))
      )
      if (model.inMemory.length === 0) model.windowFirst = model.lastIndex + 1
      model.entries.push(...added)
      log.append(added)
      return log
    }
    case "truncate": {
      const from = model.place(operation.at) + 1
      model.entries = model.entries.filter(({ index }) => index < from)
      if (model.inMemory.length === 0) model.windowFirst = model.lastIndex + 1
      log.truncateFrom(LogIndex(from))
      return log
    }
    case "compact": {
      const index = LogIndex(model.place(operation.at))
      const point = { index, term: model.termAt(index) as Term }
      model.entries = model.entries.filter((held) => held.index > index)
      model.base = point
      if (model.windowFirst <= index) model.windowFirst = index + 1
      log.compact(point)
      return log
    }
    case "reset": {
      const point = {
        index: LogIndex(model.lastIndex + operation.beyond),
        term: Term(model.lastTerm + operation.terms)
      }
      model.entries = []
      model.base = point
      model.windowFirst = point.index + 1
      log.reset(point)
      return log
    }
    case "evict": {
      const durable = model.place(operation.durable)
      while (model.bytes > operation.keep && model.windowFirst <= durable) model.windowFirst += 1
      log.evict(operation.keep, LogIndex(durable))
      return log
    }
    case "restart":
      model.windowFirst = model.lastIndex + 1
      return new Log(model.base, LogIndex(model.lastIndex), termRunsOf(model.entries))
  }
}

const compare = (log: Log, model: Model): void => {
  assert.deepEqual(log.compacted, model.base)
  assert.strictEqual(log.lastIndex, model.lastIndex)
  assert.strictEqual(log.lastTerm, model.lastTerm)
  assert.strictEqual(log.windowBytes, model.bytes)
  assert.strictEqual(log.windowFirst, model.windowFirst)
  for (let index = Math.max(0, model.base.index - 2); index <= model.lastIndex + 2; index++) {
    assert.strictEqual(log.termAt(LogIndex(index)), model.termAt(index), `the term at ${index}`)
  }
}

/** The definition of {@link Log.lastPointAtMost}: walk back one entry at a time. */
const naiveLastPointAtMost = (model: Model, index: number, term: number): LogPoint => {
  for (let at = Math.min(index, model.lastIndex); at > model.base.index; at--) {
    const held = model.at(at) as Entry
    if (held.term <= term) return { index: held.index, term: held.term }
  }
  return model.base
}

describe("Log", () => {
  it.prop("answers like a plain array, whatever was done to it", [Operations], ([operations]) => {
    const model = new Model()
    let log = new Log(origin, origin.index, [])
    for (const operation of operations) {
      log = carryOut(log, model, operation)
      compare(log, model)
    }
  }, { arbitrary: { runs: 400 } })

  it.prop("finds where logs may agree", [Operations, upTo(100), upTo(12)], ([operations, percent, term]) => {
    const model = new Model()
    let log = new Log(origin, origin.index, [])
    for (const operation of operations) log = carryOut(log, model, operation)
    const index = LogIndex(model.place(percent) + 1)
    assert.deepEqual(log.lastPointAtMost(index, Term(term)), naiveLastPointAtMost(model, index, term))
  }, { arbitrary: { runs: 400 } })

  it.prop(
    "hands out what is in memory within the limits, at least one entry",
    [Operations, upTo(100), upTo(400), upTo(8)],
    ([operations, percent, maxBytes, entriesLess1]) => {
      const model = new Model()
      let log = new Log(origin, origin.index, [])
      for (const operation of operations) log = carryOut(log, model, operation)
      const from = model.place(percent) + 1
      const maxEntries = entriesLess1 + 1
      if (from > model.lastIndex) return
      const slice = log.slice(LogIndex(from), log.lastIndex, maxBytes, maxEntries)
      if (from < model.windowFirst) return assert.strictEqual(slice, undefined)
      const held = slice ?? []
      assert.deepEqual(held, model.entries.filter(({ index }) => index >= from).slice(0, held.length))
      const bytes = held.reduce((sum, each) => sum + entryBytes(each), 0)
      assert.isAtLeast(held.length, 1)
      assert.isAtMost(held.length, maxEntries)
      if (held.length > 1) assert.isAtMost(bytes, maxBytes)
      const next = model.at(from + held.length)
      if (next !== undefined && held.length < maxEntries) assert.isAbove(bytes + entryBytes(next), maxBytes)
    },
    { arbitrary: { runs: 400 } }
  )

  it("keeps memory bounded while entries come and go", () => {
    const log = new Log(origin, origin.index, [])
    for (let index = 1; index <= 20_000; index++) {
      log.append([entry(index, 1, "x".repeat(10))])
      log.evict(420, LogIndex(index))
      assert.isAtMost(log.windowBytes, 420)
    }
    assert.strictEqual(log.termAt(LogIndex(1)), 1)
    assert.strictEqual(log.slice(log.lastIndex, log.lastIndex, 1, 1)?.length, 1)
  })
})
