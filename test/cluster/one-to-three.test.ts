/** `docs/membership.md`: a cluster of one does not become one of three, and how three are made from what it holds. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem, Option } from "effect"
import { readFileSync } from "node:fs"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import * as Cluster from "./Cluster.ts"
import { run } from "./Flaredb.ts"

/** The words of a command of the page, with what stands for the test's own folders and nodes. */
const commands = [...readFileSync("docs/membership.md", "utf8").matchAll(/^flaredb (.*)$/gm)]
  .map(([, words = ""]) => words.split(" "))

it.live("a cluster of one refuses two more, and its backup makes three", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-one-to-three-" })
    const one = yield* Cluster.make(1)
    const three = yield* Cluster.make(3)
    const nodes = formatNodes(three.nodes.map(({ address }) => address))
    const [single] = one.nodes
    if (single === undefined) return assert.fail("a cluster of one has a node")
    yield* single.start
    const { revision } = yield* Effect.provide(
      Effect.flatMap(KeyValue, (kv) => Effect.andThen(kv.put("a", "1"), kv.put("b", "2"))),
      Cluster.client(one)
    )
    yield* single.stop("SIGTERM")

    const refused = yield* run(["start", "--node-id", "1", "--data-dir", single.dataDir, "--nodes", nodes], {
      env: { FLAREDB_CLUSTER_ID: "test" }
    })
    assert.strictEqual(refused.code, 1)
    assert.match(
      refused.err,
      /refused to open .* \(voters\): expected voters 1, 2, 3, found voters 1\. Membership is fixed/
    )

    const perform = (verb: string, id: number) => {
      const words = commands.find(([first]) => first === verb) ?? assert.fail(`the page has no ${verb}`)
      const of: Readonly<Record<string, string>> = {
        "one.flaredb": `${folder}/one.flaredb`,
        "data/node-1": single.dataDir,
        "data/three-1": three.node(id).dataDir,
        "\"$NODES\"": nodes,
        "1": String(id)
      }
      return Effect.map(
        run(words.map((word) => of[word] ?? word), { env: { FLAREDB_ENDPOINTS: three.endpointList } }),
        (ran) => {
          assert.strictEqual(ran.code, 0, ran.err)
          return ran
        }
      )
    }
    yield* perform("backup", 1)
    for (const node of three.nodes) {
      yield* perform("restore", node.id)
      node.clusterId = "three"
    }
    yield* Cluster.start(three)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      assert.isTrue(
        Option.exists(yield* kv.get("b"), ({ modRevision, text }) => text === "2" && modRevision === revision)
      )
      assert.strictEqual((yield* kv.put("c", "3")).revision, revision + 1)
    }).pipe(Effect.provide(Cluster.client(three)))
    assert.match((yield* perform("verify", 1)).out, /(equal[\s\S]*){3}/)
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
