/** `flaredb cluster` and the signals that would end a process at once: its node has ended before it does. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { freePorts } from "./FreePorts.ts"

it.live.each(["SIGHUP", "SIGQUIT"] as const)(
  "%s ends the nodes of flaredb cluster before it ends",
  (signal) =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-signals-" })
      const nodes = `1=127.0.0.1:${(yield* freePorts(3)).join(":")}`
      const args = [launcher, "cluster", "--nodes", nodes, "--data-dir", folder]
      const handle = yield* ChildProcess.make(process.execPath, args, {
        env: cleanEnv({}),
        extendEnv: true,
        stdin: "ignore",
        forceKillAfter: "15 seconds"
      })
      const ready = yield* Deferred.make<void>()
      let printed = ""
      yield* Effect.forkScoped(
        Effect.ignore(Stream.runForEach(Stream.decodeText(handle.all), (text) => {
          printed += text
          return printed.includes("Ctrl-C ends all nodes") ? Deferred.succeed(ready, undefined) : Effect.void
        }))
      )
      yield* Deferred.await(ready)
      process.kill(handle.pid, signal)
      const ended = yield* Effect.exit(handle.exitCode)
      assert.strictEqual(Exit.isSuccess(ended) ? Number(ended.value) : "a signal", 0)
      const left = yield* run(["inspect", `${folder}/node-1`])
      assert.strictEqual(left.code, 0, left.err)
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)
