/** What lies between a request and its answer is bounded: rows and bytes looked at, and what is in memory at a time. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { prefixRange } from "../../src/bytes/KeyRange.ts"
import { maxPageBytes, maxTransactionReadBytes, maxTransactionReadRows } from "../../src/kv/model/Limits.ts"
import type { Query } from "../../src/kv/model/Query.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import type { Reply, ScanReply } from "../../src/kv/model/Reply.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import type { Operation } from "../../src/kv/model/Transaction.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import type { StateRow, StateView } from "../../src/storage/StateStore.ts"
import { StateStore } from "../../src/storage/StateStore.ts"

const mebibyte = 1024 * 1024
const bytes = (text: string) => new TextEncoder().encode(text)
const put = (key: string, value: Uint8Array, lease = 0): Command => ({ _tag: "Put", key: bytes(key), value, lease })
/** One for all: to make and clear a MiB takes longer than to copy it. */
const largeValue = new Uint8Array(mebibyte)
const large = (key: string): Command => put(key, largeValue)
const transact = (success: ReadonlyArray<Operation>): Command => ({
  _tag: "Transact",
  transaction: { compares: [], success, failure: [] }
})
const range = (prefix: string, limit: number, options: { readonly keysOnly?: boolean } = {}): Operation => ({
  _tag: "Range",
  range: prefixRange(bytes(prefix)),
  limit,
  keysOnly: options.keysOnly ?? false,
  reverse: false
})
const putOperation = (key: string, lease = 0): Operation => ({
  _tag: "Put",
  key: bytes(key),
  value: bytes("value"),
  lease
})

const entries = (first: number, commands: ReadonlyArray<Command>): ReadonlyArray<Entry> =>
  commands.map((command, i) => ({
    index: LogIndex(first + i),
    term: Term(1),
    kind: "command",
    timestampMs: 1_000,
    payload: encodeCommand(command)
  }))

/** Applies all of them, in as many calls as the machine takes. */
const applyAll = Effect.fnUntraced(function*(first: number, commands: ReadonlyArray<Command>) {
  const machine = yield* StateMachine
  const replies: Array<Reply> = []
  const all = entries(first, commands)
  while (replies.length < all.length) {
    const some = yield* machine.apply(all.slice(replies.length))
    assert.isAbove(some.length, 0)
    for (const reply of some) replies.push(decodeReply(reply) as Reply)
  }
  return replies
})

const ask = (query: Query) =>
  StateMachine.use((machine) =>
    Effect.map(machine.query([encodeQuery(query)]), ([reply]) => decodeReply(reply as Uint8Array) as Reply)
  )

/** What a machine had of the store at a time, and in all. */
class Reads {
  bytes = 0
  largest = 0

  count(rows: ReadonlyArray<StateRow | Uint8Array | undefined>): void {
    let bytes = 0
    for (const row of rows) {
      bytes += row === undefined ? 0 : row instanceof Uint8Array ? row.byteLength : row.key.length + row.value.length
    }
    this.bytes += bytes
    this.largest = Math.max(this.largest, bytes)
  }

  reset(): void {
    this.bytes = 0
    this.largest = 0
  }

  readonly watch = (view: StateView): StateView => ({
    getMany: (keys) => Effect.tap(view.getMany(keys), (values) => Effect.sync(() => this.count(values))),
    scan: (options) => Effect.tap(view.scan(options), (rows) => Effect.sync(() => this.count(rows)))
  })

  readonly layer = (disk: MemoryStore.MemoryDisk) =>
    Layer.fresh(KvStateMachine.layer.pipe(
      Layer.provide(Layer.effect(
        StateStore,
        Effect.map(StateStore, (store) =>
          StateStore.of({
            ...store,
            ...this.watch(store),
            withView: (use) => store.withView((view) => use(this.watch(view)))
          }))
      )),
      Layer.provide(MemoryStore.layer(disk))
    ))
}

const machine = (reads = new Reads(), disk = new MemoryStore.MemoryDisk([1])) => reads.layer(disk)

/** Keys of a MiB each, which most cases begin with. */
const largeKeys = Array.from({ length: 100 }, (_, i) => `v/${String(i).padStart(2, "0")}`)

let filled: MemoryStore.MemoryDisk | undefined

afterAll(() => {
  filled = undefined
})

