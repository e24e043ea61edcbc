/** The example service of the README runs against a real cluster, as it stands in the repository. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as Cluster from "./Cluster.ts"
import { cleanEnv } from "./Flaredb.ts"

const runExample = Effect.fnUntraced(function*(endpoints: string) {
  const handle = yield* ChildProcess.make(process.execPath, ["examples/feature-flags.ts"], {
    env: cleanEnv({ FLAREDB_ENDPOINTS: endpoints }),
    extendEnv: true,
    stdin: "ignore"
  })
  const out = yield* Stream.mkString(Stream.decodeText(handle.stdout))
  assert.strictEqual(Number(yield* handle.exitCode), 0)
  return out
}, Effect.scoped)

it.live("two runs of the example see the same flag", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    assert.strictEqual(yield* runExample(cluster.endpointList), "dark-mode is on\n")
    assert.strictEqual(yield* runExample(cluster.endpointList), "dark-mode is off\n")
  }).pipe(Effect.provide(NodeServices.layer)))
