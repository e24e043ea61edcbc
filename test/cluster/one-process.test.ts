/** Whoever starts a node knows its process: when that is gone, however it ended, nothing serves any more. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { readFileSync } from "node:fs"
import { createConnection } from "node:net"
import { processSettings } from "../../src/cli/launch/ProcessSettings.ts"
import { eventually } from "../Eventually.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

/** None of the settings that a node's process needs: what a user has who types the command. */
const plainEnv = {
  ...cleanEnv({}),
  ...Object.fromEntries(Object.keys(processSettings({})).map((name) => [name, undefined]))
}

const refused = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = createConnection({ host: "127.0.0.1", port })
    socket.once("connect", () => resume(Effect.succeed(false)))
    socket.once("error", () => resume(Effect.succeed(true)))
    return Effect.sync(() => socket.destroy())
  })

/** As on a Node that cannot replace its process. */
const withoutExecve = `--import=data:text/javascript,${encodeURIComponent("process.execve = undefined")}`

it.live.each([
  { how: "in place of the process that was started", options: [], children: 0 },
  { how: "in a child, where Node cannot replace its process", options: [withoutExecve], children: 1 }
])("kill -9 of flaredb start leaves no node behind: $how", ({ children, options }) =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const dataDir = `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-process-" })}/node`
    const ports = yield* freePorts(3)
    const args = ["start", "--node-id", "1", "--nodes", `1=127.0.0.1:${ports.join(":")}`, "--data-dir", dataDir]
    const handle = yield* ChildProcess.make(process.execPath, [...options, launcher, ...args], {
      env: plainEnv,
      extendEnv: true,
      stdin: "ignore",
      stderr: "ignore"
    })
    const ready = yield* Deferred.make<string>()
    yield* Effect.forkScoped(
      handle.stdout.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        Stream.runForEach((line) => Deferred.succeed(ready, line)),
        Effect.ignore
      )
    )
    assert.match(yield* Deferred.await(ready), /^READY /)
    if (process.platform === "linux") {
      const started = readFileSync(`/proc/${handle.pid}/task/${handle.pid}/children`, "utf8").trim().split(" ")
      assert.lengthOf(started.filter((pid) => pid !== ""), children)
    }
    process.kill(handle.pid, "SIGKILL")
    yield* Effect.forEach(ports, (port) => eventually(`nobody listens on port ${port}`, refused(port)))
    yield* eventually(
      "nothing has the data directory open",
      Effect.map(run(["inspect", dataDir]), ({ code }) => code === 0)
    )
  }).pipe(Effect.provide(NodeServices.layer)))
