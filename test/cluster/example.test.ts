/** What the README and the examples show runs against a real cluster, as it stands there. */
import { assert } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { eventually } from "../Eventually.ts"
import { cleanEnv } from "./Flaredb.ts"
import { tableEntries } from "./Metrics.ts"
import { onShared, SharedCluster } from "./SharedCluster.ts"

const start = (path: string, endpoints: string) =>
  ChildProcess.make(process.execPath, [path], {
    env: cleanEnv({ FLAREDB_ENDPOINTS: endpoints }),
    extendEnv: true,
    stdin: "ignore"
  })

const runProgram = Effect.fnUntraced(function*(path: string, endpoints: string) {
  const handle = yield* start(path, endpoints)
  const out = yield* Stream.mkString(Stream.decodeText(handle.stdout))
  assert.strictEqual(Number(yield* handle.exitCode), 0)
  return out
}, Effect.scoped)

onShared("programs on three nodes", 3, (live) => {
  live(
    "two runs of the example service see the same flag",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      assert.strictEqual(yield* runProgram("examples/feature-flags.ts", cluster.endpointList), "dark-mode is on\n")
      assert.strictEqual(yield* runProgram("examples/feature-flags.ts", cluster.endpointList), "dark-mode is off\n")
    })
  )

  live(
    "the programs in the README run",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const files = yield* FileSystem.FileSystem
      const readme = yield* files.readFileString("README.md")
      // The README's programs use the local cluster, whose ports a test does not take.
      const programs = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, text = ""]) => text)
        .filter((text) => text.includes("endpoints: localEndpoints"))
      assert.strictEqual(programs.length, 3)
      // Inside the package, so that they find `flaredb/client` as a user's program would, and not among what is packed.
      const folder = yield* files.makeTempDirectoryScoped({ directory: "test", prefix: "readme-" })
      const [put = "", watch = "", all = ""] = yield* Effect.forEach(programs, (program, i) => {
        const here = program.replace("endpoints: localEndpoints", `endpoints: ${JSON.stringify(cluster.endpoints)}`)
        const path = `${folder}/program-${i}.ts`
        return Effect.as(files.writeFileString(path, here), path)
      })
      // It watches until it is stopped, and from the moment on at which it has connected.
      const watching = yield* start(watch, cluster.endpointList)
      let seen = ""
      yield* Effect.forkScoped(
        Stream.runForEach(Stream.decodeText(watching.stdout), (text) => Effect.sync(() => void (seen += text)))
      )
      const watches = Effect.forEach(cluster.nodes, (node) => tableEntries(node, "watches"))
      yield* eventually("a node has the watch", Effect.map(watches, (all) => all.some((entries) => entries > 0)))
      assert.match(yield* runProgram(put, cluster.endpointList), /paid/)
      yield* eventually("the watch tells of the put", () => seen.includes("Put orders/17"))
      assert.match(yield* runProgram(all, cluster.endpointList), /created[\s\S]*3 orders/)
    })
  )
})
