/** Where history is cut: at its bounds exactly, over many blocks, and without a look into the store while it is within. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import type { Revision } from "../../src/kv/model/History.ts"
import { revisionBytes } from "../../src/kv/model/HistoryBlock.ts"
import { defaultHistoryLimits, HistoryCut } from "../../src/kv/HistoryCut.ts"
import { loadMetadata } from "../../src/kv/StoredMetadata.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { decodeBlock, revisionsOf } from "./HistoryBlocks.ts"

const count = 300

/** A store whose revision `n` is of the time `10 n`, and of another size than those beside it. */
const stored = Effect.fnUntraced(function*(compacted = 0) {
  const disk = new MemoryStore.MemoryDisk([1])
  const layer = Layer.fresh(KvStateMachine.layer.pipe(Layer.provide(MemoryStore.layer(disk))))
  yield* Effect.provide(
    StateMachine.use((machine) =>
      machine.apply(Array.from({ length: count + 1 }, (_, i) => ({
        index: LogIndex(i + 1),
        term: Term(1),
        kind: "command",
        timestampMs: 10 * Math.min(i + 1, count),
        payload: encodeCommand(
          i === count
            ? { _tag: "Compact", through: compacted }
            : { _tag: "Put", key: new Uint8Array(3), value: new Uint8Array(i * 7 % 400), lease: 0 }
        )
      })))
    ),
    layer
  )
  const revisions = [...disk.state.rows].filter(({ key }) => key[0] === 0x20).flatMap((row) =>
    revisionsOf(decodeBlock(row))
  ).filter(({ revision }) => revision > compacted)
  return { disk, revisions }
})

const onStore = <A, E>(disk: MemoryStore.MemoryDisk, use: (store: StateStore["Service"]) => Effect.Effect<A, E>) =>
  Effect.provide(StateStore.use(use), Layer.fresh(MemoryStore.layer(disk)))

/** How much has to go until what is left is within a bound, or is the last revision: the plain way. */
const expectedCut = (revisions: ReadonlyArray<Revision>, isWithin: (left: ReadonlyArray<Revision>) => boolean) => {
  let cut = 0
  while (cut < revisions.length - 1 && !isWithin(revisions.slice(cut))) cut += 1
  return cut === 0 ? undefined : revisions[cut - 1]?.revision
}

const bytesOf = (revisions: ReadonlyArray<Revision>) =>
  revisions.reduce((sum, revision) => sum + revisionBytes(revision), 0)

for (const compacted of [0, 1, 63, 64, 65, 150]) {
  it.effect(`ends at the bound exactly, wherever in a block that is, after revision ${compacted}`, () =>
    Effect.gen(function*() {
      const { disk, revisions } = yield* stored(compacted)
      yield* onStore(disk, (store) =>
        Effect.gen(function*() {
          const metadata = yield* loadMetadata(store)
          assert.strictEqual(metadata.compacted, compacted)
          assert.strictEqual(metadata.historyBytes - metadata.compactedBytes, bytesOf(revisions))
          // Bytes of so many of the last revisions: what is left is always some of these.
          const bytesOfLast = [0]
          for (const revision of revisions.toReversed()) {
            bytesOfLast.push((bytesOfLast.at(-1) ?? 0) + revisionBytes(revision))
          }
          const cut = (limits: Partial<typeof defaultHistoryLimits>, logTimeMs = 0) =>
            new HistoryCut({ ...defaultHistoryLimits, ...limits }).revision(store, metadata, logTimeMs)
          for (let kept = 0; kept < revisions.length; kept += 7) {
            const left = revisions.slice(kept)
            // The bound itself, and one that is nearly missed on either side.
            for (const maxHistoryBytes of [bytesOf(left), bytesOf(left) - 1, bytesOf(left) + 1]) {
              const isWithin = (some: ReadonlyArray<Revision>) => (bytesOfLast[some.length] ?? 0) <= maxHistoryBytes
              const isBeyond = bytesOf(revisions) > 1.1 * maxHistoryBytes
              const expected = isBeyond ? expectedCut(revisions, isWithin) : undefined
              assert.strictEqual(yield* cut({ maxHistoryBytes }), expected, `${maxHistoryBytes} bytes`)
            }
            const [oldest] = left
            assert(oldest !== undefined)
            for (const since of [oldest.logTimeMs, oldest.logTimeMs + 1, oldest.logTimeMs - 1]) {
              const maxHistoryAgeMs = 100
              const isWithin = (some: ReadonlyArray<Revision>) => (some[0]?.logTimeMs ?? since) >= since
              const isBeyond = (revisions[0]?.logTimeMs ?? 0) < since + maxHistoryAgeMs - 1.1 * maxHistoryAgeMs
              const expected = isBeyond ? expectedCut(revisions, isWithin) : undefined
              assert.strictEqual(yield* cut({ maxHistoryAgeMs }, since + maxHistoryAgeMs), expected, `since ${since}`)
            }
          }
        }))
    }))
}

it.effect("does not look into the store while history is within its bounds", () =>
  Effect.gen(function*() {
    const { disk } = yield* stored()
    yield* onStore(disk, (store) =>
      Effect.gen(function*() {
        let views = 0
        const counted = StateStore.of({
          ...store,
          withView: (use) => store.withView((view) => Effect.andThen(Effect.sync(() => views++), use(view)))
        })
        const metadata = yield* loadMetadata(store)
        const cut = new HistoryCut({ ...defaultHistoryLimits, maxHistoryAgeMs: 1_000 })
        const looks = (logTimeMs: number, now = metadata) =>
          Effect.map(cut.revision(counted, now, logTimeMs), (revision) => {
            const before = views
            views = 0
            return [revision, before]
          })
        assert.deepStrictEqual(yield* looks(1_000), [undefined, 1], "the age of the oldest is not known yet")
        assert.deepStrictEqual(yield* looks(1_010), [undefined, 0])
        assert.deepStrictEqual(yield* looks(1_110), [undefined, 0], "it is 1,100 milliseconds old")
        assert.deepStrictEqual(yield* looks(1_111), [11, 1])
        assert.deepStrictEqual(yield* looks(1_100, { ...metadata, compacted: 10 }), [undefined, 1], "another oldest")
        const emptied = { ...metadata, compacted: count, compactedBytes: metadata.historyBytes }
        assert.deepStrictEqual(yield* looks(1_000_000, emptied), [undefined, 0])
        const last = { ...metadata, compacted: count - 1, compactedBytes: metadata.historyBytes - 1 }
        assert.deepStrictEqual(yield* looks(1_000_000, last), [undefined, 0], "the last revision stays")
      }))
  }))
