/**
 * Random commands against the plain model: the same replies, keys and history, however the commands are cut into
 * batches, and the same bytes in every store.
 */
import { assert, describe, it } from "@effect/vitest"
import { apply, keysOf } from "../../src/kv/model/Apply.ts"
import { Batch } from "../../src/kv/model/Batch.ts"
import { ReadBudget } from "../../src/kv/model/ReadBudget.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { noSession } from "../../src/kv/model/Command.ts"
import { decodeRecord } from "../../src/kv/model/KeyRecord.ts"
import { attachedKey, idOf, leaseRange, metadataKey } from "../../src/kv/model/Keyspace.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import { State } from "../../src/kv/model/State.ts"
import { StateCheck } from "../../src/kv/model/StateCheck.ts"
import { decodeBlock, revisionsOf } from "./HistoryBlocks.ts"
import type { Step } from "./CommandSource.ts"
import { Source } from "./CommandSource.ts"
import { Model } from "./Model.ts"
import { bytes, Store, text } from "./Store.ts"
import { words } from "./ReplyWords.ts"

/** Few sessions, so that their table is full most of the time. */
const maxSessions = 4

/** Sessions that were evicted, by kind. */
const evicted = { unused: 0, idle: 0, ended: 0 }

/** The first bytes of all keys that were written. */
const written = new Set<number>()

/** Carries steps out in batches, each by a machine that has just started or by one that goes on. */
const carryOut = (steps: ReadonlyArray<Step>, batchSize: () => number, restart: () => boolean) => {
  const store = new Store({ maxSessions })
  let state = new State({ maxSessions })
  const replies: Array<unknown> = []
  for (let at = 0; at < steps.length;) {
    const part = steps.slice(at, at + batchSize())
    at += part.length
    const batch = new Batch(state)
    store.run(batch.writeSet.loadAll(part.flatMap(({ command }) => keysOf(command)), new ReadBudget()))
    for (const { command, index, commandId, timestampMs } of part) {
      const applied = apply(batch, { index, timestampMs }, {
        _tag: "Decoded",
        command,
        commandId: commandId ?? noSession
      })
      const reply = decodeReply(applied instanceof Uint8Array ? applied : store.run(applied))
      if (reply._tag === "Problem") assert.fail(reply.problem)
      replies.push(words(reply))
    }
    store.commit(batch)
    if (restart()) state = store.recover()
  }
  for (const byte of store.written) written.add(byte)
  return { store, replies }
}

const compareWithModel = (seed: number, count: number) => {
  const source = new Source(seed)
  const model = new Model(maxSessions)
  const expected: Array<unknown> = []
  const steps: Array<Step> = []
  for (let index = 1; index <= count; index++) {
    const step = source.step(index, model.revision)
    steps.push(step)
    expected.push(model.apply(index, step.timestampMs, step.command, step.commandId))
    if (step.command._tag === "GrantLease" || step.command._tag === "OpenSession") source.ids.push(index)
    if (source.ids.length > 8) source.ids.shift()
  }
  for (const kind of ["unused", "idle", "ended"] as const) evicted[kind] += model.evicted[kind]
  const single = carryOut(steps, () => 1, () => false)
  assert.deepStrictEqual(single.replies, expected)

  const stored = new Map(
    single.store.within({ gte: Uint8Array.of(0x10), lt: Uint8Array.of(0x11) }).map((row) => {
      const record = decodeRecord(row.value) ?? assert.fail("no record")
      return [text(row.key.subarray(1)), { ...record, value: text(record.value) }] as const
    })
  )
  assert.deepStrictEqual([...stored], [...model.keys].sort(([a], [b]) => a < b ? -1 : 1))

  const attached = single.store.within({ gte: Uint8Array.of(0x31), lt: Uint8Array.of(0x32) }).map(({ key }) =>
    `${idOf(key)} ${text(attachedKey(key))}`
  )
  const expectedAttached = [...model.keys].flatMap(([key, { lease }]) => lease === 0 ? [] : [`${lease} ${key}`])
  assert.deepStrictEqual(new Set(attached), new Set(expectedAttached))

  const { compacted } = single.store.recover().metadata
  const history = new Map(
    single.store.within({ gte: Uint8Array.of(0x20), lt: Uint8Array.of(0x21) }).flatMap((row) =>
      revisionsOf(decodeBlock(row)).filter(({ revision }) => revision > compacted).map(({ changes, revision }) =>
        [
          revision,
          changes.map(({ key, record }) =>
            record === undefined ? `${text(key)} gone` : `${text(key)}=${text(record.value)}`
          )
        ] as const
      )
    )
  )
  assert.deepStrictEqual([...history], [...model.history])

  const { rows } = single.store
  const grouped = carryOut(steps, () => 1 + source.below(30), () => false)
  assert.deepStrictEqual(grouped.replies, expected)
  assert.deepStrictEqual(grouped.store.rows.size, rows.size)
  for (const [key, value] of rows) assert.deepStrictEqual(grouped.store.rows.get(key), value, `row ${key}`)
  const restarted = carryOut(steps, () => 1 + source.below(10), () => source.below(2) === 0)
  assert.deepStrictEqual(restarted.replies, expected)
  for (const [key, value] of rows) assert.deepStrictEqual(restarted.store.rows.get(key), value, `row ${key}`)
  assert.isUndefined(checkRows(single.store, count), "rows that the store wrote itself")
  return expected
}

