/**
 * `flaredb lock` and what it runs, as real processes: however it ends itself, its command and the children of that are
 * gone before the next holder begins.
 */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { eventually, waitMs } from "../Eventually.ts"
import type * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { onShared, SharedCluster } from "./SharedCluster.ts"

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/**
 * Ignores every signal that can be ignored, and has a child that does the same: both write their ids. Two dozen loop at
 * a time, so each starts a process every five seconds only.
 */
const stubborn = (file: string, first = ""): string =>
  `${first}trap '' HUP INT QUIT TERM; ` +
  `sh -c 'echo $$ >> ${file}; while :; do sleep 5; done' & ` +
  `echo $$ >> ${file}; while :; do sleep 5; done`

/** Says which of the processes in a file run, and then its own line. */
const next = (file: string): string =>
  `for p in $(cat ${file}); do grep -q '^State:.[^XZ]' /proc/$p/status 2>/dev/null && echo alive $p; done; echo next`

/** What the system says of processes that have not ended. */
const processesNow = (pids: ReadonlyArray<number>): string => {
  try {
    return execFileSync("ps", ["-o", "pid,ppid,stat,etime,wchan:20,args", "-p", pids.join()], { encoding: "utf8" })
  } catch {
    return "none of its processes is there"
  }
}

/** Adds what the holder says and does to a wait that failed. */
const describingFailures = <A, E, R>(state: Effect.Effect<string>, wait: Effect.Effect<A, E, R>) =>
  Effect.catchDefect(
    wait,
    (defect) =>
      Effect.flatMap(state, (text) =>
        Effect.die(new Error(`${defect instanceof Error ? defect.message : String(defect)}\n${text}`)))
  )

