/** What the README and the examples show runs against a real cluster, as it stands there. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as Cluster from "./Cluster.ts"
import { cleanEnv } from "./Flaredb.ts"

const runProgram = Effect.fnUntraced(function*(path: string, endpoints: string) {
  const handle = yield* ChildProcess.make(process.execPath, [path], {
    env: cleanEnv({ FLAREDB_ENDPOINTS: endpoints }),
    extendEnv: true,
    stdin: "ignore"
  })
  const out = yield* Stream.mkString(Stream.decodeText(handle.stdout))
  assert.strictEqual(Number(yield* handle.exitCode), 0)
  return out
}, Effect.scoped)

it.live("two runs of the example service see the same flag", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    assert.strictEqual(yield* runProgram("examples/feature-flags.ts", cluster.endpointList), "dark-mode is on\n")
    assert.strictEqual(yield* runProgram("examples/feature-flags.ts", cluster.endpointList), "dark-mode is off\n")
  }).pipe(Effect.provide(NodeServices.layer)))

it.live("the program in the README runs", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const readme = yield* files.readFileString("README.md")
    const program = /```ts\n([\s\S]*?)```/.exec(readme)?.[1]
    if (program === undefined) throw new Error("the README shows no program")
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    // The README's program uses the local cluster, whose ports a test does not take.
    const here = program.replace("endpoints: localEndpoints", `endpoints: ${JSON.stringify(cluster.endpoints)}`)
    assert.notStrictEqual(here, program)
    // Inside the package, so that it finds `flaredb/client` as a user's program would.
    const folder = yield* files.makeTempDirectoryScoped({ directory: "examples", prefix: "readme-" })
    yield* files.writeFileString(`${folder}/program.ts`, here)
    assert.match(yield* runProgram(`${folder}/program.ts`, cluster.endpointList), /paid/)
  }).pipe(Effect.provide(NodeServices.layer)))
