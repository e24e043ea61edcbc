/**
 * Blocks of history: the same revisions make the same rows however they come, nothing is lost at the borders, and
 * compaction keeps what comes behind it wherever in a block it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { apply, keysOf } from "../../src/kv/model/Apply.ts"
import { Batch } from "../../src/kv/model/Batch.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { noSession } from "../../src/kv/model/Command.ts"
import type { Revision } from "../../src/kv/model/History.ts"
import { HistoryBlock, maxBlockBytes, maxBlockRevisions, revisionBytes } from "../../src/kv/model/HistoryBlock.ts"
import { ReadBudget } from "../../src/kv/model/ReadBudget.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import { State } from "../../src/kv/model/State.ts"
import { StateCheck } from "../../src/kv/model/StateCheck.ts"
import { Random } from "../simulation/Random.ts"
import { blockOf, decodeBlock, revisionsOf } from "./HistoryBlocks.ts"
import { bytes, Store, text } from "./Store.ts"

const put = (key: string, value: Uint8Array): Command => ({ _tag: "Put", key: bytes(key), value, lease: 0 })

/** Bytes of a value whose revision has the given size in a block; the key is one byte long. */
const valueOf = (size: number): Uint8Array => {
  const rest = revisionBytes({
    revision: 1,
    logTimeMs: 0,
    changes: [{
      key: bytes("k"),
      record: { createRevision: 1, modRevision: 1, version: 1, lease: 0, value: bytes("") },
      previousRevision: 0,
      previous: undefined
    }]
  })
  return new Uint8Array(size - rest).fill(size)
}

/** Carries commands out in batches that end behind the given numbers of commands; `restart` starts anew after each. */
const carryOut = (commands: ReadonlyArray<Command>, ends: ReadonlyArray<number>, restart = false): Store => {
  const store = new Store()
  let state = new State()
  let from = 0
  for (const end of [...ends, commands.length]) {
    const batch = new Batch(state)
    const part = commands.slice(from, end)
    store.run(batch.writeSet.loadAll(part.flatMap(keysOf), new ReadBudget()))
    for (const [i, command] of part.entries()) {
      const place = { index: from + i + 1, timestampMs: 1_000 + from + i }
      const applied = apply(batch, place, { _tag: "Decoded", command, commandId: noSession })
      const reply = decodeReply(applied instanceof Uint8Array ? applied : store.run(applied))
      assert.include(["PutReply", "DoneReply"], reply._tag)
    }
    store.commit(batch)
    from = end
    if (restart) state = store.recover()
  }
  return store
}

const blocksOf = (store: Store): ReadonlyArray<HistoryBlock> =>
  store.within({ gte: Uint8Array.of(0x20), lt: Uint8Array.of(0x21) }).map(decodeBlock)

const historyOf = (store: Store): ReadonlyArray<Revision> => blocksOf(store).flatMap(revisionsOf)

/** What is wrong with the rows, were they to come from outside. */
const problemOf = (store: Store): string | undefined => {
  const check = new StateCheck(1_000_000)
  for (const row of store.sorted()) {
    const problem = check.row(row)
    if (problem !== undefined) return problem
  }
  return check.end()
}

const randomCommands = (random: Random, count: number): ReadonlyArray<Command> => {
  let revision = 0
  let compacted = 0
  return Array.from({ length: count }, (): Command => {
    if (revision > compacted && random.below(40) === 0) {
      compacted += 1 + random.below(revision - compacted)
      return { _tag: "Compact", through: compacted }
    }
    revision += 1
    const size = random.pick([100, 100, 100, 250, 4_000, maxBlockBytes - 8, maxBlockBytes, 40_000])
    return put(random.pick(["k", "l", "m"]), valueOf(size))
  })
}

describe("the same commands make the same rows, whatever batches they come in and whenever a node starts again", () => {
  for (let seed = 1; seed <= 30; seed++) {
    it(`seed ${seed}`, () => {
      const random = new Random(seed)
      const commands = randomCommands(random, 300)
      const each = Array.from(commands, (_, i) => i).slice(1)
      const one = carryOut(commands, each)
      assert.isUndefined(problemOf(one))
      const cuts = each.filter(() => random.below(20) === 0)
      for (const other of [carryOut(commands, []), carryOut(commands, cuts), carryOut(commands, cuts, true)]) {
        assert.deepStrictEqual(other.sorted(), one.sorted())
      }
      for (const block of blocksOf(one)) {
        assert.isAtMost(block.last - block.first + 1, maxBlockRevisions)
        if (block.last > block.first) assert.isAtMost(block.byteLength, maxBlockBytes)
      }
    })
  }
})

it("a block is full at its bytes exactly, and a revision that is larger has one of its own", () => {
  const head = 8
  const half = (maxBlockBytes - head) / 2
  for (
    const [sizes, lasts] of [
      [[half, half, 100], [2, 3]],
      [[half, half + 1, 100], [1, 3]],
      [[half, half - 100, 100, 100], [3, 4]],
      [[100, maxBlockBytes, 100], [1, 2, 3]],
      [[maxBlockBytes - head, 100], [1, 2]],
      [[100, maxBlockBytes - head - 100, 100], [2, 3]]
    ] as const
  ) {
    const store = carryOut(sizes.map((size) => put("k", valueOf(size))), [1, 2])
    assert.deepStrictEqual(blocksOf(store).map(({ last }) => last), [...lasts], sizes.join(", "))
    assert.deepStrictEqual(historyOf(store).map((revision) => revisionBytes(revision)), [...sizes])
    assert.isUndefined(problemOf(store))
  }
})

