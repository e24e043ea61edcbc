/**
 * `touches` against what really happens: every user's key that a command or a query reads or writes is named by it, and
 * what it does not let a caller read has no influence on the reply. Random operations on a store that notes what is
 * asked of it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Semaphore } from "effect"
import { compareBytes } from "../../../src/bytes/Bytes.ts"
import type { KeyRange } from "../../../src/bytes/KeyRange.ts"
import { contains, prefixRange } from "../../../src/bytes/KeyRange.ts"
import { nothingFound } from "../../../src/kv/FoundLately.ts"
import { answer } from "../../../src/kv/KvQueries.ts"
import type { Touches } from "../../../src/kv/model/access/Touches.ts"
import { touches } from "../../../src/kv/model/access/Touches.ts"
import { apply, keysOf } from "../../../src/kv/model/Apply.ts"
import { Batch } from "../../../src/kv/model/Batch.ts"
import type { Command } from "../../../src/kv/model/Command.ts"
import { noSession } from "../../../src/kv/model/Command.ts"
import { decodeRecord, encodeRecord } from "../../../src/kv/model/KeyRecord.ts"
import { attachedKey, idOf } from "../../../src/kv/model/Keyspace.ts"
import type { Load } from "../../../src/kv/model/Loading.ts"
import type { Query } from "../../../src/kv/model/Query.ts"
import { encodeQuery, queryProblem } from "../../../src/kv/model/Query.ts"
import { ReadBudget } from "../../../src/kv/model/ReadBudget.ts"
import { State } from "../../../src/kv/model/State.ts"
import type { Transaction } from "../../../src/kv/model/Transaction.ts"
import type { StateStore } from "../../../src/storage/StateStore.ts"
import { Source } from "../CommandSource.ts"
import { bytes, Store, text } from "../Store.ts"

type TouchesOf = (operation: Command | Query) => Touches

const keyByte = 0x10
const leaseKeyByte = 0x31

/** Notes what is read and written. */
class NotingStore extends Store {
  readonly keysRead: Array<Uint8Array> = []
  readonly rangesRead: Array<KeyRange> = []
  readonly leaseKeysRead: Array<number> = []
  readonly keysWritten: Array<Uint8Array> = []

  forget(): void {
    this.keysRead.length = 0
    this.rangesRead.length = 0
    this.leaseKeysRead.length = 0
    this.keysWritten.length = 0
  }

  override load(request: Load) {
    if (request._tag === "LoadKeys") this.noteKeys(request.keys)
    else this.noteRange(request.range)
    return super.load(request)
  }

  override commit(batch: Batch): void {
    for (const change of batch.changes()) {
      if ("key" in change && change.key[0] === keyByte) this.keysWritten.push(change.key.subarray(1))
      else if ("start" in change) assert.notStrictEqual(change.start[0], keyByte, "keys are deleted one by one")
    }
    super.commit(batch)
  }

  private noteKeys(keys: ReadonlyArray<Uint8Array>): void {
    for (const key of keys) if (key[0] === keyByte) this.keysRead.push(key.subarray(1))
  }

  private noteRange({ gte, lt }: KeyRange): void {
    if (gte[0] === leaseKeyByte) this.leaseKeysRead.push(idOf(gte))
    if (gte[0] !== keyByte) return
    this.rangesRead.push({ gte: gte.subarray(1), lt: lt[0] === keyByte ? lt.subarray(1) : new Uint8Array(0) })
  }

  /** The same rows as the store that queries are answered from. */
  get asStateStore(): StateStore["Service"] {
    const view: Pick<StateStore["Service"], "getMany" | "scan" | "withView"> = {
      getMany: (keys) =>
        Effect.sync(() => {
          this.noteKeys(keys)
          return keys.map((key) => this.rows.get(text(key)))
        }),
      scan: ({ gte, limit, lt, maxBytes, reverse }) =>
        Effect.sync(() =>
          this.load({
            _tag: "LoadRange",
            range: { gte, lt },
            limit,
            maxBytes: maxBytes ?? Number.MAX_SAFE_INTEGER,
            reverse: reverse === true
          })
        ),
      withView: (use) => use(view as StateStore["Service"])
    }
    return view as StateStore["Service"]
  }
}

