/** Snapshots that arrive with right checksums and wrong content, and small ones that may be a mistake. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Logger, Result } from "effect"
import { encodeIdentityRow, identityRowKey, parseIdentity } from "../../src/protocol/ClusterIdentity.ts"
import { LogLimiter } from "../../src/LogLimiter.ts"
import { SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import type { StateRow } from "../../src/protocol/StateRows.ts"
import { encodeMetadata, noMetadata } from "../../src/kv/model/StoreMetadata.ts"
import { encodeRecord } from "../../src/kv/model/KeyRecord.ts"
import { metadataKey, recordKey } from "../../src/kv/model/Keyspace.ts"
import { SnapshotReceiver } from "../../src/node/snapshot/SnapshotReceiver.ts"
import type { LogPoint } from "../../src/raft/Types.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { someCluster } from "../client/Identities.ts"
import { blockOf } from "../kv/HistoryBlocks.ts"

const point = (index: number): LogPoint => ({ index: LogIndex(index), term: Term(1) })
const key = (name: string) => recordKey(new TextEncoder().encode(name))

const identityRow = (identity: string = someCluster): StateRow => ({
  key: identityRowKey,
  value: encodeIdentityRow(Result.getOrThrow(parseIdentity(identity)))
})

const history = blockOf([{
  revision: 1,
  logTimeMs: 0,
  changes: [{ key: Uint8Array.of(0), record: undefined, previousRevision: 0, previous: undefined }]
}])
const historyBytes = history.bytesThrough

/** Keys that all came in one revision, whose history is compacted. */
const keys = (count: number): ReadonlyArray<StateRow> => [
  {
    key: metadataKey,
    value: encodeMetadata({ ...noMetadata, revision: 1, compacted: 1, historyBytes, compactedBytes: historyBytes })
  },
  ...Array.from({ length: count }, (_, i) => ({
    key: key(String(i).padStart(6, "0")),
    value: encodeRecord({ createRevision: 1, modRevision: 1, version: 1, lease: 0, value: Uint8Array.of(1) })
  })),
  history.row
]

interface Received {
  /** Why it was refused, if it was. */
  readonly refused: string | undefined
  readonly warnings: ReadonlyArray<string>
  readonly rows: number
}

/** A node with `before` is sent `sent`. */
const receive = (before: ReadonlyArray<StateRow>, sent: ReadonlyArray<StateRow>, known: string | undefined) =>
  Effect.gen(function*() {
    const warnings: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") warnings.push(String(message))
    })
    return yield* Effect.gen(function*() {
      const state = yield* StateStore
      yield* state.commit(before.map((row) => ({ _tag: "Put", ...row })), point(5))
      const ended = yield* Deferred.make<void>()
      const receiver = new SnapshotReceiver({
        state,
        refusalOf: () => Effect.succeed(undefined),
        install: (incoming, offer) => Effect.as(incoming.finish(offer.point), true),
        identity: () => known,
        level: 1,
        lines: new LogLimiter(() => 0),
        onReceived: () => undefined,
        fork: (work) =>
          Effect.asVoid(Effect.forkDetach(Effect.ensuring(Effect.orDie(work), Deferred.succeed(ended, undefined))))
      })
      const offer = { from: NodeId(2), to: NodeId(1), term: Term(1), point: point(9), estimatedBytes: 0 }
      const refused = yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* receiver.take(offer)
        const encoder = new SnapshotEncoder()
        const chunks = sent.flatMap((row) => [...encoder.add(row)])
        for (const chunk of [...chunks, ...encoder.end().chunks]) yield* sink.write(chunk)
        yield* Deferred.await(ended)
        return undefined
      })).pipe(Effect.catch((refusal) => Effect.succeed(refusal.reason)))
      yield* Deferred.await(ended)
      const rows = yield* state.scan({ gte: Uint8Array.of(1), lt: Uint8Array.of(0xff), limit: 1_000_000 })
      return { refused, warnings, rows: rows.length } satisfies Received
    }).pipe(
      Effect.provide(Layer.fresh(MemoryStore.layer(new MemoryStore.MemoryDisk([1, 2, 3])))),
      Effect.provide(Logger.layer([logger]))
    )
  })

describe("a snapshot with right checksums", () => {
  const before = [identityRow(), ...keys(500)]

  it.effect("is installed when it has what the node knows", () =>
    Effect.gen(function*() {
      const { refused, rows, warnings } = yield* receive(before, [identityRow(), ...keys(400)], someCluster)
      assert.deepStrictEqual([refused, rows, warnings], [undefined, 403, []])
    }))

  it.effect("is refused when it is empty, or of another cluster, and the state stays", () =>
    Effect.gen(function*() {
      const other = "2f1c9a9e-6f5b-4c0e-9d0a-3b7e0c1d2e4f"
      assert.notStrictEqual<string>(other, someCluster)
      for (const sent of [[], keys(400), [identityRow(other), ...keys(400)]]) {
        const { refused, rows, warnings } = yield* receive(before, sent, someCluster)
        assert.match(refused ?? "", /the cluster identity in the state is/)
        assert.match(warnings.join(), /refused a snapshot from node 2: .*cluster identity/)
        assert.strictEqual(rows, before.length)
      }
    }))

  it.effect("is refused when a row would stop the node later", () =>
    Effect.gen(function*() {
      for (const value of [new Uint8Array(5), encodeRecord({ ...noRecord, modRevision: Number.MAX_SAFE_INTEGER })]) {
        const sent = [identityRow(), ...keys(3).slice(0, -1), { key: key("z"), value }]
        const { refused, rows } = yield* receive(before, sent, someCluster)
        assert.match(refused ?? "", /row 6, stored as "\\x10z": /)
        assert.strictEqual(rows, before.length)
      }
    }))

  it.effect("that has far fewer rows is a warning that says how to go back", () =>
    Effect.gen(function*() {
      const { refused, rows, warnings } = yield* receive(before, [identityRow(), ...keys(3)], someCluster)
      assert.isUndefined(refused)
      assert.strictEqual(rows, 6)
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0] ?? "", /has 6 rows, .* 503\. .*flaredb backup FILE --from memory --replaced/)
    }))
})

const noRecord = { createRevision: 1, modRevision: 1, version: 1, lease: 0, value: new Uint8Array(0) }
