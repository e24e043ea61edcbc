/** A node that is stopped in good order: it hands leadership over first. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as Cluster from "./Cluster.ts"

/** Longer than a node takes to stop: who leads when it is gone was not elected after a timeout. */
const settings = { FLAREDB_ELECTION_TIMEOUT_MIN_MS: "6000", FLAREDB_ELECTION_TIMEOUT_MAX_MS: "7000" }

it.live("another node leads when a leader that was stopped has ended", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3, undefined, settings)
    yield* Cluster.start(cluster)
    const check = Effect.gen(function*() {
      const old = yield* cluster.leader
      yield* Effect.flatMap(KeyValue, (kv) => kv.put("a", "1"))
      assert.strictEqual(yield* old.stop("SIGTERM"), 0)
      const answers = yield* Effect.flatMap(ClusterAdmin, ({ status }) => status)
      const reports = answers.flatMap(({ report }) => report === undefined ? [] : [report])
      assert.strictEqual(reports.length, 2)
      assert.deepStrictEqual(reports.filter(({ role }) => role === "leader").map(({ nodeId }) => nodeId === old.id), [
        false
      ])
    })
    yield* Effect.provide(check, Cluster.client(cluster))
  }).pipe(Effect.provide(NodeServices.layer)))