/** A machine on a disk of its own that has the large keys. One machine writes them, at indices up to 100. */
const filledMachine = (reads = new Reads()) =>
  Layer.unwrap(Effect.gen(function*() {
    if (filled === undefined) {
      const disk = new MemoryStore.MemoryDisk([1])
      yield* Effect.provide(applyAll(1, largeKeys.map(large)), machine(new Reads(), disk))
      filled = disk
    }
    const disk = new MemoryStore.MemoryDisk([1])
    disk.state = filled.state
    return machine(reads, disk)
  }))

describe("a transaction that looks at too much is refused", () => {
  it.effect("however little it answers, and changes nothing", () =>
    Effect.gen(function*() {
      const reads = new Reads()
      yield* Effect.gen(function*() {
        const [lease] = yield* applyAll(101, [{ _tag: "GrantLease", ttlMs: 60_000 }])
        const id = lease?._tag === "LeaseReply" ? lease.lease : 0
        yield* applyAll(102, [put("leased", bytes("1"), id)])
        const before = [yield* ask(everything), yield* ask({ _tag: "LeaseKeys", lease: id })]
        reads.reset()
        const [reply] = yield* applyAll(103, [
          transact([
            putOperation("new", id),
            { _tag: "Delete", key: bytes("leased") },
            ...Array.from({ length: 500 }, () => range("v/", 1))
          ])
        ])
        assert.strictEqual(reply?._tag, "RefusedReply")
        if (reply?._tag === "RefusedReply") {
          assert.strictEqual(reply.reason, "invalid")
          assert.include(reply.text, "maxTransactionReadBytes")
        }
        assert.isAtMost(reads.bytes, 2 * maxTransactionReadBytes)
        assert.deepEqual([yield* ask(everything), yield* ask({ _tag: "LeaseKeys", lease: id })], before)
        // What was taken back is not in the way of what comes next.
        const [after] = yield* applyAll(104, [transact([putOperation("new", id), range("v/", 1)])])
        assert.strictEqual(after?._tag, "TransactionReply")
      }).pipe(Effect.provide(filledMachine(reads)))
    }))

  const everything: Query = {
    _tag: "Scan",
    range: prefixRange(bytes("")),
    limit: 100,
    keysOnly: true,
    reverse: false
  }

  it.effect("for the keys that it names as for those of its ranges", () =>
    Effect.gen(function*() {
      const reads = new Reads()
      yield* Effect.gen(function*() {
        const keys = largeKeys.slice(0, 64)
        reads.reset()
        const compares = keys.map((key) => ({
          _tag: "CompareValue" as const,
          key: bytes(key),
          operator: "!=" as const,
          value: bytes("x")
        }))
        const transaction = { compares, success: [putOperation("new")], failure: [] }
        const deletes = keys.map((key): Operation => ({ _tag: "Delete", key: bytes(key) }))
        for (const command of [{ _tag: "Transact" as const, transaction }, transact(deletes)]) {
          const [reply] = yield* applyAll(101, [command])
          assert.strictEqual(reply?._tag, "RefusedReply")
        }
        assert.isAtMost(reads.bytes, 4 * maxTransactionReadBytes)
        assert.isAtMost(reads.largest, 17 * mebibyte)
      }).pipe(Effect.provide(filledMachine(reads)))
    }))

  it.effect("when it is the number of rows", () =>
    Effect.gen(function*() {
      yield* applyAll(1, Array.from({ length: 2_000 }, (_, i) => put(`k/${i}`, bytes("v"))))
      const times = Math.ceil(maxTransactionReadRows / 2_000)
      const scans = (count: number) => Array.from({ length: count }, () => range("k/", 2_000, { keysOnly: true }))
      const [fits, over] = yield* applyAll(3_000, [
        transact([putOperation("new"), ...scans(times - 1)]),
        transact([putOperation("new"), ...scans(times + 1)])
      ])
      assert.strictEqual(fits?._tag, "TransactionReply")
      assert.strictEqual(over?._tag, "RefusedReply")
    }).pipe(Effect.provide(machine())))

  it.effect("wherever batches end, and by a machine that has just started as by another", () =>
    Effect.gen(function*() {
      const commands = Array.from({ length: 60 }, (_, i): Command =>
        i % 4 === 0
          ? put(`v/${i % 12}`, new Uint8Array(mebibyte).fill(i))
          : i % 4 === 1
          ? transact([{ _tag: "Delete", key: bytes(`v/${i % 12}`) }, range("v/", 3), putOperation(`w/${i}`)])
          // Three of them look at more than they may, the others at little and answer keys: values of a MiB are slow to copy.
          : i % 20 === 7
          ? transact([putOperation(`w/${i}`), ...Array.from({ length: 40 }, () => range("v/", 1))])
          : transact([putOperation(`w/${i}`), range("v/", 1, { keysOnly: true }), range("v/", 1, { keysOnly: true })]))
      const answers: Array<ReadonlyArray<string>> = []
      for (const size of [1, 7, commands.length]) {
        const disk = new MemoryStore.MemoryDisk([1])
        const layer = Layer.fresh(KvStateMachine.layer.pipe(Layer.provide(MemoryStore.layer(disk))))
        const replies: Array<string> = []
        for (let at = 0; at < commands.length; at += size) {
          const part = yield* Effect.provide(applyAll(at + 1, commands.slice(at, at + size)), layer)
          for (const reply of part) replies.push(`${reply._tag} ${"revision" in reply ? reply.revision : ""}`)
        }
        answers.push(replies)
      }
      assert.strictEqual(answers[0]?.filter((reply) => reply.startsWith("RefusedReply")).length, 3)
      assert.deepEqual(answers[1], answers[0])
      assert.deepEqual(answers[2], answers[0])
    }))
})

