/** Backup, restore and verify as an operator uses them: against real processes under load, some of which are killed. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer, Option } from "effect"
import { randomBytes } from "node:crypto"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { recordKey } from "../../src/kv/model/Keyspace.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import { recoverState } from "../../src/storage/rocksdb/StateFamilies.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { run } from "./Flaredb.ts"
import { halfWay } from "./HalfWay.ts"
import { rest } from "./Rest.ts"

const json = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

/** Writes keys one behind the other until it is interrupted; `acknowledged` has those that were answered. */
const load = (acknowledged: Array<string>, valueBytes: number) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const value = "x".repeat(valueBytes)
    const writer = (id: number) =>
      Effect.gen(function*() {
        for (let i = 0;; i++) {
          const key = `load/${id}/${i}`
          yield* Effect.ignore(Effect.tap(kv.put(key, value), () => Effect.sync(() => acknowledged.push(key))))
          yield* rest
        }
      })
    return yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], writer, { concurrency: "unbounded", discard: true })
  })

it.live(
  "a backup under load restores into a new cluster that has everything acknowledged before it; verify tells a damaged node",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-backup-" })
      const file = `${folder}/state.flaredb`
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      const before: Array<string> = []

      const revision = yield* Effect.gen(function*() {
        const acknowledged: Array<string> = []
        const writing = yield* Effect.forkScoped(load(acknowledged, 2_000))
        yield* eventually("500 writes", () => acknowledged.length >= 500)
        before.push(...acknowledged)
        const taken = yield* run(["backup", file, "--json", "--endpoints", cluster.endpointList])
        assert.strictEqual(taken.code, 0, taken.err)
        yield* Fiber.interrupt(writing)
        const [told] = json(taken.out)
        assert.isAtLeast(told?.["revision"] as number, before.length)

        const again = yield* run(["backup", file, "--endpoints", cluster.endpointList])
        assert.strictEqual(again.code, 2)
        assert.match(again.err, /exists already; give another name, or --force/)
        const equal = yield* run(["verify", "--endpoints", cluster.endpointList])
        assert.strictEqual(equal.code, 0, equal.err)
        assert.match(equal.out, /equal[\s\S]*equal[\s\S]*equal/)
        return told?.["revision"] as number
      }).pipe(Effect.scoped, Effect.provide(Cluster.client(cluster)))
      for (const node of cluster.nodes) yield* node.stop("SIGTERM")
      assert.deepStrictEqual(yield* files.readDirectory(folder), ["state.flaredb"])

      const dry = yield* run(["restore", file, "--dry-run"])
      assert.strictEqual(dry.code, 0, dry.err)
      assert.match(dry.out, /is whole: cluster test at revision/)

      // The new cluster's directories take the place of the old one's, under another name.
      const restored = yield* Cluster.make(3)
      const nodes = formatNodes(restored.nodes.map(({ address }) => address))
      for (const node of restored.nodes) {
        const args = ["restore", file, "--node-id", String(node.id), "--nodes", nodes, "--data-dir", node.dataDir]
        if (node.id === 1) {
          const same = yield* run([...args, "--cluster-id", "test"])
          assert.strictEqual(same.code, 2)
          assert.match(same.err, /name of the cluster that was backed up/)
        }
        const made = yield* run([...args, "--cluster-id", "restored"])
        assert.strictEqual(made.code, 0, made.err)
        if (node.id !== 1) continue
        const twice = yield* run([...args, "--cluster-id", "restored"])
        assert.strictEqual(twice.code, 1)
        assert.match(twice.err, /not-empty/)
      }
      for (const node of restored.nodes) node.clusterId = "restored"
      yield* Cluster.start(restored)
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const { revision: next } = yield* kv.put("after", "1")
        assert.strictEqual(next, revision + 1, "revisions continue")
        const found = yield* Effect.forEach(before, (key) => kv.get(key), { concurrency: 64 })
        assert.isTrue(found.every(Option.isSome), "everything acknowledged before the backup is there")
        const equal = yield* run(["verify", "--json", "--endpoints", restored.endpointList])
        assert.strictEqual(equal.code, 0, equal.err)
        assert.match(equal.out, /"sha256":"[0-9a-f]{64}"/)
        assert.strictEqual(new Set(json(equal.out).map((line) => line["sha256"])).size, 1)

        const damaged = restored.node(3)
        yield* damaged.stop("SIGTERM")
        yield* Effect.scoped(
          Effect.gen(function*() {
            const database = yield* RocksDb
            const { family } = yield* recoverState(database, damaged.dataDir)
            const key = recordKey(new TextEncoder().encode(before[0] as string))
            const value = Uint8Array.from((yield* database.get(family, key)) ?? assert.fail("the key is missing"))
            const last = value.byteLength - 1
            value[last] = (value[last] as number) ^ 1
            yield* database.write(family, [{ _tag: "Put", key, value }], "durable")
          }).pipe(Effect.provide(Layer.fresh(RocksDb.layer({ path: damaged.dataDir, create: false }))))
        )
        yield* damaged.start
        const differs = yield* run(["verify", "--endpoints", restored.endpointList])
        assert.strictEqual(differs.code, 1)
        assert.match(differs.err, /node 3 differs from the others/)
        assert.match(differs.out, /3 +DIFFERS/)

        yield* restored.node(2).stop("SIGKILL")
        const down = yield* run(["verify", "--endpoints", restored.endpointList])
        assert.strictEqual(down.code, 1)
        assert.match(down.out, /not compared/)
      }).pipe(Effect.provide(Cluster.client(restored)))
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)

it.live("a backup whose node is killed on the way ends with an error and leaves no file", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-backup-" })
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    const [node] = cluster.nodes
    if (node === undefined) throw new Error("no node")
    const value = randomBytes(500_000)
    yield* Effect.flatMap(KeyValue, (kv) =>
      Effect.forEach(Array.from({ length: 8 }), (_, i) => kv.put(`large/${i}`, value))).pipe(
        Effect.provide(Cluster.client(cluster))
      )
    const endpoints = yield* halfWay(node.endpoint.port, 1_000_000)
    const backup = yield* Effect.forkScoped(run(["backup", `${folder}/half.flaredb`, "--endpoints", endpoints]))
    const partial = Effect.map(files.readDirectory(folder), (names) =>
      names.some((name) => name.includes(".partial-")))
    yield* eventually("a part of the backup", partial)
    yield* node.stop("SIGKILL")
    const ended = yield* Fiber.join(backup)
    assert.strictEqual(ended.code, 1, ended.err)
    assert.match(ended.err, /^flaredb: /m)
    assert.deepStrictEqual(yield* files.readDirectory(folder), [])
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
