/** The metrics of real nodes: as Prometheus asks, and all that the rules and the dashboard ask for. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as FlareDb from "../../src/FlareDb.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import type { Selected } from "../processes/deploy/Dashboard.ts"
import {
  dashboard,
  expressionsOf,
  hasSelected,
  metricsIn,
  nodeRules,
  ofSchedules,
  panels,
  selectedIn
} from "../processes/deploy/Dashboard.ts"
import { promtool, promtoolMissing } from "../processes/deploy/Promtool.ts"
import * as Cluster from "./Cluster.ts"

/** Of nodes that ask callers who they are, or have certificates or an audit log; this cluster has none of these. */
const ofSecurity: ReadonlySet<string> = new Set([
  "flaredb_audit_dropped_total",
  "flaredb_certificate_expiry_seconds",
  "flaredb_tls_refused_total",
  "flaredb_unauthenticated_total",
  "flaredb_unauthorized_total"
])

const textOf = ({ address }: Cluster.ClusterNode, path = "/metrics") =>
  Effect.promise(async () => (await fetch(`http://127.0.0.1:${address.httpPort}${path}`)).text())

const namesIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name as string)

it.live("real nodes have every metric and label that the rules and the dashboard ask for, as Prometheus wants them", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const [follower] = yield* Effect.provide(cluster.followers, Cluster.client(cluster))
    const leader = cluster.nodes.find((node) => node !== follower)
    const write = Effect.flatMap(KeyValue, (kv) => Effect.andThen(kv.put("a", "1"), kv.get("a")))
    // A client that knows a follower alone is told who leads: an operation with an error.
    const asked = FlareDb.layerClient({ endpoints: [(follower as Cluster.ClusterNode).endpoint] })
    yield* Effect.provide(write, asked)
    yield* Effect.provide(write, Cluster.client(cluster))
    yield* textOf(leader as Cluster.ClusterNode, "/no-such-page")
    const wanted = [...metricsIn(`${nodeRules}\n${dashboard}`)]
      .filter((name) => !ofSchedules.has(name) && !ofSecurity.has(name))
    assert.isAbove(wanted.length, 40)
    const selected = selectedIn(`${nodeRules}\n${panels().flatMap(expressionsOf).join("\n")}`)
      .filter(({ metric }) => !ofSecurity.has(metric))
    assert.isAbove(selected.length, 3)
    const named = ({ label, metric, value = "…" }: Selected) => `${metric}{${label}="${value}"}`
    let missing: ReadonlyArray<string> = wanted
    yield* eventually(
      "the nodes have all of them together",
      Effect.map(Effect.forEach(cluster.nodes, (node) => textOf(node)), (texts) => {
        const found = new Set(texts.flatMap(namesIn))
        missing = [
          ...wanted.filter((name) => !found.has(name)),
          ...selected.filter((one) => !texts.some((text) => hasSelected(text, one))).map(named)
        ]
        return missing.length === 0
      })
    ).pipe(Effect.catchCause(() => Effect.die(new Error(`no node has ${missing.join(", ")}`))))

    if (promtoolMissing !== undefined) {
      process.stderr.write(`promtool check metrics is skipped: ${promtoolMissing}\n`)
      return
    }
    for (const node of cluster.nodes) {
      const check = promtool(["check", "metrics"], yield* textOf(node))
      assert.deepStrictEqual(check, { code: 0, text: "" })
    }
  }).pipe(Effect.provide(NodeServices.layer)))
