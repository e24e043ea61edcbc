/** A cluster of one: boots on an empty directory, commits, and restarts with everything there. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"
import { report } from "./Figures.ts"

it.live("a single node commits at once, and keeps log, term and data through kill -9 and restart", () =>
  Effect.gen(function*() {
    const durations: Array<number> = []
    for (let round = 0; round < 3; round++) {
      yield* Effect.scoped(Effect.gen(function*() {
        const cluster = yield* Cluster.make(1)
        const [node] = cluster.nodes
        if (node === undefined) throw new Error("a cluster of one has a node")
        const begin = performance.now()
        yield* node.start
        yield* Effect.provide(
          Effect.gen(function*() {
            const kv = yield* KeyValue
            yield* kv.put("first", "write")
            durations.push(performance.now() - begin)
            const [before] = yield* cluster.until((all) => all.length === 1)
            yield* node.stop("SIGKILL")
            yield* node.start
            assert.isTrue(Option.exists(yield* kv.get("first"), ({ text }) => text === "write"))
            const [after] = yield* cluster.until((all) => all.some(({ role }) => role === "leader"))
            assert.isAbove(after?.term ?? 0, before?.term ?? 0, "the term it led before was not forgotten")
            assert.deepStrictEqual(after?.voters, [1])
            assert.strictEqual((yield* kv.put("second", "write")).revision, 2)
          }),
          Cluster.client(cluster)
        )
      }))
    }
    report("single-node commit, from the start of the process", durations)
  }).pipe(Effect.provide(NodeServices.layer)))
