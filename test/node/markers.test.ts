/** The state behind a named command: the same on every node, in the middle of whatever else is applied. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { maxChunkBytes, SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import type { NodeExport } from "../../src/node/RaftNode.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"

const passTime = TestClock.adjust(10)
const cluster = TestCluster.make({ voters: 3, passTime })

const digestOf = Effect.fnUntraced(function*({ next }: NodeExport) {
  const encoder = new SnapshotEncoder()
  for (;;) {
    const rows = yield* next(maxChunkBytes)
    if (rows.length === 0) return encoder.end().totals
    for (const row of rows) encoder.add(row)
  }
})

const put = (key: string, value: string) =>
  encodeCommand({ _tag: "Put", key: new TextEncoder().encode(key), value: new TextEncoder().encode(value), lease: 0 })

it.effect("is taken at one place of the log, also in the middle of a batch, and later commands are not in it", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const leader = yield* three.leader()
    const marker = encodeCommand({ _tag: "Checkpoint", token: 4_711 })
    yield* Effect.scoped(
      Effect.gen(function*() {
        const views = yield* Effect.forEach(three.nodes, ({ node }) => node.exportAtMarker(marker))
        const before = Array.from({ length: 40 }, (_, i) => put(`key ${i}`, "before"))
        const after = Array.from({ length: 40 }, (_, i) => put(`key ${i}`, "after"))
        const replies = yield* three.whileTimePasses(leader.node.propose([...before, marker, ...after]))
        assert.isTrue(replies.every((reply) => reply instanceof Uint8Array))
        const exports = yield* three.whileTimePasses(Effect.all(views))
        assert.strictEqual(new Set(exports.map(({ point }) => point.index)).size, 1)
        const totals = yield* Effect.forEach(exports, digestOf)
        assert.deepStrictEqual(totals[1], totals[0])
        assert.deepStrictEqual(totals[2], totals[0])
        yield* three.converged
        const now = yield* Effect.flatMap(leader.node.exportState, digestOf)
        assert.notStrictEqual(now.digest, totals[0]?.digest)
      })
    )
    assert.strictEqual(yield* leader.get("key 7", "stale"), "after")
  }))

it.effect("is not taken for other commands, nor for those who wait no more", () =>
  Effect.gen(function*() {
    const three = yield* cluster
    const leader = yield* three.leader()
    const marker = encodeCommand({ _tag: "Checkpoint", token: 1 })
    const other = encodeCommand({ _tag: "Checkpoint", token: 2 })
    yield* Effect.scoped(leader.node.exportAtMarker(marker))
    yield* Effect.scoped(
      Effect.gen(function*() {
        const view = yield* leader.node.exportAtMarker(other)
        yield* three.whileTimePasses(leader.node.propose([marker, put("a", "1"), other]))
        const { point } = yield* three.whileTimePasses(view)
        assert.strictEqual(point.index, (yield* leader.node.status).commit)
      })
    )
  }))
