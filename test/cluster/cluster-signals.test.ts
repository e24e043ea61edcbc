/**
 * `flaredb cluster` and the signals that would end a process at once: its node has ended before it does. And nodes that
 * end, or do not end, while it waits for them.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { eventually } from "../Eventually.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

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

it.live(
  "nodes that end before there is a leader are told of, and one that does not stop is killed",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-leaderless-" })
      const ports = yield* freePorts(9)
      const nodes = formatNodes([1, 2, 3].map((id) => {
        const [clientPort = 0, peerPort = 0, httpPort = 0] = ports.slice(3 * id - 3)
        return { id, host: "127.0.0.1", clientPort, peerPort, httpPort }
      }))
      const handle = yield* ChildProcess.make(
        process.execPath,
        [launcher, "cluster", "--nodes", nodes, "--data-dir", folder],
        {
          // None campaigns while this test lasts.
          env: cleanEnv({ FLAREDB_ELECTION_TIMEOUT_MIN_MS: "500000", FLAREDB_ELECTION_TIMEOUT_MAX_MS: "600000" }),
          extendEnv: true,
          stdin: "ignore",
          forceKillAfter: "1 minute"
        }
      )
      let said = ""
      yield* Effect.forkScoped(
        Effect.ignore(Stream.runForEach(Stream.decodeText(handle.all), (text) =>
          Effect.sync(() => {
            said += text
          })))
      )
      const logOf = (id: number) => `${folder}/node-${id}.log`
      yield* eventually("all nodes serve", () =>
        [1, 2, 3].every((id) => existsSync(logOf(id)) && readFileSync(logOf(id), "utf8").includes("HTTP is served")))
      // One that answers has gone on behind what it logs, to the line that says it is ready.
      yield* Effect.promise(() =>
        Promise.all([1, 2, 3].map(async (id) =>
          (await fetch(`http://127.0.0.1:${ports[3 * id - 1]}/metrics`)).text()
        ))
      )
      const [stuck = 0, ...others] = execFileSync("pgrep", ["-P", String(handle.pid)], { encoding: "utf8" })
        .trim().split("\n").map(Number)
      for (const pid of others) process.kill(pid, "SIGKILL")
      yield* eventually("the command has told of them", () => said.includes("one node is left"))
      assert.match(said, /^(?:flaredb: node \d ended with a signal; its log is .*\n){2}flaredb: one node is left;.*\n$/)

      process.kill(stuck, "SIGSTOP")
      process.kill(handle.pid, "SIGTERM")
      const ended = yield* Effect.exit(handle.exitCode)
      assert.strictEqual(Exit.isSuccess(ended) ? Number(ended.value) : "a signal", 0, said)
      assert.isFalse(existsSync(`/proc/${stuck}`), "the stuck node is gone")
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)
