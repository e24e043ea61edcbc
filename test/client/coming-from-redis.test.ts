/** Each row of `docs/coming-from-redis.md` against the store. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import { Locks } from "../../src/client/Lock.ts"
import { Compare, Op } from "../../src/client/Txn.ts"
import { Watch } from "../../src/client/Watch.ts"
import { defaultLimits } from "../../src/config/Limits.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import { maxKeyBytes, maxValueBytes } from "../../src/kv/model/Limits.ts"

type Services = Layer.Success<typeof FlareDb.layerMemory>

/** Rows about the command line, several nodes or other modules, and where they are tested. */
const elsewhere: Readonly<Record<string, string>> = {
  "a list as a queue": "test/actors/persisted-queue.test.ts",
  "a cache": "test/actors/persistence.test.ts",
  "a rate limit": "test/actors/rate-limiter.test.ts",
  "a script on the server": "test/examples/job-queue/machine.test.ts",
  "memory that is full": "test/storage/failures.test.ts",
  "an acknowledged write, when the leader dies": "test/cluster/leader-loss.test.ts",
  "a read at a replica": "test/client/read-from.test.ts",
  "a write whose answer was lost": "test/cluster/sessions.test.ts",
  "deleting everything": "test/cluster/rows.test.ts",
  "a copy of everything": "test/cluster/backup.test.ts",
  "who may do what": "test/cluster/secured-node.test.ts",
  "several databases": "test/cluster/secured-node.test.ts"
}

/** What there is not. */
const absent = ["messages to whom it concerns"]

const keysBelow = (prefix: string, reverse = false) =>
  Effect.flatMap(
    KeyValue,
    (kv) => Effect.map(kv.scan(prefix, { reverse }), ({ entries }) => entries.map((entry) => entry.keyText))
  )

