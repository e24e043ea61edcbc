/** Each row of `docs/coming-from-etcd.md` against the store. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { readFileSync } from "node:fs"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import { Locks } from "../../src/client/Lock.ts"
import { Compare, Op } from "../../src/client/Txn.ts"
import { Watch } from "../../src/client/Watch.ts"
import { defaultLimits } from "../../src/config/Limits.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { maxKeyBytes, maxTransactionOperations, maxValueBytes } from "../../src/kv/model/Limits.ts"

type Services = Layer.Success<typeof FlareDb.layerMemory>

/** Rows about the command line, several nodes or what is not there, and where they are tested. */
const elsewhere: Readonly<Record<string, string>> = {
  "a read at a follower": "test/client/read-from.test.ts",
  "a new leader": "test/cluster/leases.test.ts",
  "a write whose answer was lost": "test/cluster/sessions.test.ts",
  "an outcome that is not known": "test/cluster/leader-loss.test.ts",
  "the store as a whole": "test/cluster/backup.test.ts",
  "room of what was deleted": "test/storage/reclaim.test.ts",
  members: "test/cluster/emptied.test.ts",
  "who may do what": "test/cluster/turn-on-tls.test.ts"
}

const event = (fromRevision: number) =>
  Effect.flatMap(Watch, (watch) => Stream.runHead(watch.changes({ prefix: "" }, { fromRevision })))

