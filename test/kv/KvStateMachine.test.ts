/** The key-value state machine against a model too plain to be wrong, and on a store that restarts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { prefixRange, successor } from "../../src/bytes/KeyRange.ts"
import { maxPageBytes } from "../../src/kv/model/Limits.ts"
import type { Query } from "../../src/kv/model/Query.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import type { Reply, ScanReply } from "../../src/kv/model/Reply.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder().decode(data)

const put = (key: string, value: string | Uint8Array): Command => ({
  _tag: "Put",
  key: bytes(key),
  value: typeof value === "string" ? bytes(value) : value,
  lease: 0
})
const del = (key: string): Command => ({ _tag: "Delete", key: bytes(key) })

const get = (key: string): Query => ({ _tag: "Get", key: bytes(key) })
const scan = (prefix: string, options: Partial<Extract<Query, { _tag: "Scan" }>> = {}): Query => ({
  _tag: "Scan",
  range: prefixRange(bytes(prefix)),
  limit: 100,
  keysOnly: false,
  reverse: false,
  ...options
})

const entry = (index: number, command: Command | undefined): Entry => ({
  index: LogIndex(index),
  term: Term(1),
  kind: command === undefined ? "noop" : "command",
  timestampMs: 0,
  payload: command === undefined ? new Uint8Array(0) : encodeCommand(command)
})

const entries = (first: number, commands: ReadonlyArray<Command | undefined>) =>
  commands.map((command, i) => entry(first + i, command))

const apply = (first: number, commands: ReadonlyArray<Command | undefined>) =>
  StateMachine.use((machine) => machine.apply(entries(first, commands)))

const ask = (...queries: ReadonlyArray<Query>) =>
  StateMachine.use((machine) =>
    Effect.map(machine.query(queries.map(encodeQuery)), (replies) =>
      replies.map((reply) => {
        if (!(reply instanceof Uint8Array)) throw reply
        return decodeReply(reply) as Reply
      }))
  )

const on = (disk: MemoryStore.MemoryDisk) =>
  Layer.fresh(KvStateMachine.layer.pipe(Layer.provide(MemoryStore.layer(disk))))

const machine = () => on(new MemoryStore.MemoryDisk([1]))

const keysOf = (reply: Reply | undefined) => (reply as ScanReply).rows.map((row) => text(row.key))

describe("writes", () => {
  it.effect("take one gapless revision each; versions count from the creation of a key", () =>
    Effect.gen(function*() {
      const replies = yield* apply(1, [
        undefined,
        put("a", "1"),
        put("b", "1"),
        put("a", "2"),
        del("a"),
        del("a"),
        put("a", "3")
      ])
      assert.strictEqual(replies[0]?.byteLength, 0, "a no-op has no reply")
      assert.deepStrictEqual(replies.slice(1).map((reply) => decodeReply(reply)), [
        { _tag: "PutReply", revision: 1, createRevision: 1, version: 1 },
        { _tag: "PutReply", revision: 2, createRevision: 2, version: 1 },
        { _tag: "PutReply", revision: 3, createRevision: 1, version: 2 },
        { _tag: "DeleteReply", revision: 4, deleted: true },
        { _tag: "DeleteReply", revision: 4, deleted: false },
        { _tag: "PutReply", revision: 5, createRevision: 5, version: 1 }
      ])
      const [a, missing] = yield* ask(get("a"), get("c"))
      assert.deepInclude(a, { _tag: "GetReply", revision: 5 })
      assert.deepStrictEqual(missing, { _tag: "GetReply", revision: 5, record: undefined })
    }).pipe(Effect.provide(machine())))

  it.effect("are the same however they are cut into batches, on every node", () =>
    Effect.gen(function*() {
      let state = 11
      const next = (below: number) => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
        return Math.floor((state / 2 ** 32) * below)
      }
      const commands = Array.from({ length: 500 }, () => {
        const key = `key ${next(20)}`
        return next(4) === 0 ? del(key) : put(key, `value ${next(1000)}`)
      })
      const disks = [new MemoryStore.MemoryDisk([1]), new MemoryStore.MemoryDisk([1]), new MemoryStore.MemoryDisk([1])]
      for (const [i, disk] of disks.entries()) {
        for (let first = 0; first < commands.length;) {
          const size = i === 0 ? 1 : 1 + next(40)
          // A new machine for each batch: nothing may hang on what it remembers.
          yield* Effect.provide(apply(first + 1, commands.slice(first, first + size)), on(disk))
          first += size
        }
      }
      const states = disks.map(({ state }) => ({ applied: state.applied, rows: [...state.rows] }))
      assert.deepStrictEqual(states[1], states[0])
      assert.deepStrictEqual(states[2], states[0])

      const model = new Map<string, string>()
      for (const command of commands) {
        if (command._tag === "Put") model.set(text(command.key), text(command.value))
        else if (command._tag === "Delete") model.delete(text(command.key))
      }
      const [page] = yield* Effect.provide(ask(scan("")), on(disks[0] as MemoryStore.MemoryDisk))
      assert.deepStrictEqual(
        (page as ScanReply).rows.map((row) => [text(row.key), text(row.record.value)]),
        [...model].sort(([a], [b]) => a < b ? -1 : 1)
      )
    }))

  it.effect("are refused before the log when they are malformed, with the field named", () =>
    Effect.gen(function*() {
      const { check } = yield* StateMachine
      assert.strictEqual(check(encodeCommand(put("a", "1"))), undefined)
      assert.deepInclude(check(encodeCommand(put("", "1"))), { _tag: "InvalidArgument", field: "key" })
      assert.deepInclude(check(Uint8Array.of(2, 99, ...new Uint8Array(24))), {
        _tag: "InvalidArgument",
        field: "command"
      })
      assert.deepInclude(check(new Uint8Array(0)), { _tag: "InvalidArgument", field: "command" })
    }).pipe(Effect.provide(machine())))
})

describe("scans", () => {
  const filled = Effect.andThen(
    apply(1, ["a", "b/1", "b/2", "b/3", "b/4", "c"].map((key) => put(key, `value of ${key}`))),
    Effect.void
  )

  it.effect("give pages in order, forwards and backwards, each going on behind the last", () =>
    Effect.gen(function*() {
      yield* filled
      for (const reverse of [false, true]) {
        const seen: Array<string> = []
        let range = prefixRange(bytes("b/"))
        for (let more = true; more;) {
          const [page] = yield* ask(scan("b/", { limit: 3, reverse, range }))
          seen.push(...keysOf(page))
          more = (page as ScanReply).more
          const last = bytes(seen.at(-1) as string)
          range = reverse ? { ...range, lt: last } : { ...range, gte: successor(last) }
        }
        assert.deepStrictEqual(seen, reverse ? ["b/4", "b/3", "b/2", "b/1"] : ["b/1", "b/2", "b/3", "b/4"])
      }
    }).pipe(Effect.provide(machine())))

  it.effect("leave values out on request, and find nothing under a prefix that is not there", () =>
    Effect.gen(function*() {
      yield* filled
      const [keys, none] = yield* ask(scan("b/", { keysOnly: true }), scan("zzz"))
      assert.deepStrictEqual((keys as ScanReply).rows.map((row) => row.record.value.byteLength), [0, 0, 0, 0])
      assert.deepInclude((keys as ScanReply).rows[0]?.record, { createRevision: 2, version: 1 })
      assert.deepStrictEqual(none, { _tag: "ScanReply", revision: 6, rows: [], more: false })
    }).pipe(Effect.provide(machine())))

  it.effect("end a page at its limit of bytes and say that there is more", () =>
    Effect.gen(function*() {
      const half = new Uint8Array(maxPageBytes / 4)
      yield* apply(1, Array.from({ length: 10 }, (_, i) => put(`large ${i}`, half)))
      const [page] = yield* ask(scan(""))
      assert.strictEqual((page as ScanReply).rows.length, 4)
      assert.isTrue((page as ScanReply).more)
    }).pipe(Effect.provide(machine())))

  it.effect("more than a chunk of them is one page of one moment", () =>
    Effect.gen(function*() {
      yield* apply(1, Array.from({ length: 300 }, (_, i) => put(`k${String(i).padStart(3, "0")}`, "v")))
      const [exact, rest] = yield* ask(scan("k", { limit: 300 }), scan("k", { limit: 150 }))
      assert.strictEqual((exact as ScanReply).rows.length, 300)
      assert.isFalse((exact as ScanReply).more)
      assert.strictEqual((rest as ScanReply).rows.length, 150)
      assert.isTrue((rest as ScanReply).more)
    }).pipe(Effect.provide(machine())))
})

it.effect("a malformed query fails alone", () =>
  Effect.gen(function*() {
    yield* apply(1, [put("a", "1")])
    const { query } = yield* StateMachine
    const replies = yield* query([Uint8Array.of(7), encodeQuery(get("a")), encodeQuery(scan("", { limit: 0 }))])
    assert.deepStrictEqual(
      replies.map((reply) =>
        reply instanceof Uint8Array ? "reply" : `${reply._tag} ${"field" in reply ? reply.field : reply.limit}`
      ),
      ["InvalidArgument query", "reply", "InvalidArgument limit"]
    )
  }).pipe(Effect.provide(machine())))

it.effect("revision and applied point survive a restart together, and are lost together", () =>
  Effect.gen(function*() {
    const disk = new MemoryStore.MemoryDisk([1])
    yield* Effect.provide(apply(1, [put("a", "1"), put("a", "2")]), on(disk))
    disk.sync()
    yield* Effect.provide(apply(3, [put("a", "3")]), on(disk))
    disk.loseUnsynced()
    yield* Effect.gen(function*() {
      assert.strictEqual((yield* StateMachine).recovered.index, 2)
      const [reply] = yield* apply(3, [put("a", "3")])
      assert.deepStrictEqual(decodeReply(reply as Uint8Array), {
        _tag: "PutReply",
        revision: 3,
        createRevision: 1,
        version: 3
      })
    }).pipe(Effect.provide(on(disk)))
  }))