it("compaction keeps what comes behind it, and counts it exactly, wherever in a block it ends", () => {
  const count = 3 * maxBlockRevisions + 5
  const puts = Array.from({ length: count }, (_, i) => put("k", valueOf(70 + i)))
  const whole = historyOf(carryOut(puts, []))
  for (let revision = 1; revision <= count; revision++) {
    const compact: Command = { _tag: "Compact", through: revision }
    const store = carryOut([...puts, compact], [count])
    const sameBatch = carryOut([...puts, compact], [])
    assert.deepStrictEqual(store.sorted(), sameBatch.sorted(), `revision ${revision}`)
    assert.isUndefined(problemOf(store), `revision ${revision}`)
    const { compacted, compactedBytes, historyBytes } = store.recover().metadata
    assert.strictEqual(compacted, revision)
    const kept = historyOf(store)
    assert.strictEqual(kept[0]?.revision, 1 + Math.floor((revision - 1) / maxBlockRevisions) * maxBlockRevisions)
    const behind = kept.filter((each) => each.revision > revision)
    assert.deepStrictEqual(behind, whole.slice(revision))
    const bytesBehind = behind.reduce((sum, each) => sum + revisionBytes(each), 0)
    assert.strictEqual(historyBytes - compactedBytes, bytesBehind, `revision ${revision}`)
  }
})

it("compactions one after the other leave what one of them leaves", () => {
  const count = 3 * maxBlockRevisions
  const puts = Array.from({ length: count }, (_, i) => put("k", valueOf(70 + i % 9)))
  const random = new Random(7)
  for (let round = 0; round < 40; round++) {
    const compacts: Array<Command> = []
    for (let revision = 1 + random.below(90); revision < count; revision += 1 + random.below(90)) {
      compacts.push({ _tag: "Compact", through: revision })
    }
    const last = compacts.at(-1)
    if (last === undefined) continue
    const expected = carryOut([...puts, last], []).within({ gte: Uint8Array.of(0x20), lt: Uint8Array.of(0x21) })
    const ends = Array.from({ length: count + compacts.length }, (_, i) => i).slice(1)
    const found = carryOut([...puts, ...compacts], ends).within({ gte: Uint8Array.of(0x20), lt: Uint8Array.of(0x21) })
    assert.deepStrictEqual(found, expected)
  }
})

it("a row with more revisions than a block has is none, and one with too many bytes is not let in", () => {
  const revisions = (count: number, bytesEach = 0): ReadonlyArray<Revision> =>
    Array.from({ length: count }, (_, i) => ({
      revision: i + 1,
      logTimeMs: 0,
      changes: [{
        key: bytes("k"),
        record: { createRevision: 1, modRevision: i + 1, version: i + 1, lease: 0, value: new Uint8Array(bytesEach) },
        previousRevision: i,
        previous: undefined
      }]
    }))
  const full = blockOf(revisions(maxBlockRevisions))
  assert.deepStrictEqual(revisionsOf(decodeBlock(full.row)), revisions(maxBlockRevisions))
  const { value } = blockOf(revisions(maxBlockRevisions + 1)).row
  assert.isUndefined(HistoryBlock.decode(1, value))
  assert.isTrue(decodeBlock(blockOf(revisions(2, maxBlockBytes)).row).isOverfull)
  assert.isFalse(decodeBlock(blockOf(revisions(1, maxBlockBytes)).row).isOverfull)
})

it("a row that was given away does not change when the block goes on", () => {
  const revision = (at: number): Revision => ({
    revision: at,
    logTimeMs: at,
    changes: [{ key: bytes("k"), record: undefined, previousRevision: at - 1, previous: undefined }]
  })
  const block = HistoryBlock.begin(5, 700, revisionBytes(revision(5)))
  const rows: Array<{ readonly value: Uint8Array; readonly copy: string }> = []
  for (let at = 5; at < 5 + maxBlockRevisions; at++) {
    assert.isTrue(block.hasRoom(revisionBytes(revision(at))))
    block.append(revision(at), revisionBytes(revision(at)))
    const { value } = block.row
    rows.push({ value, copy: text(value) })
    assert.deepStrictEqual(decodeBlock(block.row), HistoryBlock.decode(5, Uint8Array.from(value)))
  }
  assert.isFalse(block.hasRoom(1))
  for (const { copy, value } of rows) assert.strictEqual(text(value), copy)
  // Nor does one that was read and is gone on with, or what lies behind it in memory.
  const row = rows[3] ?? assert.fail("no row")
  const memory = Buffer.concat([row.value, new Uint8Array(1_000)])
  const again = decodeBlock({ key: block.row.key, value: memory.subarray(0, row.value.byteLength) })
  again.append(revision(9), revisionBytes(revision(9)))
  assert.deepStrictEqual(memory, Buffer.concat([row.value, new Uint8Array(1_000)]))
  assert.strictEqual(text(again.row.value), rows[4]?.copy)
})
