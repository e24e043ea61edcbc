/** An import from an etcd in memory into a store in memory. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option, Result } from "effect"
import type { ImportOptions, OnStep } from "../../../src/cli/import/Import.ts"
import { Import } from "../../../src/cli/import/Import.ts"
import { EtcdUnreachable } from "../../../src/cli/import/ImportFailures.ts"
import type { Position } from "../../../src/cli/import/Position.ts"
import { decode } from "../../../src/cli/import/Position.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Leases } from "../../../src/client/Lease.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import { FakeEtcd } from "./FakeEtcd.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

type Options = Partial<Omit<ImportOptions, "prefix" | "toPrefix">> & { readonly prefix?: string; readonly to?: string }

const silent: OnStep = () => () => Effect.void

const make = (etcd: FakeEtcd, { prefix = "", to = prefix, ...options }: Options = {}) =>
  Import.make(etcd, {
    ifExists: "fail",
    exact: false,
    skipRefused: false,
    restart: false,
    keysPerSecond: undefined,
    maxLeaseMs: undefined,
    ...options,
    prefix: bytes(prefix),
    toPrefix: bytes(to)
  })

const run = (etcd: FakeEtcd, options?: Options) =>
  Effect.flatMap(make(etcd, options), (importing) => importing.run(silent))

const stored = Effect.fnUntraced(function*(prefix = "") {
  const kv = yield* KeyValue
  const { entries } = yield* kv.scan(prefix)
  return Object.fromEntries(
    entries.filter(({ keyText }) => !keyText.startsWith("flaredb-import/")).map(({ keyText, text }) => [keyText, text])
  )
})

const positions = Effect.flatMap(KeyValue, (kv) =>
  Effect.map(
    kv.scan("flaredb-import/"),
    ({ entries }) =>
      entries.filter(({ keyText }) => keyText.endsWith("/position")).map(({ text }) => decode(text) as Position)
  ))

const test = <E>(name: string, body: Effect.Effect<void, E, Layer.Success<typeof FlareDb.layerMemory>>) =>
  it.live(name, () => Effect.provide(body, Layer.fresh(FlareDb.layerMemory)))

test(
  "keys come under another prefix, both hashes are equal, and a second run writes nothing",
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    for (const name of ["/app", "/app/", "/app/a", "/app/b", "/apq"]) etcd.put(name, `value of ${name}`)
    etcd.put(Uint8Array.of(47, 97, 112, 112, 47, 0, 255), Uint8Array.of(0, 255, 254))
    const { compared, position } = yield* run(etcd, { prefix: "/app/", to: "x", skipRefused: true })
    assert.deepStrictEqual(
      Object.keys(yield* stored()).sort(),
      ["x", "xa", "xb", "x\u0000\ufffd"].sort()
    )
    const kv = yield* KeyValue
    const odd = Option.getOrThrow(yield* kv.get(Uint8Array.of(120, 0, 255)))
    assert.deepStrictEqual([...odd.value], [0, 255, 254])
    assert.deepStrictEqual(compared.etcd, compared.flaredb)
    assert.deepInclude(compared, { differences: 0, others: 0, refused: 0, ended: 0, kept: 0 })
    assert.strictEqual(compared.flaredb.keys, 4)
    assert.strictEqual(position.totals.written, 4)
    const before = (yield* kv.get("xa")).pipe(Option.getOrThrow).modRevision
    const again = yield* run(etcd, { prefix: "/app/", to: "x" })
    assert.deepInclude(again.position.totals, { written: 0, equal: 4 })
    assert.strictEqual(again.compared.flaredb.sha256, compared.flaredb.sha256)
    assert.strictEqual((yield* kv.get("xa")).pipe(Option.getOrThrow).modRevision, before)
  })
)

test(
  "what FlareDB does not take is listed before anything is written, and left out when that is asked for",
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    etcd.put("a", "1")
    etcd.put("k".repeat(4_090), "2")
    etcd.put("large", new Uint8Array(1024 * 1024 + 1))
    etcd.put("larger", new Uint8Array(5 * 1024 * 1024))
    etcd.put("flaredb-import/x", "3")
    const refused = yield* Effect.flip(run(etcd, { to: "target/" }))
    assert.strictEqual(refused._tag, "KeysRefused")
    assert.match(
      refused.message,
      /does not take 3 of the keys, and nothing was written: "k{80}…": the key has 4097 bytes/
    )
    assert.match(refused.message, /"large": the value has 1048577 bytes.*"larger": its value is too large/)
    assert.deepStrictEqual(yield* stored(), {})
    assert.deepStrictEqual(yield* positions, [])
    const { compared, position } = yield* run(etcd, { skipRefused: true })
    assert.deepInclude(position.totals, { written: 2, refused: 3 })
    assert.deepInclude(compared, { refused: 3, differences: 0 })
    assert.deepStrictEqual(Object.keys(yield* stored()).map((key) => key.length), [1, 4_090])
  })
)

test(
  "keys that are there with other contents end it, are kept, or are written over",
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    for (const key of ["a", "b", "c"]) etcd.put(key, `etcd ${key}`)
    const kv = yield* KeyValue
    yield* kv.put("a", "etcd a")
    yield* kv.put("b", "mine")
    yield* kv.put("other", "1")
    const failed = yield* Effect.flip(run(etcd))
    assert.deepInclude(failed, { _tag: "KeysExist", count: 1, begun: false })
    assert.deepStrictEqual(yield* stored(), { a: "etcd a", b: "mine", other: "1" })
    const skipped = yield* run(etcd, { ifExists: "skip" })
    assert.deepInclude(skipped.position.totals, { written: 1, equal: 1, kept: 1, others: 1 })
    assert.deepInclude(skipped.compared, { differences: 0, kept: 1, others: 1 })
    assert.deepStrictEqual(yield* stored(), { a: "etcd a", b: "mine", c: "etcd c", other: "1" })
    const replaced = yield* run(etcd, { ifExists: "replace" })
    assert.deepInclude(replaced.position.totals, { written: 1, replaced: 1, deleted: 0 })
    assert.deepStrictEqual(yield* stored(), { a: "etcd a", b: "etcd b", c: "etcd c", other: "1" })
    etcd.delete("a")
    const exact = yield* run(etcd, { ifExists: "replace", exact: true })
    assert.deepInclude(exact.position.totals, { written: 0, deleted: 2, equal: 2 })
    assert.deepStrictEqual(yield* stored(), { b: "etcd b", c: "etcd c" })
  })
)

test(
  "leases get what was left, keep their keys together, and those that ended take theirs along",
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    etcd.leases.set("7", 600).set("8", 100).set("9223372036854775807", 4_000)
    for (const [key, lease] of [["a", "7"], ["b", "7"], ["c", "8"], ["d", "404"]] as const) etcd.put(key, key, lease)
    etcd.put("e", "e")
    etcd.put("f", "f", "9223372036854775807")
    const leases = yield* Leases
    const { compared, position } = yield* run(etcd, { maxLeaseMs: 3_600_000 })
    assert.deepInclude(position.totals, { written: 5, ended: 1, leases: 3 })
    assert.deepInclude(compared, { ended: 1, differences: 0 })
    assert.strictEqual(compared.flaredb.keys, 5)
    const granted = yield* leases.list()
    assert.deepStrictEqual(
      granted.map(({ keys, ttlMs }) => [ttlMs, keys]).sort(),
      [
        // The row that notes a lease is one of its keys.
        [100_000, 2],
        [3_600_000, 2],
        [600_000, 3]
      ].sort()
    )
    // A lease that ends in FlareDB is no difference; a key that is missing while its lease lives is one.
    const verify = Effect.map(Effect.flatMap(make(etcd), (one) => one.verify(silent)), ({ compared }) => compared)
    const seven = granted.find(({ ttlMs }) => ttlMs === 600_000)
    assert.strictEqual(yield* leases.revoke(seven!.id), 3)
    assert.deepInclude(yield* verify, { ended: 3, differences: 0 })
    yield* (yield* KeyValue).delete("c")
    assert.deepInclude(yield* verify, { ended: 3, differences: 1, first: [`"c" is only in etcd`] })
    // A new import brings both back.
    const again = yield* run(etcd, { maxLeaseMs: 3_600_000 })
    assert.deepInclude(again.position.totals, { written: 3, leases: 1, ended: 1 })
  })
)

test(
  "a lease that FlareDB does not grant ends the import before a key is written",
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    etcd.leases.set("1", 31 * 86_400)
    etcd.put("a", "1", "1")
    const refused = yield* Effect.flip(run(etcd))
    assert.strictEqual(refused._tag, "LeasesRefused")
    assert.match(refused.message, /has 31d left, and one of FlareDB has at most 30d/)
    assert.deepStrictEqual(yield* stored(), {})
    assert.deepStrictEqual(yield* (yield* Leases).list(), [])
  })
)

test(
  "an import that ended in the middle goes on behind its last batch, at its revision",
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    const name = (i: number) => `k${String(i).padStart(5, "0")}`
    etcd.leases.set("3", 1_000)
    etcd.putAll(
      Array.from(
        { length: 3_000 },
        (_, i) => ({ key: bytes(name(i)), value: bytes("1"), lease: i === 2_999 ? "3" : "0" })
      )
    )
    const { revision } = etcd
    const kv = yield* KeyValue
    // Once some of the keys are there.
    etcd.before = () =>
      Effect.flatMap(Effect.orDie(kv.count("k")), (count) =>
        count > 0
          ? Effect.fail(new EtcdUnreachable({ endpoints: [], reason: "it was killed" }))
          : Effect.void)
    const failed = yield* Effect.flip(run(etcd))
    assert.strictEqual(failed._tag, "EtcdUnreachable")
    const [position] = yield* positions
    assert.deepInclude(position, { done: false, revision })
    assert.isAbove(position!.totals.written, 0)
    assert.isBelow(position!.totals.written, 3_000)
    etcd.before = () => Effect.void
    // An etcd that was made again has the same cluster id, and not the revision.
    const behind = yield* Effect.flip(run(new FakeEtcd()))
    assert.deepInclude(behind, { _tag: "EtcdBehind", revision, current: 1 })
    etcd.put(name(0), "later")
    etcd.put("later", "1")
    etcd.limits.length = 0
    const { compared, position: ended, resumed } = yield* run(etcd)
    assert.isTrue(resumed)
    assert.deepInclude(ended, { revision })
    assert.deepInclude(ended.totals, { keys: 3_000, written: 3_000, leases: 1, equal: 0 })
    assert.deepInclude(compared, { differences: 0, others: 0 })
    assert.strictEqual(compared.flaredb.keys, 3_000)
    assert.isTrue((yield* positions)[0]?.done)
    // What changed since comes with the next run.
    const next = yield* run(etcd, { ifExists: "replace" })
    assert.deepInclude(next.position.totals, { written: 2, replaced: 1, equal: 2_999 })
    // An import that ended is not brought up to an etcd that lost its data either.
    const replaced = yield* Effect.flip(run(new FakeEtcd(), { ifExists: "replace" }))
    assert.deepInclude(replaced, { _tag: "EtcdBehind", revision: etcd.revision, current: 1 })
  })
)

test(
  "a prefix under which etcd has nothing does not have --exact delete all that FlareDB has",
  Effect.gen(function*() {
    const kv = yield* KeyValue
    for (const key of ["app/1", "app/2"]) yield* kv.put(key, "mine")
    const etcd = new FakeEtcd()
    etcd.put("/app/1", "theirs")
    for (const restart of [false, true]) {
      const failed = yield* Effect.flip(run(etcd, { prefix: "app/", exact: true, ifExists: "replace", restart }))
      assert.deepInclude(failed, { _tag: "NothingInEtcd", count: 2, first: [`"app/1"`, `"app/2"`] })
      assert.match(failed.message, /--exact would delete all 2 .*--prefix and --from.*flaredb delete --prefix/)
    }
    assert.deepStrictEqual(yield* stored(), { "app/1": "mine", "app/2": "mine" })
    // Without it they stay, and with keys in etcd those that it has not go.
    assert.deepInclude((yield* run(etcd, { prefix: "app/" })).compared, { others: 2 })
    etcd.put("app/1", "theirs")
    const { position } = yield* run(etcd, { prefix: "app/", exact: true, ifExists: "replace" })
    assert.deepInclude(position.totals, { deleted: 1, replaced: 1 })
  })
)

test(
  "a revision that etcd compacts meanwhile is an error, and --restart begins at a newer one",
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    for (let i = 0; i < 40; i++) etcd.put(`k${i}`, "1")
    let ranges = 0
    etcd.before = () =>
      Effect.sync(() => {
        if (++ranges !== 5) return
        etcd.put("k7", "2")
        etcd.delete("k8")
        etcd.compact(etcd.revision)
      })
    const failed = yield* Effect.flip(run(etcd))
    assert.strictEqual(failed._tag, "EtcdCompacted")
    assert.match(failed.message, /--auto-compaction-retention.*--restart --if-exists replace/)
    assert.strictEqual((yield* Effect.flip(run(etcd)))._tag, "EtcdCompacted")
    const { compared, position } = yield* run(etcd, { restart: true, ifExists: "replace" })
    assert.strictEqual(position.revision, etcd.revision)
    assert.deepInclude(compared, { differences: 0 })
    assert.strictEqual((yield* stored())["k7"], "2")
  })
)

test(
  "a key that a client writes meanwhile is not written over",
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const etcd = new FakeEtcd()
    etcd.leases.set("6", 600)
    for (const key of ["a", "b", "c"]) etcd.put(key, "etcd", key === "a" ? "6" : "0")
    let asked = 0
    // The look asks for the lease, and then the batch that was read and is about to be written.
    etcd.beforeLease = () => ++asked === 2 ? Effect.orDie(kv.put("b", "mine")) : Effect.void
    const failed = yield* Effect.flip(run(etcd))
    assert.deepInclude(failed, { _tag: "KeysExist", begun: true, first: [`"b"`] })
    assert.deepStrictEqual(yield* stored(), { b: "mine" })
    const skipped = yield* run(etcd, { ifExists: "skip" })
    assert.deepInclude(skipped.position.totals, { written: 2, kept: 1 })
  })
)

test(
  "of two processes that carry out one import, the first ends at its next write",
  Effect.gen(function*() {
    const etcd = new FakeEtcd()
    etcd.putAll(Array.from({ length: 2_000 }, (_, i) => ({ key: bytes(`k${i}`), value: bytes("1"), lease: "0" })))
    const kv = yield* KeyValue
    let isBegun = false
    const second = Effect.provideContext(
      Effect.asVoid(Effect.orDie(run(etcd))),
      yield* Effect.context<KeyValue | Leases>()
    )
    etcd.before = () =>
      Effect.flatMap(Effect.orDie(kv.count("k")), (count) => {
        if (count === 0 || isBegun) return Effect.void
        isBegun = true
        return second
      })
    const first = yield* Effect.result(run(etcd))
    assert.isTrue(Result.isFailure(first) && first.failure._tag === "ImportRunning", JSON.stringify(first))
    assert.strictEqual(yield* kv.count("k"), 2_000)
    assert.isTrue((yield* positions)[0]?.done)
  })
)

test(
  "a difference names the first keys",
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const etcd = new FakeEtcd()
    etcd.leases.set("5", 500)
    for (const key of ["a", "b", "c", "d"]) etcd.put(key, "1", key === "d" ? "5" : "0")
    // Where nothing was imported, a key with a lease is missing like any other.
    assert.deepInclude((yield* (yield* make(etcd)).verify(silent)).compared, { differences: 4, ended: 0 })
    yield* run(etcd)
    yield* kv.put("a", "2")
    yield* kv.delete("b")
    yield* kv.put("d", "1")
    yield* kv.put("e", "1")
    const { compared } = yield* (yield* make(etcd)).verify(silent)
    assert.deepStrictEqual(compared.first, [`"a" has another value`, `"b" is only in etcd`, `"d" has another lease`])
    assert.deepInclude(compared, { differences: 3, others: 1 })
    assert.notStrictEqual(compared.etcd.sha256, compared.flaredb.sha256)
    const exact = yield* make(etcd, { exact: true })
    assert.include((yield* exact.verify(silent)).compared.first, `"e" is only in FlareDB`)
  })
)
