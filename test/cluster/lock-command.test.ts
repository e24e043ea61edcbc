/**
 * `flaredb lock` and what it runs, as real processes: however it ends itself, its command and the children of that are
 * gone before the next holder begins.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Schedule, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/**
 * Ignores every signal that can be ignored, and has a child that does the same: both write their ids. Two dozen loop at
 * a time, so each starts a process once a second only.
 */
const stubborn = (file: string, first = ""): string =>
  `${first}trap '' HUP INT QUIT TERM; ` +
  `sh -c 'echo $$ >> ${file}; while :; do sleep 1; done' & ` +
  `echo $$ >> ${file}; while :; do sleep 1; done`

/** Says which of the processes in a file run, and then its own line. */
const next = (file: string): string =>
  `for p in $(cat ${file}); do grep -q '^State:.[^XZ]' /proc/$p/status 2>/dev/null && echo alive $p; done; echo next`

/** A command that runs under a lock, once it and its child have written their ids. */
const holding = Effect.fnUntraced(function*(cluster: Cluster.Cluster, name: string, ttlMs: number, first?: string) {
  const files = yield* FileSystem.FileSystem
  const file = `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-lock-" })}/pids`
  yield* files.writeFileString(file, "")
  const args = ["lock", name, "--ttl", `${ttlMs}ms`, "--", "sh", "-c", stubborn(file, first)]
  const handle = yield* ChildProcess.make(process.execPath, [launcher, ...args], {
    env: cleanEnv({ FLAREDB_ENDPOINTS: cluster.endpointList }),
    extendEnv: true,
    // A session of its own: no terminal of the developer decides what happens.
    detached: true,
    stdin: "ignore",
    killSignal: "SIGKILL"
  })
  const lines = yield* Deferred.make<string>()
  yield* Effect.forkScoped(
    Effect.flatMap(Stream.mkString(Stream.decodeText(handle.stderr)), (text) => Deferred.succeed(lines, text))
  )
  const pids = Effect.sync(() =>
    readFileSync(file, "utf8").trim().split("\n").filter((line) => line !== "").map(Number)
  )
  yield* Effect.repeat(pids, { until: (found) => found.length === 2, schedule: Schedule.spaced(10) })
  yield* Effect.addFinalizer(() =>
    Effect.map(pids, (all) => {
      for (const pid of all) {
        try {
          process.kill(pid, "SIGKILL")
        } catch {
          // It has ended, as it should.
        }
      }
    })
  )
  return { handle, file, err: Deferred.await(lines) }
})

/** Those that end the supervisor, and the one that leaves it there without doing anything. */
const ends = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGKILL", "SIGSTOP"] as const

/** The guard kills when a tenth of it is left: more than a busy machine's timers are late by. */
const outlivedTtlMs = 20_000

// Both wait for leases to run out, each with a cluster of its own.
describe.concurrent("leases", () => {
  it.live(
    "a signal to flaredb lock ends its command and the children of that before the next holder begins",
    () =>
      Effect.gen(function*() {
        const cluster = yield* Cluster.make(1)
        yield* Cluster.start(cluster)
        const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
        yield* Effect.forEach(ends, (signal) =>
          Effect.scoped(Effect.gen(function*() {
            const { file, handle } = yield* holding(cluster, signal, outlivedTtlMs)
            const waiting = yield* Effect.forkScoped(run(["lock", signal, "--", "sh", "-c", next(file)], { env }))
            process.kill(handle.pid, signal)
            const { code, out } = yield* Fiber.join(waiting)
            assert.deepStrictEqual({ signal, code, out }, { signal, code: 0, out: "next\n" })
          })), { concurrency: ends.length, discard: true })
      }).pipe(Effect.provide(NodeServices.layer)),
    300_000
  )

  it.live(
    "a command that is there before its supervisor goes on is gone before the next holder begins",
    () =>
      Effect.gen(function*() {
        const cluster = yield* Cluster.make(1)
        yield* Cluster.start(cluster)
        const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
        // Which of the two is first is the system's choice: of several, some commands are.
        const names = Array.from({ length: 6 }, (_, i) => `early-${i}`)
        yield* Effect.forEach(names, (name) =>
          Effect.scoped(Effect.gen(function*() {
            const { file } = yield* holding(cluster, name, outlivedTtlMs, "kill -STOP $PPID; ")
            const { code, out } = yield* run(["lock", name, "--", "sh", "-c", next(file)], { env })
            assert.deepStrictEqual({ name, code, out }, { name, code: 0, out: "next\n" })
          })), { concurrency: names.length, discard: true })
      }).pipe(Effect.provide(NodeServices.layer)),
    300_000
  )
})

