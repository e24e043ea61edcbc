/** Nodes whose directories are removed, or cannot be written, while they run: they stop, and nothing acknowledged is lost. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import { removeLive } from "../LiveDirectory.ts"
import * as Cluster from "./Cluster.ts"
import { rest } from "./Rest.ts"

/** Puts one key after the other, for ever; `acknowledged` has those that succeeded. */
const writer = Effect.fnUntraced(function*(name: string, acknowledged: Array<string>) {
  const kv = yield* KeyValue
  for (let i = 0;; i++) {
    const key = `${name}/${i}`
    const outcome = yield* Effect.result(kv.put(key, key))
    if (outcome._tag === "Success") acknowledged.push(key)
    yield* rest
  }
})

it.live("a leader whose directory is removed stops, twice in a row, and nothing acknowledged is lost", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const check = Effect.gen(function*() {
      const acknowledged: Array<string> = []
      const more = (count: number) => {
        const goal = acknowledged.length + count
        return eventually(`${goal} writes`, () => acknowledged.length >= goal)
      }
      const writing = yield* Effect.forEach(
        [1, 2, 3, 4],
        (name) => Effect.forkChild(writer(`writer-${name}`, acknowledged))
      )
      for (let round = 0; round < 2; round++) {
        yield* more(100)
        const leader = yield* cluster.leader
        removeLive(leader.dataDir)
        assert.strictEqual(yield* leader.ended, 1)
        const fatal = leader.log.filter((line) => /the node stops serving/.test(line))
        assert.lengthOf(fatal, 1)
        assert.match(
          fatal[0] as string,
          /was removed, moved or replaced while the node runs.*lost-node\.md.*"level":"FATAL"/
        )
        // The others go on, and the node comes back with an empty directory.
        yield* more(100)
        yield* leader.start
        yield* cluster.until((reports) =>
          reports.length === 3 && reports.every(({ membership }) => membership === "voter")
        )
      }
      for (const fiber of writing) yield* Fiber.interrupt(fiber)
      const kv = yield* KeyValue
      const lost: Array<string> = []
      for (const key of acknowledged) {
        if (Option.isNone(yield* kv.get(key))) lost.push(key)
      }
      assert.deepStrictEqual(lost, [])
    })
    yield* Effect.provide(check, Cluster.client(cluster))
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("a node that cannot write its durable floor ends with the reason, whether it runs or is asked to stop", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(1)
    const [node] = cluster.nodes
    if (node === undefined) throw new Error("a cluster of one has a node")
    const put = Effect.provide(
      Effect.flatMap(KeyValue, (kv) => kv.put("a", "1")),
      Cluster.client(cluster)
    )
    const obstacle = join(node.dataDir, "durable-floor.next")
    const reason = /write the durable floor failed in .*EISDIR.*"level":"FATAL"/

    yield* node.start
    mkdirSync(obstacle)
    yield* put
    assert.strictEqual(yield* node.ended, 1)
    assert.match(node.log.join("\n"), reason)

    rmSync(obstacle, { recursive: true })
    node.kept.clear()
    yield* node.start
    mkdirSync(obstacle)
    yield* put
    assert.strictEqual(yield* node.stop("SIGTERM"), 1)
    assert.match(node.log.join("\n"), reason)
  }).pipe(Effect.provide(NodeServices.layer)))
