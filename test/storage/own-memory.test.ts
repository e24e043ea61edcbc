/**
 * What stays in memory has memory of its own. `Buffer` gives small pieces out of slabs of 64 KiB, and a slab lives as
 * long as any piece of it: a few thousand rows of a hundred bytes each would hold hundreds of MiB.
 */
import { assert, describe, it } from "@effect/vitest"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { decodeEntries, encodeEntries, encodeEntry } from "../../src/protocol/EntryRecord.ts"
import { KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { KeptReplies } from "../../src/kv/model/KeptReplies.ts"
import { Session } from "../../src/kv/model/Session.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import { ScriptedStore } from "./ScriptedStore.ts"

const pieces = 2_000

const mebi = 1024 * 1024

/** Takes the rest of a slab, as what is sent and thrown away does. */
const useUpSlab = (): void => {
  for (let taken = 0; taken < Buffer.poolSize; taken += 1_024) Buffer.allocUnsafe(1_024)
}

const piece = (i: number): Buffer => Buffer.from(`piece ${i} of the pool, a hundred bytes ${"x".repeat(60)}`)

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/**
 * V8 frees buffers beside the main thread, and each collection waits until the one before it has done so. One more takes as
 * long as the heap is large, and all files of a worker share it.
 */
const usedMiB = (): number => {
  for (let i = 0; i < 2; i++) collect()
  return process.memoryUsage().arrayBuffers / mebi
}

/** Holds what is measured, so that it is not collected. */
const held: Array<unknown> = []

/** MiB of all buffers that `holder` has more when it kept so many pieces, or what was made of them. */
const growth = <A>(holder: A, keep: (holder: A, i: number) => unknown): number => {
  const before = usedMiB()
  const kept: Array<unknown> = []
  for (let i = 0; i < pieces; i++) {
    useUpSlab()
    kept.push(keep(holder, i))
  }
  held.push(holder, kept)
  const after = usedMiB()
  held.length = 0
  return after - before
}

const entryOf = (i: number): Entry => ({
  index: LogIndex(i + 1),
  term: Term(1),
  kind: "command",
  timestampMs: 0,
  payload: piece(i)
})

/** What {@link pieces} slabs take is 125 MiB, and twice as many small pieces half of one. */
const most = 10

describe("memory of its own", () => {
  it("is what makes the difference", () => {
    assert.isAbove(growth(undefined, (_, i) => piece(i)), 100)
  })

  it("has a row that was committed, written or not, and its key", async () => {
    const store = new ScriptedStore({ maxBytes: 64 * mebi, batchRows: pieces / 2 + 100, batchBytes: 64 * mebi })
    for (let i = 0; i < pieces; i++) await store.cache.getMany([piece(i)])
    const grown = growth(
      store.cache,
      (cache, i) => void cache.commit([{ _tag: "Put", key: piece(i), value: piece(i) }])
    )
    assert.isBelow(grown, most)
    const [value] = await store.cache.getMany([piece(7)])
    assert.isAtMost(value?.buffer.byteLength ?? mebi, 1_024)
  })

  it("has little of those beside it, where one row of many stays", async () => {
    const store = new ScriptedStore({ maxBytes: 64 * mebi, batchRows: 100 * pieces, batchBytes: 64 * mebi })
    const replaced = Buffer.from("replaced")
    await store.cache.getMany([replaced])
    const grown = growth(store.cache, (cache, i) => {
      for (let n = 0; n < 64; n++) void cache.commit([{ _tag: "Put", key: replaced, value: piece(n) }])
      return cache.commit([{ _tag: "Put", key: piece(i), value: piece(i) }])
    })
    assert.isBelow(grown, most)
  })

  it("has an entry of the log, encoded or decoded", () => {
    assert.isBelow(growth(undefined, (_, i) => encodeEntry(entryOf(i))), most)
    assert.isBelow(growth(undefined, (_, i) => decodeEntries(encodeEntries([entryOf(i)]))), most)
    const entries = [entryOf(1), entryOf(2), entryOf(3)]
    encodeEntries(entries)
    const [memory, ...others] = new Set(entries.map(({ payload }) => payload.buffer))
    assert.deepStrictEqual([memory?.byteLength, others.length], [
      entries.reduce((sum, { record }) => sum + (record?.byteLength ?? 0), 0),
      0
    ])
  })

  it("has a reply that a session keeps", () => {
    const session = new Session(1, {
      ttlMs: 1_000,
      openedMs: 0,
      heardMs: 0,
      answered: 0,
      owner: "test",
      caller: "",
      secret: new Uint8Array(16)
    }, new KeptReplies(mebi, mebi))
    assert.isBelow(growth(session, (keeper, i) => keeper.keep(i + 1, piece(i), i + 1)), most)
  })

  it("have the ranges of a watch", () => {
    assert.isBelow(growth(undefined, (_, i) => KeyRanges.of({ gte: piece(i), lt: piece(i + 1) })), most)
  })
})