const isCoveredBy = (ranges: ReadonlyArray<KeyRange>, range: KeyRange): boolean => {
  // Taken apart at every end: each part is in one of the ranges, or it is not covered.
  let from = range.gte
  for (;;) {
    const around = ranges.filter((one) => contains(one, from))
    if (around.length === 0) return false
    if (around.some(({ lt }) => lt.byteLength === 0)) return true
    const [furthest] = around.map(({ lt }) => lt).sort((a, b) => compareBytes(b, a))
    const end = furthest ?? from
    if (range.lt.byteLength > 0 && compareBytes(end, range.lt) >= 0) return true
    from = end
  }
}

const isKeyIn = (ranges: ReadonlyArray<KeyRange>, key: Uint8Array): boolean =>
  ranges.some((range) => contains(range, key))

const queryTags = new Set<string>(
  ["Get", "Scan", "Count", "Leases", "LeaseKeys", "Sessions", "Roles", "Users"] satisfies Array<Query["_tag"]>
)

/** A transaction that only reads is tried as a command and as a query, by turns. */
const isQueryOf = (operation: Command | Query, turn: number): operation is Query =>
  queryTags.has(operation._tag) ||
  operation._tag === "Transact" && turn % 2 === 0 && queryProblem(operation) === undefined

/** One world of random operations, and what `touches` missed in it. */
class World {
  readonly store = new NotingStore()
  private readonly source: Source
  private readonly touchesOf: TouchesOf
  private state = new State()
  private index = 0
  private timeMs = 1_000
  private readonly permits = Semaphore.makeUnsafe(8)
  /** How often each operation was tried, and how often it used a key that only a lease gives it. */
  readonly tried = new Map<string, number>()
  throughLeases = 0
  compared = 0

  constructor(seed: number, touchesOf: TouchesOf) {
    this.source = new Source(seed)
    this.touchesOf = touchesOf
  }

  /** What is wrong with the next operation, if anything. */
  next(): string | undefined {
    this.index += 1
    const operation = this.source.below(4) === 0 ? this.query() : this.command()
    this.tried.set(operation._tag, (this.tried.get(operation._tag) ?? 0) + 1)
    const touched = this.touchesOf(operation)
    const attached = this.attachedTo(touched.leases)
    this.store.forget()
    const other = this.index % 5 === 0 ? this.withOtherContents(touched, attached) : undefined
    const isQuery = isQueryOf(operation, this.index)
    const reply = isQuery
      ? this.ask(this.store, this.state, operation)
      : this.carryOut(this.store, this.state, operation)
    const problem = this.problem(touched, attached)
    if (problem !== undefined) return `${JSON.stringify(operation)}: ${problem}`
    if (other === undefined || touched.admin) return undefined
    this.compared += 1
    const state = other.rows.size === 0 ? new State() : other.recover()
    const otherReply = isQuery ? this.ask(other, state, operation) : this.carryOut(other, state, operation)
    return text(otherReply) === text(reply) ? undefined : `${JSON.stringify(operation)}: its reply says what it may not`
  }

  private problem({ leases, reads, writes }: Touches, attached: ReadonlySet<string>): string | undefined {
    const { keysRead, keysWritten, leaseKeysRead, rangesRead } = this.store
    const all = [...reads, ...writes]
    for (const key of keysRead) {
      if (isKeyIn(all, key)) continue
      if (!attached.has(text(key))) return `read ${text(key)}`
      this.throughLeases += 1
    }
    for (const range of rangesRead) {
      if (!isCoveredBy(all, range)) return `read from ${text(range.gte)} to ${text(range.lt)}`
    }
    for (const lease of leaseKeysRead) if (!leases.includes(lease)) return `read the keys of lease ${lease}`
    for (const key of keysWritten) {
      if (!isKeyIn(writes, key) && !attached.has(text(key))) return `wrote ${text(key)}`
    }
    return undefined
  }

