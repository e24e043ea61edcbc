/** `flaredb bench` on a cluster that is somebody's: it says at once what is wrong, and leaves nothing behind. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Schedule, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, utimesSync } from "node:fs"
import { join } from "node:path"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { removeLive } from "../LiveDirectory.ts"
import * as Cluster from "./Cluster.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"

const puts = ["--operations", "put", "--clients", "4", "--value-bytes", "64", "--heat-up", "0s"]
const short = [...puts, "--warm-up", "0s"]

const childrenOf = (pid: number, command: string): ReadonlyArray<number> => {
  try {
    return execFileSync("pgrep", ["-P", String(pid), "-f", command], { encoding: "utf8" })
      .trim().split("\n").map(Number)
  } catch {
    return []
  }
}

const loadsOf = (pid: number): ReadonlyArray<number> => childrenOf(pid, "bench-load")

const runs = (pid: number): boolean => {
  try {
    return !/^State:\s+[XZ]/m.test(execFileSync("cat", [`/proc/${pid}/status`], { encoding: "utf8", stdio: "pipe" }))
  } catch {
    return false
  }
}

const spaced = Schedule.spaced(50)

it.live(
  "bench says at once that nothing listens, and removes its keys and its processes however it ends",
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(1)
      const nodes = ["bench", "--nodes", formatNodes(cluster.nodes.map(({ address }) => address)), ...short]
      // Three times thirty seconds once; the bound leaves room for a busy machine.
      const refused = yield* Effect.timeoutOption(run(nodes), "25 seconds")
      assert.strictEqual(refused._tag, "Some", "it answers at once")
      if (refused._tag === "Some") {
        const { code, err, out } = refused.value
        assert.strictEqual(Number(code), 1, err)
        assert.strictEqual(out, "")
        assert.match(
          err,
          /^flaredb: unavailable: no node can be reached; 127\.0\.0\.1:\d+: no process listens there [^\n]+\n$/
        )
      }

      yield* Cluster.start(cluster)
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        // Keys that look like the bench's own are a user's all the same.
        const users = ["bench/0000000000", "flaredb-bench/", "flaredb-bench/mine/0000000001"]
        for (const key of users) yield* kv.put(key, "a user's")
        const left = Effect.map(kv.scan(""), ({ entries }) => entries.map(({ keyText }) => keyText))
        const started = (seconds: number) =>
          ChildProcess.make(process.execPath, [launcher, ...nodes, "--keys", "500", "--seconds", String(seconds)], {
            env: cleanEnv({}),
            extendEnv: true,
            stdin: "ignore",
            killSignal: "SIGKILL"
          })

        const whole = yield* run([...nodes, "--keys", "500", "--seconds", "1", "--json"])
        assert.strictEqual(JSON.parse(whole.out).keys, 500, whole.err)
        assert.strictEqual(whole.err, "")
        assert.deepStrictEqual(yield* left, users)

        for (const signal of ["SIGINT", "SIGHUP", "SIGKILL"] as const) {
          const bench = yield* started(60)
          const text = yield* Effect.forkScoped(Stream.mkString(Stream.decodeText(bench.stderr)))
          const loads = yield* Effect.repeat(Effect.sync(() => loadsOf(bench.pid)), {
            until: (pids) => pids.length === 1,
            schedule: spaced
          })
          process.kill(bench.pid, signal)
          const ended = yield* Effect.exit(bench.exitCode)
          yield* Effect.repeat(Effect.sync(() => loads.some(runs)), { until: (any) => !any, schedule: spaced })
          if (signal === "SIGKILL") continue
          assert.deepStrictEqual(yield* left, users, `${signal}: ${yield* Fiber.join(text)}`)
          assert.strictEqual(ended._tag === "Success" ? Number(ended.value) : undefined, 130)
        }
      }).pipe(Effect.provide(Cluster.client(cluster)))
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)

const killed = (pid: number | undefined): boolean => pid !== undefined && process.kill(pid, "SIGKILL")

/** What ends under a bench with nodes of its own, which is in `folder`, and what it says then. */
const ends: ReadonlyArray<{
  readonly what: string
  readonly args: ReadonlyArray<string>
  readonly end: (folder: string, pid: number) => boolean
  readonly says: RegExp
}> = [
  {
    what: "a node is killed while keys are written",
    args: ["--keys", "10000000", "--warm-up", "0s"],
    end: (_, pid) => killed(childrenOf(pid, "start --log-format").at(1)),
    says: /^flaredb: node \d of the cluster that was started to be measured ended with a signal\n$/
  },
  {
    what: "a node loses its directory while it is measured",
    args: ["--keys", "100", "--warm-up", "0s", "--seconds", "3600"],
    end: (folder, pid) => {
      const data = readdirSync(folder).find((name) => name.startsWith("flaredb-bench-"))
      if (data === undefined || loadsOf(pid).length === 0) return false
      removeLive(join(folder, data, "node-2"))
      return true
    },
    says: /^flaredb: node 2 of the cluster that was .* ended with exit code 1; it said: .*\/node-2.* was removed.*\n$/
  },
  {
    what: "a load is killed while it warms up",
    args: ["--keys", "100", "--warm-up", "1h"],
    end: (_, pid) => killed(loadsOf(pid).at(0)),
    says: /^flaredb: a process of the load ended early; what it said is above\n$/
  }
]

