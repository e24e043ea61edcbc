/** Wrong configuration and wrong directories are refused before anything is served, with a line that says what to do. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Cluster from "./Cluster.ts"
import { run } from "./Flaredb.ts"

const startWith = (node: Cluster.ClusterNode, env: Readonly<Record<string, string>>) =>
  run(["start"], { env: { ...node.env, ...env } })

/** The last line: what comes before it is the log. */
const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? ""

it.live("a directory of another node, cluster or voter set, one in use, and ports in use are refused", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    const [one, two] = cluster.nodes
    if (one === undefined || two === undefined) throw new Error("a cluster of three has two nodes")
    yield* one.start

    const locked = yield* startWith(two, {
      FLAREDB_DATA_DIR: one.dataDir,
      FLAREDB_NODE_ID: "1",
      FLAREDB_NODES: two.env["FLAREDB_NODES"] ?? ""
    })
    assert.strictEqual(locked.code, 1)
    assert.match(lastLine(locked.err), /locked|in use/)

    const port = yield* startWith(one, { FLAREDB_DATA_DIR: `${one.dataDir}-other` })
    assert.strictEqual(port.code, 1)
    assert.match(
      lastLine(port.err),
      /address 127\.0\.0\.1:\d+ is in use; stop the process that holds it, or give this node another/
    )

    assert.strictEqual(yield* one.stop("SIGTERM"), 0)
    const node = yield* startWith(two, { FLAREDB_DATA_DIR: one.dataDir })
    assert.strictEqual(node.code, 1)
    assert.match(lastLine(node.err), /refused to open .*node-1 \(node-id\): expected .*2.*, found .*1/)

    const other = yield* startWith(one, { FLAREDB_CLUSTER_ID: "other" })
    assert.strictEqual(other.code, 1)
    assert.match(lastLine(other.err), /\(cluster-id\): expected .*other.*, found .*test/)

    const alone = yield* startWith(one, { FLAREDB_NODES: (one.env["FLAREDB_NODES"] ?? "").split(",")[0] ?? "" })
    assert.strictEqual(alone.code, 1)
    assert.match(lastLine(alone.err), /\(voters\): expected .*1.*, found .*1, ?2, ?3/)

    const file = yield* startWith(one, { FLAREDB_DATA_DIR: "package.json" })
    assert.strictEqual(file.code, 1)
    assert.match(lastLine(file.err), /package\.json/)
  }).pipe(Effect.provide(NodeServices.layer)))