/** Waits shortly less than the test has, and then says what it knows. */
const inTime = <A, E, R>(known: () => string, wait: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(wait, { duration: waitMs(), orElse: () => Effect.die(new Error(`not in time: ${known()}`)) })

/** A command that runs under a lock, once it and its child have written their ids. */
const holding = Effect.fnUntraced(function*(cluster: Cluster.Cluster, name: string, ttlMs: number, first?: string) {
  const files = yield* FileSystem.FileSystem
  const file = `${yield* files.makeTempDirectoryScoped({ prefix: "flaredb-lock-" })}/pids`
  yield* files.writeFileString(file, "")
  const args = ["lock", name, "--ttl", `${ttlMs}ms`, "--", "sh", "-c", stubborn(file, first)]
  const handle = yield* ChildProcess.make(process.execPath, [launcher, ...args], {
    env: cleanEnv({ FLAREDB_ENDPOINTS: cluster.endpointList, FLAREDB_TIMEOUT_MS: "20000" }),
    extendEnv: true,
    // A session of its own: no terminal of the developer decides what happens.
    detached: true,
    stdin: "ignore",
    killSignal: "SIGKILL"
  })
  let said = ""
  let ended = false
  const reading = yield* Effect.forkScoped(
    Stream.runForEach(Stream.decodeText(handle.stderr), (text) =>
      Effect.sync(() => {
        said += text
      }))
  )
  yield* Effect.forkScoped(Effect.andThen(Effect.exit(handle.exitCode), Effect.sync(() => ended = true)))
  const pids = Effect.sync(() =>
    readFileSync(file, "utf8").trim().split("\n").filter((line) => line !== "").map(Number)
  )
  /** The holder as it is now, for the message of a wait that has no end. */
  const state = Effect.map(
    pids,
    (pids) =>
      `flaredb ${args.slice(0, 4).join(" ")} ${ended ? "has ended" : "runs"} and said ${JSON.stringify(said)}\n` +
      processesNow([handle.pid, ...pids])
  )
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
  const started = Effect.map(pids, (found) => ended || found.length === 2)
  yield* describingFailures(state, eventually(`${name}: the command and its child have written their ids`, started))
  if ((yield* pids).length < 2) assert.fail(yield* state)
  return { handle, file, state, err: Effect.map(Fiber.join(reading), () => said) }
})

/** Those that end the supervisor, and the one that leaves it there without doing anything. */
const ends = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGKILL", "SIGSTOP"] as const

/** The guard kills when a tenth of it is left: more than a busy machine's timers are late by. */
const outlivedTtlMs = 20_000

onShared("flaredb lock", 1, (live) => {
  // Both wait for leases to run out.
  describe.concurrent("leases", () => {
    live(
      "a signal to flaredb lock ends its command and the children of that before the next holder begins",
      Effect.gen(function*() {
        const cluster = yield* SharedCluster
        const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
        yield* Effect.forEach(ends, (signal) =>
          Effect.scoped(Effect.gen(function*() {
            const { file, handle, state } = yield* holding(cluster, signal, outlivedTtlMs)
            const waiting = yield* Effect.forkScoped(run(["lock", signal, "--", "sh", "-c", next(file)], { env }))
            process.kill(handle.pid, signal)
            const { code, err, out } = yield* describingFailures(state, Fiber.join(waiting))
            assert.deepStrictEqual({ signal, code, out }, { signal, code: 0, out: "next\n" }, err)
          })), { concurrency: ends.length, discard: true })
      })
    )

    live(
      "a command that is there before its supervisor goes on is gone before the next holder begins",
      Effect.gen(function*() {
        const cluster = yield* SharedCluster
        const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
        // Which of the two is first is the system's choice: of several, some commands are.
        const names = Array.from({ length: 6 }, (_, i) => `early-${i}`)
        yield* Effect.forEach(names, (name) =>
          Effect.scoped(Effect.gen(function*() {
            const { file, state } = yield* holding(cluster, name, outlivedTtlMs, "kill -STOP $PPID; ")
            const waiting = run(["lock", name, "--", "sh", "-c", next(file)], { env })
            const { code, err, out } = yield* describingFailures(state, waiting)
            assert.deepStrictEqual({ name, code, out }, { name, code: 0, out: "next\n" }, err)
          })), { concurrency: names.length, discard: true })
      })
    )
  })

  live(
    "a lease that is confirmed no more ends the command before it can run out, and says so",
    Effect.gen(function*() {
      // The command is gone after two thirds of it; the rest is for a busy machine.
      const ttlMs = 9_000
      const cluster = yield* SharedCluster
      const node = cluster.node(1)
      const { err, file, handle, state } = yield* holding(cluster, "cut off", ttlMs)
      yield* node.pause
      const pausedMs = performance.now()
      const gone = Effect.sync(() => execFileSync("sh", ["-c", next(file)], { encoding: "utf8" }))
      const isGone = Effect.map(gone, (out) => out === "next\n")
      yield* describingFailures(state, eventually("the command and its child are gone", isGone))
      const afterMs = performance.now() - pausedMs
      figure(
        `command gone ${afterMs.toFixed(0)} ms after the node stopped answering, ttl ${ttlMs} ms`
      )
      yield* node.resume
      const code = yield* describingFailures(state, inTime(() => "flaredb lock has not ended", handle.exitCode))
      assert.strictEqual(Number(code), 1)
      assert.match(
        yield* err,
        /^flaredb: no keep-alive of the lock was answered for [\d.]+m?s; sh was stopped [\d.]+m?s after/
      )
      assert.isBelow(afterMs, ttlMs)
    })
  )

  live(
    "exit codes are a shell's, waiting says for whom, and has an end",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
      const lock = (...args: ReadonlyArray<string>) => run(["lock", ...args], { env })
      assert.deepStrictEqual(yield* lock("job", "--", "sh", "-c", "kill -9 $$"), { code: 137, out: "", err: "" })
      assert.strictEqual((yield* lock("job", "--", "sh", "-c", "exit 5")).code, 5)
      const missing = yield* lock("job", "--", "no-such-program")
      assert.deepStrictEqual(missing, { code: 127, out: "", err: "flaredb: no-such-program: command not found\n" })
      const plain = yield* lock("job", "--", "/etc/passwd")
      assert.strictEqual(plain.code, 126, plain.err)
      assert.match(plain.err, /^flaredb: \/etc\/passwd cannot be run: this process may not run it .*chmod \+x/)
      const folder = yield* lock("job", "--", "/etc")
      assert.strictEqual(folder.code, 126, folder.err)
      assert.match(folder.err, /^flaredb: \/etc cannot be run: it is a folder; name a program in it/)

      const { handle, state } = yield* holding(cluster, "job", 30_000)
      const holder = `process ${handle.pid} on `
      const late = yield* lock("job", "--timeout", "5s", "--", "true")
      assert.strictEqual(late.code, 1, late.err)
      const [waits, ends] = late.err.split("\n")
      assert.include(waits, `flaredb: waiting for the lock "job"; it is held by ${holder}`)
      assert.include(ends, `flaredb: the lock "job" was not free within 5s; it is held by ${holder}`)
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
      const reading = Stream.runForEach(said, (line) =>
        Effect.sync(() => {
          lines.push(line)
          if (lines.length === 1) process.kill(handle.pid, "SIGTERM")
        }))
      const ended = inTime(() => `the waiter said ${JSON.stringify(lines)}`, Effect.andThen(reading, waiting.exitCode))
      assert.strictEqual(Number(yield* describingFailures(state, ended)), 0)
      assert.match(lines.join("\n"), /^flaredb: waiting for .*\nflaredb: holds the lock "job" after [\d.]+m?s$/)
    })
  )

  live(
    "on a terminal the command reads from it, and Ctrl-C is the command's to handle",
    Effect.gen(function*() {
      try {
        execFileSync("script", ["--version"])
      } catch {
        process.stdout.write("script (util-linux) is not installed: this test was left out\n")
        return
      }
      const cluster = yield* SharedCluster
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
      assert.strictEqual(Number(yield* inTime(() => JSON.stringify(out), handle.exitCode)), 9, out)
      assert.strictEqual(out.match(/caught/g)?.length, 1, out)
      assert.include(out, "got hello")
    })
  )
})