const rows: Readonly<Record<string, Effect.Effect<void, unknown, Services>>> = {
  "a key that is missing": Effect.gen(function*() {
    assert.isTrue(Option.isNone(yield* (yield* KeyValue).get("k")))
    assert.match(readFileSync("docs/command-line.md", "utf8"), /\| 3 \| the key does not exist/)
  }),
  "set if it is missing": Effect.gen(function*() {
    const kv = yield* KeyValue
    const setOnce = (value: string) => kv.transact({ if: [Compare.missing("k")], do: [Op.put("k", value)] })
    assert.isTrue((yield* setOnce("1")).succeeded)
    assert.isFalse((yield* setOnce("2")).succeeded)
    assert.strictEqual(Option.getOrThrow(yield* kv.get("k")).text, "1")
  }),
  "compare and set": Effect.gen(function*() {
    const kv = yield* KeyValue
    const { revision } = yield* kv.put("k", "1")
    yield* kv.put("other", "1")
    const unchanged = Compare.modRevision("k").equals(revision)
    assert.isTrue((yield* kv.transact({ if: [unchanged], do: [Op.put("k", "2")] })).succeeded)
    assert.isFalse((yield* kv.transact({ if: [unchanged], do: [Op.put("k", "3")] })).succeeded)
    assert.isTrue((yield* kv.transact({ if: [Compare.value("k").equals("2")], do: [] })).succeeded)
  }),
  "a counter": Effect.gen(function*() {
    const kv = yield* KeyValue
    const count = kv.modify("n", (current) => String(Option.isSome(current) ? Number(current.value.text) + 1 : 1))
    yield* Effect.forEach(Array.from({ length: 20 }), () => count, { concurrency: "unbounded" })
    assert.strictEqual(Option.getOrThrow(yield* kv.get("n")).text, "20")
  }),
  "several keys at once": Effect.gen(function*() {
    const kv = yield* KeyValue
    const { revision } = yield* kv.transact({ do: [Op.put("a", "1"), Op.put("b", "2")] })
    const read = yield* kv.transact({ do: [Op.get("a"), Op.get("b")] })
    if (!read.succeeded) return assert.fail("it has no condition")
    const entries = read.results.map(Option.getOrThrow)
    assert.deepStrictEqual(entries.map(({ modRevision, text }) => [modRevision, text]), [[revision, "1"], [
      revision,
      "2"
    ]])
  }),
  "a time to live": Effect.gen(function*() {
    const [kv, leases] = [yield* KeyValue, yield* Leases]
    const lease = yield* leases.grant(60_000)
    yield* kv.transact({ do: [Op.put("a", "1", { lease: lease.id }), Op.put("b", "1", { lease: lease.id })] })
    yield* leases.revoke(lease.id)
    assert.strictEqual(yield* kv.count(""), 0)
    assert.strictEqual((yield* Effect.flip(leases.grant(999)))._tag, "InvalidArgument")
  }),
  "a session that is kept alive": Effect.gen(function*() {
    const leases = yield* Leases
    const lease = yield* leases.grant(60_000)
    assert.deepStrictEqual(yield* leases.keepAlive(lease.id), lease)
    const held = yield* Effect.scoped(Effect.map(leases.scoped(60_000), ({ id }) => id))
    assert.strictEqual((yield* Effect.flip(leases.timeToLive(held)))._tag, "LeaseNotFound", "it ended with the scope")
  }),
  "taking the time to live away": Effect.gen(function*() {
    const [kv, leases] = [yield* KeyValue, yield* Leases]
    const lease = yield* leases.grant(60_000)
    yield* kv.put("k", "1", { lease: lease.id })
    yield* kv.put("k", "1")
    yield* leases.revoke(lease.id)
    assert.isTrue(Option.isSome(yield* kv.get("k")))
  }),
  "a lock": Effect.gen(function*() {
    const locks = yield* Locks
    const held = (name: string) =>
      locks.withLock(name, ({ revision }) =>
        Effect.map(Effect.scoped(locks.tryAcquire(name)), (other) => {
          assert.isTrue(Option.isNone(other))
          return revision
        }))
    const [first, second] = [yield* held("l"), yield* held("l")]
    assert.isAbove(second, first)
  }),
  "going through keys": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.transact({ do: ["p/c", "p/a", "p/b", "q"].map((key) => Op.put(key, "")) })
    const all = yield* Stream.runCollect(kv.scanAll("p/", { limit: 2 }))
    assert.deepStrictEqual(all.map((entry) => entry.keyText), ["p/a", "p/b", "p/c"])
  }),
  "how many keys": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.transact({ do: ["p/a", "p/b", "q"].map((key) => Op.put(key, "")) })
    assert.deepStrictEqual([yield* kv.count("p/"), yield* kv.count("")], [2, 3])
  }),
  "a hash": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.transact({ do: [Op.put("user/7/name", "ada"), Op.put("user/7/mail", "ada@example.org")] })
    assert.deepStrictEqual(yield* keysBelow("user/7/"), ["user/7/mail", "user/7/name"])
  }),
  "a set": Effect.gen(function*() {
    const kv = yield* KeyValue
    for (const member of ["x", "y", "x"]) yield* kv.put(`tags/${member}`, "")
    assert.deepStrictEqual(yield* keysBelow("tags/"), ["tags/x", "tags/y"])
  }),
  "a sorted set": Effect.gen(function*() {
    const kv = yield* KeyValue
    const score = (points: number, who: string) => `scores/${String(points).padStart(6, "0")}/${who}`
    for (const [points, who] of [[9, "ada"], [10, "bob"], [42, "cid"]] as const) yield* kv.put(score(points, who), "")
    const top = yield* keysBelow("scores/", true)
    assert.deepStrictEqual(top, [score(42, "cid"), score(10, "bob"), score(9, "ada")])
  }),
  "news of changes": Effect.gen(function*() {
    const [kv, watch] = [yield* KeyValue, yield* Watch]
    const { revision } = yield* kv.put("k", "1")
    yield* kv.put("k", "2")
    yield* kv.delete("k")
    const changes = watch.changes({ prefix: "k" }, { fromRevision: revision }).pipe(Stream.take(3))
    const seen = yield* Stream.runCollect(changes)
    assert.deepStrictEqual(seen.map(({ events }) => events.map(({ _tag }) => _tag)), [["Put"], ["Put"], ["Delete"]])
  }),
  "a stream": Effect.gen(function*() {
    const [kv, watch] = [yield* KeyValue, yield* Watch]
    for (const text of ["a", "b", "c"]) yield* kv.put("log", text)
    const from = (fromRevision: number) =>
      Effect.map(
        Stream.runHead(watch.changes({ prefix: "log" }, { fromRevision })),
        (first) => Option.getOrThrow(first).revision
      )
    assert.deepStrictEqual([yield* from(1), yield* from(3)], [1, 3])
    assert.strictEqual(defaultLimits.maxHistoryAgeMs, 3_600_000)
  }),
  "the largest value": Effect.gen(function*() {
    const kv = yield* KeyValue
    yield* kv.put("k", new Uint8Array(maxValueBytes))
    const refused = yield* Effect.flip(kv.put("k", new Uint8Array(maxValueBytes + 1)))
    assert.strictEqual(refused._tag, "InvalidArgument")
    assert.deepStrictEqual([maxValueBytes, maxKeyBytes], [1024 * 1024, 4_096])
  })
}

for (const [what, effect] of Object.entries(rows)) {
  it.live(what, () => Effect.provide(effect, Layer.fresh(FlareDb.layerMemory)))
}

it("every row is tested", () => {
  const page = readFileSync("docs/coming-from-redis.md", "utf8")
  const named = [...page.matchAll(/^\| ([^|]+) \| .* \|$/gm)].map(([, what]) => what).slice(2)
  assert.deepStrictEqual([...named].sort(), [...Object.keys(rows), ...Object.keys(elsewhere), ...absent].sort())
  assert.deepStrictEqual(Object.values(elsewhere).filter((file) => !existsSync(file)), [])
})
