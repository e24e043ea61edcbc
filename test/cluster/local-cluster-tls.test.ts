/** `flaredb cluster --tls`: one command to a cluster with certificates, and the client lines that it prints work. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

it.live("starts with certificates and prints client lines that work", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-local-tls-" })
    const ports = yield* freePorts(9)
    const nodes = formatNodes([0, 3, 6].map((first, i) => {
      const [clientPort = 0, peerPort = 0, httpPort = 0] = ports.slice(first)
      return { id: i + 1, host: "127.0.0.1", clientPort, peerPort, httpPort }
    }))
    const args = [launcher, "cluster", "--tls", "--nodes", nodes, "--data-dir", folder]
    const handle = yield* ChildProcess.make(process.execPath, args, {
      // What is meant for clients must not reach the nodes.
      env: cleanEnv({ FLAREDB_CERTS_DIR: "/nowhere", FLAREDB_TOKEN: "fdb_of_client" }),
      extendEnv: true,
      stdin: "ignore",
      forceKillAfter: "15 seconds"
    })
    const ready = yield* Deferred.make<string>()
    let printed = ""
    yield* Effect.forkScoped(
      Effect.ignore(Stream.runForEach(Stream.decodeText(handle.all), (text) => {
        printed += text
        return printed.includes("Ctrl-C ends all nodes") ? Deferred.succeed(ready, printed) : Effect.void
      }))
    )
    const banner = yield* Deferred.await(ready)
    assert.include(banner, "https://127.0.0.1:")
    const lines = [...banner.matchAll(/^ {2}npx flaredb (put|get|status) (.*)$/gm)]
    assert.deepStrictEqual(lines.map(([, verb]) => verb), ["put", "get", "status"])
    const outputs = yield* Effect.forEach(lines, ([, verb = "", rest = ""]) => {
      const words = [...rest.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? "")
      return Effect.map(run([verb, ...words]), ({ code, err, out }) => {
        assert.deepStrictEqual([code, err], [0, ""], verb)
        return out
      })
    })
    assert.strictEqual(outputs[1], "hello, world\n")
    assert.match(outputs[2] ?? "", /leader/)
    process.kill(handle.pid, "SIGTERM")
    assert.strictEqual(Number(yield* handle.exitCode), 0)
  }).pipe(Effect.provide(NodeServices.layer)))
