/** A new cluster begins when all three nodes have answered, and whoever looks is told which one is missing. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { run } from "./Flaredb.ts"

const page = (address: { readonly host: string; readonly httpPort: number }, path: string) =>
  Effect.promise(async () => {
    const response = await fetch(`http://${address.host}:${address.httpPort}${path}`)
    return { status: response.status, text: await response.text() }
  })

it.live("two of three new nodes say everywhere that they wait for the third, and begin with it", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    const [one, two, three] = cluster.nodes
    if (one === undefined || two === undefined || three === undefined) throw new Error("three nodes")
    yield* one.start
    yield* two.start
    const { host, peerPort } = three.address
    const says = new RegExp(
      `waiting for node 3 \\(${host}:${peerPort}: no process listens there \\(ECONNREFUSED\\)\\): ` +
        "a new cluster begins when all 3 nodes have answered"
    )
    const heard = Effect.provide(
      cluster.until((reports) => reports.length === 2 && reports.every(({ waiting }) => says.test(waiting ?? ""))),
      Cluster.client(cluster)
    )
    yield* heard

    // The log, without being asked.
    for (const node of [one, two]) {
      yield* eventually("a log line of whom it waits for", () => node.log.some((line) => says.test(line)))
    }
    // Probes, people and machines that look at a node.
    const ready = yield* page(one.address, "/readyz")
    assert.strictEqual(ready.status, 503)
    assert.match(ready.text, says)
    assert.match((yield* page(one.address, "/plain")).text, says)
    const { waiting } = JSON.parse((yield* page(one.address, "/status")).text)
    assert.deepInclude(waiting, { kind: "nodes", nodes: [3] })
    assert.match((yield* page(one.address, "/metrics")).text, /flaredb_node_waiting\{for="nodes"\} 1/)
    // The command line.
    const status = yield* run(["status", "--endpoints", cluster.endpointList])
    assert.match(status.out, new RegExp(`^node 1: ${says.source}`, "m"))
    assert.match(status.err, new RegExp(`the cluster has not begun: ${says.source}`))
    // The command line and a client, each with time for an answer on a busy machine.
    const [put, denied] = yield* Effect.all([
      run(["put", "a", "1", "--timeout", "5s", "--endpoints", cluster.endpointList]),
      Effect.flip(Effect.flatMap(KeyValue, (kv) => kv.put("a", "1", { timeoutMs: 5_000 }))).pipe(
        Effect.provide(Cluster.client(cluster))
      )
    ], { concurrency: 2 })
    assert.strictEqual(put.code, 1)
    assert.match(put.err, says)
    assert.notMatch(put.err, /majority of the nodes running/)
    assert.strictEqual(denied._tag, "Unavailable")
    assert.match(denied.message, says)

    yield* three.start
    const begun = Effect.gen(function*() {
      yield* Effect.flatMap(KeyValue, (kv) => kv.put("a", "1"))
      yield* cluster.until((reports) => reports.length === 3 && reports.every((report) => report.waiting === null))
      const { status: all } = yield* ClusterAdmin
      assert.lengthOf(yield* all, 3)
    })
    yield* Effect.provide(begun, Cluster.client(cluster))
    for (const node of [one, two]) {
      yield* eventually("the line of the end", () => node.log.some((line) => line.includes("waits no longer")))
    }
    assert.strictEqual((yield* page(one.address, "/readyz")).status, 200)
    assert.match((yield* page(one.address, "/metrics")).text, /flaredb_node_waiting\{for="nodes"\} 0/)

    // Without a majority the one that is left names the others.
    yield* two.stop("SIGKILL")
    yield* three.stop("SIGKILL")
    const lone = /waiting for node 2 \(.*ECONNREFUSED.*\) and node 3 \(.*ECONNREFUSED.*\): 2 of 3 nodes elect a leader/
    yield* Effect.provide(
      cluster.until((reports) => reports.some((report) => lone.test(report.waiting ?? ""))),
      Cluster.client(cluster)
    )
    yield* eventually("a log line of whom it waits for", () => one.log.some((line) => lone.test(line)))
    assert.match((yield* page(one.address, "/readyz")).text, lone)
  }).pipe(Effect.provide(NodeServices.layer)))