  /** The keys that are attached to one of these leases. */
  private attachedTo(leases: ReadonlyArray<number>): ReadonlySet<string> {
    const keys = new Set<string>()
    if (leases.length === 0) return keys
    for (const stored of this.store.rows.keys()) {
      if (stored.charCodeAt(0) !== leaseKeyByte) continue
      const row = bytes(stored)
      if (leases.includes(idOf(row))) keys.add(text(attachedKey(row)))
    }
    return keys
  }

  /** The same store, but for what the caller may not read: other values, and keys that are gone or new. */
  private withOtherContents({ reads, writes }: Touches, attached: ReadonlySet<string>): NotingStore {
    const other = new NotingStore()
    for (const [stored, value] of this.store.rows) {
      const key = bytes(stored.slice(1))
      const record = stored.charCodeAt(0) === keyByte ? decodeRecord(value) : undefined
      if (record === undefined || isKeyIn(reads, key)) other.rows.set(stored, value)
      else if (isKeyIn(writes, key) || record.lease !== 0 || attached.has(text(key))) {
        other.rows.set(stored, encodeRecord({ ...record, value: bytes("other") }))
      }
    }
    for (const name of ["a0", "a3", "b1", "\xff2", "c"]) {
      const stored = `${String.fromCharCode(keyByte)}${name}`
      if (other.rows.has(stored) || this.store.rows.has(stored)) continue
      if (isKeyIn([...reads, ...writes], bytes(name))) continue
      const record = { createRevision: 1, modRevision: 1, version: 1, lease: 0, value: bytes("other") }
      other.rows.set(stored, encodeRecord(record))
    }
    return other
  }

  private carryOut(store: Store, state: State, command: Command): Uint8Array {
    const batch = new Batch(state)
    store.run(batch.writeSet.loadAll(keysOf(command), new ReadBudget()))
    const place = { index: this.index, timestampMs: this.timeMs }
    const applied = apply(batch, place, { _tag: "Decoded", command, commandId: noSession })
    const reply = applied instanceof Uint8Array ? applied : store.run(applied)
    store.commit(batch)
    return reply
  }

  private ask(store: NotingStore, state: State, query: Query): Uint8Array {
    const asked = answer(store.asStateStore, () => state, [encodeQuery(query)], this.permits, nothingFound())
    const [reply] = Effect.runSync(asked)
    return reply instanceof Uint8Array ? reply : assert.fail(`no answer: ${reply?.message}`)
  }

  private command(): Command {
    const { source } = this
    this.timeMs += source.below(300)
    const command = source.below(30) === 0
      ? this.accessCommand()
      : source.command(this.index, this.state.metadata.revision)
    if (command._tag === "GrantLease" || command._tag === "OpenSession") source.ids.push(this.index)
    if (source.ids.length > 8) source.ids.shift()
    return command
  }

  private accessCommand(): Command {
    const { source } = this
    const name = source.pick(["shop", "bank"])
    return source.pick<Command>([
      { _tag: "PutRole", role: { name, read: [source.key()], write: [], admin: false } },
      { _tag: "DeleteRole", name },
      { _tag: "PutUser", name, roles: [source.pick(["shop", "admin"])], maxLeases: 1, maxSessions: 1 },
      { _tag: "DeleteUser", name },
      { _tag: "AddToken", user: name, hash: new Uint8Array(32), expiresMs: 0 },
      { _tag: "RemoveToken", user: name, token: Math.max(1, source.id()) },
      { _tag: "Checkpoint", token: source.id() }
    ])
  }