const rows: Readonly<Record<string, Effect.Effect<void, unknown, Services>>> = {
  "the first revision": Effect.gen(function*() {
    const kv = yield* KeyValue
    assert.strictEqual((yield* kv.scan("")).revision, 0)
    assert.strictEqual((yield* kv.put("a", "1")).revision, 1)
  }),
  "`create_revision`, `mod_revision`, `version`": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("a", "1")
    yield* kv.put("a", "2")
    const { createRevision, modRevision, version } = Option.getOrThrow(yield* kv.get("a"))
    assert.deepStrictEqual({ createRevision, modRevision, version }, { createRevision: 1, modRevision: 2, version: 2 })
    yield* kv.delete("a")
    yield* kv.put("a", "3")
    const again = Option.getOrThrow(yield* kv.get("a"))
    assert.deepStrictEqual([again.createRevision, again.version], [4, 1])
  }),
  "a delete of nothing": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("a", "1")
    assert.deepInclude(yield* kv.delete("b"), { deleted: false, revision: 1 })
  }),
  "a key that is missing": Effect.gen(function*() {
    assert.isTrue(Option.isNone(yield* (yield* KeyValue).get("a")))
    assert.match(readFileSync("docs/command-line.md", "utf8"), /\| 3 \| the key does not exist/)
  }),
  "an empty key": Effect.gen(function*() {
    const kv = yield* KeyValue
    assert.strictEqual((yield* Effect.flip(kv.put("", "1")))._tag, "InvalidArgument")
    assert.strictEqual(maxKeyBytes, 4_096)
  }),
  "an empty value": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("a", "")
    assert.strictEqual(Option.getOrThrow(yield* kv.get("a")).text, "")
  }),
  prefixes: Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("a", "1")
    yield* kv.put("ab", "2")
    assert.strictEqual(yield* kv.count("a"), 2)
    assert.strictEqual(Option.getOrThrow(yield* kv.get("a")).text, "1")
    yield* kv.delete("a")
    assert.strictEqual(yield* kv.count("a"), 1)
  }),
  "two writes of one key in a transaction": Effect.gen(function*() {
    const kv = yield* KeyValue
    for (const twice of [[Op.put("a", "1"), Op.put("a", "2")], [Op.put("a", "1"), Op.delete("a")]]) {
      assert.strictEqual((yield* Effect.flip(kv.transact({ do: twice })))._tag, "InvalidArgument")
    }
    assert.strictEqual(
      (yield* Effect.flip(kv.transact({ do: [Op.delete("a"), Op.delete("a")] })))._tag,
      "InvalidArgument"
    )
    const done = yield* kv.transact({ do: [Op.put("a", "1"), Op.get("a")] })
    if (!done.succeeded) return assert.fail("it has no condition")
    assert.strictEqual(Option.getOrThrow(done.results[1]).text, "1")
  }),
  "operations of a transaction": Effect.gen(function*() {
    const kv = yield* KeyValue
    const puts = (count: number) => Array.from({ length: count }, (_, i) => Op.put(`${i}`, ""))
    yield* kv.transact({ do: puts(512) })
    assert.strictEqual((yield* Effect.flip(kv.transact({ do: puts(513) })))._tag, "InvalidArgument")
    assert.deepStrictEqual([maxTransactionOperations, maxValueBytes], [512, 1024 * 1024])
  }),
  "what a transaction compares": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("a", "1")
    const { succeeded } = yield* kv.transact({
      if: [
        Compare.exists("a"),
        Compare.missing("b"),
        Compare.value("a").equals("1"),
        Compare.version("a").equals(1),
        Compare.createRevision("a").equals(1),
        Compare.modRevision("a").equals(1),
        Compare.lease("a").equals(0)
      ]
    })
    assert.isTrue(succeeded)
  }),
  "reads of old revisions": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("a", "1")
    yield* kv.put("a", "2")
    const { events } = Option.getOrThrow(yield* event(1))
    assert.deepInclude(events[0]?._tag === "Put" ? { text: events[0].entry.text } : {}, { text: "1" })
  }),
  "a watch": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.transact({ do: [Op.put("a", "1"), Op.put("b", "1")] })
    const { events, revision } = Option.getOrThrow(yield* event(1))
    assert.deepStrictEqual([revision, events.length], [1, 2])
  }),
  "a lock": Effect.scoped(Effect.gen(function*() {
    const locks = yield* Locks
    yield* locks.acquire("a/b")
    assert.isTrue(Option.isNone(yield* locks.tryAcquire("a/b")))
    assert.isTrue(Option.isSome(yield* locks.tryAcquire("a")))
  })),
  "`compact N`": Effect.gen(function*() {
    const kv = yield* KeyValue
    for (const value of ["1", "2", "3"]) yield* kv.put("a", value)
    yield* (yield* ClusterAdmin).compact(2)
    assert.deepInclude(yield* Effect.flip(event(1)), { _tag: "Compacted", requested: 1, oldest: 2 })
    assert.strictEqual(Option.getOrThrow(yield* event(2)).revision, 2)
    const ahead = yield* Effect.flip((yield* ClusterAdmin).compact(4))
    assert.deepInclude(ahead, { _tag: "InvalidArgument", field: "revision" })
  }),
  "history that no client compacts": Effect.sync(() => {
    const { maxHistoryAgeMs, maxHistoryBytes, maxHistoryRevisions } = defaultLimits
    assert.deepStrictEqual([maxHistoryAgeMs, maxHistoryRevisions, maxHistoryBytes], [3_600_000, 1e6, 512 * 1024 * 1024])
  }),
  "times to live": Effect.gen(function*() {
    const leases = yield* Leases
    assert.strictEqual((yield* leases.grant(1_000)).ttlMs, 1_000)
    assert.strictEqual((yield* Effect.flip(leases.grant(60)))._tag, "InvalidArgument")
  })
}

for (const [what, effect] of Object.entries(rows)) {
  it.live(what, () => Effect.provide(effect, Layer.fresh(FlareDb.layerMemory)))
}

it("every row is tested", () => {
  const page = readFileSync("docs/coming-from-etcd.md", "utf8")
  const named = [...page.matchAll(/^\| ([^|]+) \| .* \|$/gm)].map(([, what]) => what).slice(2)
  assert.deepStrictEqual([...named].sort(), [...Object.keys(rows), ...Object.keys(elsewhere)].sort())
  for (const file of Object.values(elsewhere)) assert.isNotEmpty(readFileSync(file, "utf8"), file)
})