describe("memory", () => {
  it.effect("holds the answers of a few transactions at a time, not of a whole batch", () =>
    Effect.gen(function*() {
      const all = entries(101, Array.from({ length: 40 }, (_, i) => transact([putOperation(`w/${i}`), range("v/", 8)])))
      const { apply } = yield* StateMachine
      const replies = yield* apply(all)
      assert.isBelow(replies.length, all.length)
      assert.isAtMost(replies.reduce((sum, reply) => sum + reply.byteLength, 0), 40 * mebibyte)
    }).pipe(Effect.provide(filledMachine())))

  it.effect("holds a few of the values that small writes replace", () =>
    Effect.gen(function*() {
      const reads = new Reads()
      yield* Effect.gen(function*() {
        // The first of them finds out how large the values are.
        yield* applyAll(200, largeKeys.slice(0, 20).map((key) => ({ _tag: "Delete", key: bytes(key) })))
        reads.reset()
        yield* applyAll(300, largeKeys.slice(20).map((key) => ({ _tag: "Delete", key: bytes(key) })))
        assert.isAtMost(reads.largest, 17 * mebibyte)
      }).pipe(Effect.provide(filledMachine(reads)))
    }))

  it.effect("holds a page of a scan, not hundreds of rows whatever their size", () =>
    Effect.gen(function*() {
      const reads = new Reads()
      yield* Effect.gen(function*() {
        reads.reset()
        const query = { _tag: "Scan", range: prefixRange(bytes("v/")), limit: 1_000, reverse: false } as const
        const page = (yield* ask({ ...query, keysOnly: false })) as ScanReply
        assert.strictEqual(page.rows.length, maxPageBytes / mebibyte)
        assert.isTrue(page.more)
        assert.isAtMost(reads.bytes, maxPageBytes + mebibyte)
        reads.reset()
        const keys = (yield* ask({ ...query, keysOnly: true })) as ScanReply
        assert.isAbove(keys.rows.length, 0)
        assert.isTrue(keys.more)
        assert.isAtMost(reads.largest, maxPageBytes + mebibyte)
        assert.isAtMost(reads.bytes, 5 * maxPageBytes)
      }).pipe(Effect.provide(filledMachine(reads)))
    }))

  it.effect("reserves room for a page by what pages had lately", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        yield* applyAll(101, [put("s/1", bytes("small"))])
        const node = yield* StateMachine
        const reserved = (prefix: string, limit = 1_000) =>
          Effect.gen(function*() {
            let most = 0
            const room = {
              reserve: (wanted: number) => Effect.sync(() => void (most = Math.max(most, wanted))),
              trim: () => {}
            }
            const query = {
              _tag: "Scan",
              range: prefixRange(bytes(prefix)),
              limit,
              keysOnly: false,
              reverse: false
            } as const
            yield* node.query([encodeQuery(query)], room)
            return most
          })
        assert.isAbove(yield* reserved("s/"), maxPageBytes, "nothing is known of the first")
        assert.isAtMost(yield* reserved("s/", 1), 2 * mebibyte, "one row is no page")
        for (let i = 0; i < 30; i++) yield* reserved("s/")
        assert.isAtMost(yield* reserved("s/"), mebibyte / 4)
        yield* reserved("v/")
        assert.isAtLeast(yield* reserved("s/"), maxPageBytes)
      }).pipe(Effect.provide(filledMachine()))
    }))
})