for (const { args, end, says, what } of ends) {
  it.live(
    `bench with nodes of its own says so when ${what}, and ends`,
    () =>
      Effect.gen(function*() {
        const folder = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
        const bench = yield* ChildProcess.make(process.execPath, [launcher, "bench", ...puts, ...args], {
          env: cleanEnv({ TMPDIR: folder }),
          extendEnv: true,
          stdin: "ignore"
        })
        const text = yield* Effect.forkScoped(Stream.mkString(Stream.decodeText(bench.stderr)))
        // It says what it measures once its nodes are ready.
        yield* Stream.runHead(bench.stdout)
        yield* Effect.repeat(Effect.sync(() => end(folder, bench.pid)), { until: (done) => done, schedule: spaced })
        // Nodes look for their files once a second.
        const code = yield* Effect.timeoutOption(bench.exitCode, "30 seconds")
        assert.strictEqual(code._tag, "Some", "it ends at once")
        if (code._tag === "Some") assert.strictEqual(Number(code.value), 1)
        assert.match(yield* Fiber.join(text), says)
        assert.deepStrictEqual(readdirSync(folder).filter((name) => name !== "node-compile-cache"), [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    120_000
  )
}

it.live(
  "bench that nobody reads any more stops its nodes and removes their folder, and that of a run that was killed",
  () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped()
      // What a run left that was killed.
      const killed = spawnSync("true").pid
      const left = join(folder, `flaredb-bench-${killed}-AbCdEf`)
      mkdirSync(join(left, "node-1"), { recursive: true })
      for (const path of [join(left, "node-1"), left]) utimesSync(path, 0, 0)
      const args = ["bench", ...short, "--keys", "100", "--seconds", "1", "--json"]
      const child = spawn(process.execPath, [launcher, ...args], {
        env: { ...process.env, ...cleanEnv({ TMPDIR: folder }) },
        stdio: ["ignore", "pipe", "ignore"]
      })
      child.stdout.destroy()
      const code = yield* Effect.callback<number | null>((resume) => {
        child.once("close", (exitCode) => resume(Effect.succeed(exitCode)))
        return Effect.sync(() => child.kill("SIGKILL"))
      })
      assert.strictEqual(code, 141)
      // Node keeps compiled code there, for the next process.
      const names = (yield* files.readDirectory(folder)).filter((name) => name !== "node-compile-cache")
      assert.deepStrictEqual(names, [])
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)