  private query(): Query {
    const { source } = this
    const range = prefixRange(bytes(source.pick(["a", "b", "", "\xff", "a1"])))
    const read = <A extends { readonly _tag: string }>(operations: ReadonlyArray<A>) =>
      operations.filter(({ _tag }) => _tag === "Get" || _tag === "Range")
    for (;;) {
      const transaction: Transaction = {
        compares: Array.from({ length: source.below(3) }, () => source.compare()),
        success: read(source.operations()),
        failure: read(source.operations())
      }
      const query = source.pick<Query>([
        { _tag: "Get", key: source.key() },
        {
          _tag: "Scan",
          range,
          limit: 1 + source.below(5),
          keysOnly: source.below(2) === 0,
          reverse: source.below(2) === 0
        },
        { _tag: "Count", range },
        { _tag: "Transact", transaction },
        { _tag: "Transact", transaction },
        { _tag: "LeaseKeys", lease: Math.max(1, source.id()) },
        { _tag: "Leases" },
        { _tag: "Sessions", after: 0, limit: 10 },
        { _tag: "Users", after: "", limit: 10 },
        { _tag: "Roles", after: "", limit: 10 }
      ])
      if (queryProblem(query) === undefined) return query
    }
  }
}

// Many short lives: sessions pile up in a long one, and the comparisons of replies start from all of them.
const worlds = 40
const operations = 2_500

describe(`${worlds * operations} random commands and queries touch nothing but what they are said to`, () => {
  const seen = new Map<string, number>()
  let throughLeases = 0
  let compared = 0
  for (let seed = 1; seed <= worlds; seed++) {
    it(`seed ${seed}`, { timeout: 60_000 }, () => {
      const world = new World(seed, touches)
      for (let i = 0; i < operations; i++) assert.isUndefined(world.next())
      for (const [tag, count] of world.tried) seen.set(tag, (seen.get(tag) ?? 0) + count)
      throughLeases += world.throughLeases
      compared += world.compared
    })
  }

  it("and every kind of them was tried", () => {
    assert.isAtLeast(seen.size, 24)
    for (const [tag, count] of seen) assert.isAbove(count, 100, tag)
    assert.isAbove(throughLeases, 100, "keys that the end of a lease deleted")
    assert.isAbove(compared, 10_000, "replies that were compared")
  })
})

/** A change of every transaction before it is asked about: what a mutant of `touches` does not look at. */
const without = (change: (transaction: Transaction) => Transaction): TouchesOf => (operation) =>
  touches(operation._tag === "Transact" ? { ...operation, transaction: change(operation.transaction) } : operation)

const mutants: ReadonlyArray<readonly [string, TouchesOf]> = [
  ["the operations of the failure", without((one) => ({ ...one, failure: [] }))],
  ["the operations of the success", without((one) => ({ ...one, success: [] }))],
  ["the keys of compares", without((one) => ({ ...one, compares: [] }))],
  ["the last compare", without((one) => ({ ...one, compares: one.compares.slice(0, -1) }))],
  [
    "ranges that are deleted",
    without((one) => ({
      ...one,
      success: one.success.filter(({ _tag }) => _tag !== "DeleteRange"),
      failure: one.failure.filter(({ _tag }) => _tag !== "DeleteRange")
    }))
  ],
  [
    "all of a range but its first keys",
    (operation) =>
      touches(operation._tag === "Scan" ? { ...operation, range: { ...operation.range, lt: bytes("a3") } } : operation)
  ],
  ["what a count reads", (operation) => touches(operation._tag === "Count" ? { _tag: "Leases" } : operation)],
  [
    "the lease whose end deletes keys",
    (operation) => operation._tag === "RevokeLease" ? { ...touches(operation), leases: [] } : touches(operation)
  ],
  [
    "the lease whose keys are listed",
    (operation) => operation._tag === "LeaseKeys" ? { ...touches(operation), leases: [] } : touches(operation)
  ],
  [
    "that a get in a transaction reads what it does not write",
    (operation) => {
      const { reads, writes, ...others } = touches(operation)
      return operation._tag === "Transact"
        ? { ...others, reads: [], writes: [...writes, ...reads] }
        : touches(operation)
    }
  ]
]

describe("a mutant is found that forgets", () => {
  it.each(mutants)("%s", (_, mutant) => {
    const world = new World(1, mutant)
    let found: string | undefined
    for (let i = 0; i < 5_000 && found === undefined; i++) found = world.next()
    assert.isDefined(found)
  })
})
