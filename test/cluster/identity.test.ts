/**
 * Clients of a cluster that is gone while another one answers at its endpoints: wiped and made again under the same name, or
 * restored from a backup. Nothing that they hold means anything there, and they learn that at once.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Option, Stream } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Leases } from "../../src/client/Lease.ts"
import { Locks } from "../../src/client/Lock.ts"
import type { WatchNotice } from "../../src/client/WatchNotice.ts"
import { Watch } from "../../src/client/Watch.ts"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { report } from "./Figures.ts"
import { run } from "./Flaredb.ts"

/** The deadline of the old clients' calls, in milliseconds: nothing below may wait that long. */
const deadlineMs = 120_000

const tagOf = (value: unknown): string =>
  typeof value === "object" && value !== null && "_tag" in value ? String(value._tag) : typeof value

/**
 * A client with all that a client may hold, while its nodes are replaced by `replace`. Gives how each of its parts ended, and
 * how long that took after a client of the new cluster was served.
 */
const outlive = <E, R>(cluster: Cluster.Cluster, replace: Effect.Effect<void, E, R>) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const leases = yield* Leases
    const locks = yield* Locks
    const watch = yield* Watch
    for (let i = 1; i <= 50; i++) yield* kv.put(`key/${i}`, String(i))
    const notices: Array<WatchNotice> = []
    const watching = yield* Effect.forkChild(
      Stream.runForEach(
        watch.notices({ prefix: "" }, { fromRevision: 1, progressMs: 500 }),
        (notice) => Effect.sync(() => notices.push(notice))
      )
    )
    const mirroring = yield* Effect.forkChild(
      Stream.runDrain(watch.mirror("key/", { progressMs: 500 }))
    )
    const lease = yield* leases.scoped(90_000)
    // Its keep-alives come often enough to be tried once the new cluster is there.
    const lock = yield* locks.acquire("only-one", { ttlMs: 30_000 })
    yield* eventually("the watch is told of all keys", () => notices.some((notice) => notice.revision >= 50))

    yield* replace
    const told = notices.length
    yield* Effect.flatMap(KeyValue, (fresh) =>
      Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], (i) => fresh.put(`new/${i}`, "new"))).pipe(
        Effect.provide(Cluster.client(cluster))
      )
    const start = performance.now()
    const tookMs: Array<number> = []
    // Longer than that is "it waits", whatever the machine does, and far less than their deadline.
    const end = <A, E2>(call: Effect.Effect<A, E2>) =>
      Effect.map(
        Effect.timeoutOption(
          Effect.match(call, {
            onFailure: tagOf,
            onSuccess: () =>
              "succeeds"
          }),
          40_000
        ),
        (outcome) => {
          tookMs.push(performance.now() - start)
          return Option.getOrElse(outcome, () => "waits")
        }
      )
    const ends = yield* Effect.all({
      read: end(kv.get("key/1")),
      write: end(kv.put("key/1", "lost")),
      keepAlive: end(leases.keepAlive(lease.id)),
      watch: end(Fiber.join(watching)),
      mirror: end(Fiber.join(mirroring)),
      lock: end(lock.lost)
    }, { concurrency: "unbounded" })
    const claimed = notices.slice(told).filter(({ _tag }) => _tag === "Progress").length
    return { ends, claimed, tookMs }
  }).pipe(Effect.provide(Cluster.client(cluster, deadlineMs)))

const atOnce = {
  read: "WrongCluster",
  write: "WrongCluster",
  keepAlive: "WrongCluster",
  watch: "WrongCluster",
  mirror: "WrongCluster",
  lock: "LeaseLost"
}

it.live(
  "a cluster that is wiped and made again under the same name is another one: old clients learn it at once, and a node that " +
    "kept the directory of the earlier one is refused by name and takes nothing of the new one",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      const left = cluster.node(3)
      const kept = `${left.dataDir}-kept`
      const identityOf = Effect.map(
        cluster.until((all) => all.length === 3 && all.every(({ identity }) => identity !== null)),
        (all) => String(all[0]?.identity)
      ).pipe(Effect.provide(Cluster.client(cluster)))
      const oldIdentity = yield* identityOf
      const wipe = Effect.gen(function*() {
        for (const node of cluster.nodes) yield* node.stop("SIGKILL")
        yield* files.rename(left.dataDir, kept)
        for (const node of [cluster.node(1), cluster.node(2)]) yield* files.remove(node.dataDir, { recursive: true })
        yield* Cluster.start(cluster)
      })
      const { claimed, ends, tookMs } = yield* outlive(cluster, wipe)
      assert.deepStrictEqual(ends, atOnce)
      assert.strictEqual(claimed, 0, "no progress is claimed that the cluster has not reached")
      report("a part of an old client fails after the cluster was made again", tookMs)

      const identity = yield* identityOf
      assert.notStrictEqual(identity, oldIdentity)
      yield* left.stop("SIGKILL")
      yield* files.remove(left.dataDir, { recursive: true })
      yield* files.rename(kept, left.dataDir)
      const seen = left.kept.end
      yield* left.start
      const refused = () => left.kept.since(seen).find((line) => line.includes("cluster-identity"))
      yield* eventually("the node of the earlier cluster is refused", () => refused() !== undefined)
      const line = refused() as string
      for (const part of [identity, oldIdentity, "move its directory away"]) assert.include(line, part)
      yield* Effect.flatMap(KeyValue, (kv) =>
        Effect.forEach(Array.from({ length: 20 }), (_, i) => kv.put(`new/after/${i}`, "1"))).pipe(
          Effect.provide(Cluster.client(cluster))
        )
      yield* left.stop("SIGTERM")
      const inspected = yield* run(["inspect", left.dataDir, "--json", "--entries", "200"])
      assert.strictEqual(JSON.parse(inspected.out.split("\n")[0] ?? "").identity, oldIdentity)
      assert.include(inspected.out, "key/50")
      assert.notMatch(inspected.out, /new\//)
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)

it.live(
  "a cluster that was restored under another name on the same ports is another one, and old clients learn it at once",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-identity-" })
      const file = `${folder}/state.flaredb`
      const cluster = yield* Cluster.make(1)
      yield* Cluster.start(cluster)
      const restore = Effect.gen(function*() {
        const taken = yield* run(["backup", file, "--endpoints", cluster.endpointList])
        assert.strictEqual(taken.code, 0, taken.err)
        const nodes = formatNodes(cluster.nodes.map(({ address }) => address))
        for (const node of cluster.nodes) {
          yield* node.stop("SIGKILL")
          yield* files.remove(node.dataDir, { recursive: true })
          const args = ["restore", file, "--node-id", String(node.id), "--nodes", nodes, "--data-dir", node.dataDir]
          const made = yield* run([...args, "--cluster-id", "restored"])
          assert.strictEqual(made.code, 0, made.err)
          node.clusterId = "restored"
        }
        yield* Cluster.start(cluster)
      })
      const { claimed, ends, tookMs } = yield* outlive(cluster, restore)
      assert.deepStrictEqual(ends, atOnce)
      assert.strictEqual(claimed, 0, "no progress is claimed in another history")
      report("a part of an old client fails after the cluster was restored", tookMs)
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)