/** What is wrong with the rows of a store, were they to come from outside. */
const checkRows = (store: Store, index: number): string | undefined => {
  const check = new StateCheck(index)
  for (const row of store.sorted()) {
    const problem = check.row(row)
    if (problem !== undefined) return `${Buffer.from(row.key).toString("hex")}: ${problem}`
  }
  return check.end()
}

/** A store that went through many commands. */
const usedStore = (seed: number, count: number): { readonly store: Store; readonly source: Source } => {
  const source = new Source(seed)
  const model = new Model(maxSessions)
  const steps: Array<Step> = []
  for (let index = 1; index <= count; index++) {
    const step = source.step(index, model.revision)
    steps.push(step)
    model.apply(index, step.timestampMs, step.command, step.commandId)
    if (step.command._tag === "GrantLease" || step.command._tag === "OpenSession") source.ids.push(index)
    if (source.ids.length > 8) source.ids.shift()
  }
  return { store: carryOut(steps, () => 10, () => false).store, source }
}

describe("rows that were changed outside are refused, or the store goes on with them", () => {
  let refused = 0
  let taken = 0
  for (let seed = 1; seed <= 20; seed++) {
    it(`seed ${seed}`, () => {
      const count = 200
      const { source, store } = usedStore(seed, count)
      const rows = [...store.rows]
      for (let run = 0; run < 100; run++) {
        const changed = new Store({ maxSessions })
        for (const [key, value] of rows) changed.rows.set(key, value)
        for (let times = 1 + source.below(2); times > 0; times--) {
          const [key, value] = rows[source.below(rows.length)] ?? assert.fail("no rows")
          const part = source.below(3)
          if (part === 0) changed.rows.delete(key)
          const inKey = part === 1
          const at = inKey ? 1 + source.below(Math.max(1, key.length - 1)) : source.below(Math.max(1, value.length))
          const damaged = Buffer.from(inKey ? bytes(key) : value)
          if (damaged.length > 0 && part !== 0) damaged[at] = source.below(256)
          if (inKey) changed.rows.delete(key)
          if (part !== 0) changed.rows.set(inKey ? text(damaged) : key, inKey ? value : damaged)
        }
        if (checkRows(changed, count) !== undefined) {
          refused += 1
          continue
        }
        taken += 1
        goOn(changed, count)
      }
    })
  }

  it("and both happen", () => {
    assert.isAbove(refused, 500)
    assert.isAbove(taken, 100)
  })

  /** Every key is put and deleted, every lease ends, and the history goes: none of it may throw. */
  const goOn = (store: Store, index: number): void => {
    const state = store.rows.has(text(metadataKey)) ? store.recover() : new State({ maxSessions })
    const keys = store.within({ gte: Uint8Array.of(0x10), lt: Uint8Array.of(0x11) }).map(({ key }) => key.subarray(1))
    const leases = store.within(leaseRange).map(({ key }) => idOf(key))
    const before = state.metadata.revision
    const commands: ReadonlyArray<Command> = [
      ...keys.map((key): Command => ({ _tag: "Put", key, value: bytes("after"), lease: 0 })),
      ...leases.map((lease): Command => ({ _tag: "RevokeLease", lease })),
      ...keys.map((key): Command => ({ _tag: "Delete", key })),
      { _tag: "Put", key: bytes("new"), value: bytes("new"), lease: 0 },
      { _tag: "Compact", through: before }
    ]
    for (const [i, command] of commands.entries()) {
      const batch = new Batch(state)
      store.run(batch.writeSet.loadAll(keysOf(command), new ReadBudget()))
      const place = { index: index + 1 + i, timestampMs: 0 }
      const applied = apply(batch, place, { _tag: "Decoded", command, commandId: noSession })
      const reply = decodeReply(applied instanceof Uint8Array ? applied : store.run(applied))
      assert.notStrictEqual(reply._tag, "Problem")
      store.commit(batch)
    }
    assert.isAbove(state.metadata.revision, before)
    assert.isUndefined(checkRows(store, index + commands.length), "what it wrote since")
  }
})

describe("random commands do what the plain model does, in batches of any size, with restarts between them", () => {
  for (let seed = 1; seed <= 40; seed++) {
    it(`seed ${seed}`, () => {
      compareWithModel(seed, 400)
    })
  }
})

it("and they do meet every kind of answer", () => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 10; seed++) {
    for (const reply of compareWithModel(seed, 400)) {
      seen.add(
        typeof reply === "string"
          ? (reply.split(" ")[0] ?? "")
          : Array.isArray(reply)
          ? `txn ${reply[0]}`
          : typeof reply
      )
    }
  }
  for (
    const kind of [
      "created",
      "number",
      "txn true",
      "txn false",
      "lease",
      "lease-not-found",
      "session",
      "session-expired",
      "wrong-secret",
      "already-answered",
      "overloaded",
      "invalid",
      "done"
    ]
  ) {
    assert.isTrue(seen.has(kind), `${kind} among ${[...seen].join(", ")}`)
  }
  for (const [kind, count] of Object.entries(evicted)) assert.isAbove(count, 10, `evicted sessions: ${kind}`)
  for (const [name, byte] of [["a large reply", 0x41], ["a block of replies", 0x42]] as const) {
    assert.isTrue(written.has(byte), name)
  }
})