it.live(
  "a lease that is confirmed no more ends the command before it can run out, and says so",
  () =>
    Effect.gen(function*() {
      // The command is gone after two thirds of it; the rest is for a busy machine.
      const ttlMs = 6_000
      const cluster = yield* Cluster.make(1)
      yield* Cluster.start(cluster)
      const node = cluster.node(1)
      const { err, file, handle } = yield* holding(cluster, "cut off", ttlMs)
      yield* node.pause
      const pausedMs = performance.now()
      const gone = Effect.sync(() => execFileSync("sh", ["-c", next(file)], { encoding: "utf8" }))
      yield* Effect.repeat(gone, { until: (out) => out === "next\n", schedule: Schedule.spaced(20) })
      const afterMs = performance.now() - pausedMs
      figure(
        `command gone ${afterMs.toFixed(0)} ms after the node stopped answering, ttl ${ttlMs} ms`
      )
      yield* node.resume
      assert.strictEqual(Number(yield* handle.exitCode), 1)
      assert.match(
        yield* err,
        /^flaredb: no keep-alive of the lock was answered for [\d.]+m?s; sh was stopped [\d.]+m?s after/
      )
      assert.isBelow(afterMs, ttlMs)
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)

it.live("exit codes are a shell's, waiting says for whom, and has an end", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
    const lock = (...args: ReadonlyArray<string>) => run(["lock", ...args], { env })
    assert.deepStrictEqual(yield* lock("job", "--", "sh", "-c", "kill -9 $$"), { code: 137, out: "", err: "" })
    assert.strictEqual((yield* lock("job", "--", "sh", "-c", "exit 5")).code, 5)
    const missing = yield* lock("job", "--", "no-such-program")
    assert.deepStrictEqual(missing, { code: 127, out: "", err: "flaredb: no-such-program: command not found\n" })
    const plain = yield* lock("job", "--", "/etc/passwd")
    assert.strictEqual(plain.code, 126, plain.err)
    assert.match(plain.err, /^flaredb: \/etc\/passwd cannot be run: /)

    const { handle } = yield* holding(cluster, "job", 10_000)
    const holder = `process ${handle.pid} on `
    const late = yield* lock("job", "--timeout", "500ms", "--", "true")
    assert.strictEqual(late.code, 1, late.err)
    const [waits, ends] = late.err.split("\n")
    assert.include(waits, `flaredb: waiting for the lock "job"; it is held by ${holder}`)
    assert.include(ends, `flaredb: the lock "job" was not free within 500ms; it is held by ${holder}`)
    const refused = yield* lock("job", "--no-wait", "--json", "--", "true")
    assert.strictEqual(refused.code, 1, refused.err)
    const { error } = JSON.parse(refused.err)
    assert.deepInclude(error, { tag: "Failed", exitCode: 1 })
    assert.include(error.message, `the lock "job" is held by ${holder}`)

    const waiting = yield* ChildProcess.make(process.execPath, [launcher, "lock", "job", "--", "echo", "mine"], {
      env: cleanEnv(env),
      extendEnv: true,
      stdin: "ignore"
    })
    const said = waiting.stderr.pipe(Stream.decodeText(), Stream.splitLines)
    const lines: Array<string> = []
    yield* Stream.runForEach(said, (line) =>
      Effect.sync(() => {
        lines.push(line)
        if (lines.length === 1) process.kill(handle.pid, "SIGTERM")
      }))
    assert.strictEqual(Number(yield* waiting.exitCode), 0)
    assert.match(lines.join("\n"), /^flaredb: waiting for .*\nflaredb: holds the lock "job" after [\d.]+m?s$/)
  }).pipe(Effect.provide(NodeServices.layer)), 300_000)

it.live("on a terminal the command reads from it, and Ctrl-C is the command's to handle", () =>
  Effect.gen(function*() {
    try {
      execFileSync("script", ["--version"])
    } catch {
      process.stdout.write("script (util-linux) is not installed: this test was left out\n")
      return
    }
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    // The shell goes on after Ctrl-C. Heard twice, or by the supervisor as its own end, it would not.
    const command = "trap 'echo caught' INT; echo ready; read a; read a; echo got $a; exit 9"
    // `exec`, because a shell that stays in between would end by Ctrl-C itself.
    const locked = [process.execPath, launcher, "lock", "terminal", "--", "bash", "-c", command].map(quoted).join(" ")
    const keys = yield* Deferred.make<void>()
    const done = yield* Deferred.make<void>()
    const typed = Stream.concat(
      Stream.fromEffect(Effect.as(Deferred.await(keys), "\u0003")),
      Stream.fromEffect(Effect.as(Deferred.await(done), "\nhello\n"))
    )
    const handle = yield* ChildProcess.make("script", ["-qec", `exec ${locked}`, "/dev/null"], {
      env: cleanEnv({ FLAREDB_ENDPOINTS: cluster.endpointList }),
      extendEnv: true,
      stdin: Stream.encodeText(Stream.concat(typed, Stream.never))
    })
    let out = ""
    const reading = Stream.runForEach(Stream.decodeText(handle.stdout), (text) =>
      Effect.gen(function*() {
        out += text
        if (out.includes("ready")) yield* Deferred.succeed(keys, undefined)
        if (out.includes("caught")) yield* Deferred.succeed(done, undefined)
      }))
    yield* Effect.forkScoped(Effect.ignore(reading))
    assert.strictEqual(Number(yield* handle.exitCode), 9, out)
    assert.strictEqual(out.match(/caught/g)?.length, 1, out)
    assert.include(out, "got hello")
  }).pipe(Effect.provide(NodeServices.layer)), 300_000)
