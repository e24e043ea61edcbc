/** What comes between while a locked command is started and runs: a signal, or a guard that does not watch. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { machineMs } from "../../../src/cli/lock/GuardLines.ts"
import type { LockedCommandOptions } from "../../../src/cli/lock/LockedCommand.ts"
import { run } from "../../../src/cli/lock/LockedCommand.ts"
import { rootOf } from "../../../src/cli/lock/ProcessTree.ts"
import { lockTimes } from "../../../src/cli/lock/Times.ts"
import { eventually } from "../../Eventually.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"

it.live(
  "a signal is not lost: the command is not started, and the exit code says why",
  () =>
    Effect.promise(async () => {
      const running = run({ program: "sleep", args: ["60"], env: {}, ttlMs: 60_000, remainingMs: () => 60_000 })
      process.emit("SIGHUP", "SIGHUP")
      assert.deepStrictEqual(await running, { _tag: "Exited", exitCode: 129 })
    }),
  180_000
)

/** Starts a command under a lock, with a guard that runs `code` before its program. */
const runWithGuard = (code: string, options: Partial<LockedCommandOptions> = {}) => {
  const before = process.env["NODE_OPTIONS"]
  process.env["NODE_OPTIONS"] = `--import data:text/javascript,${encodeURIComponent(code)}`
  try {
    return run({ program: "sleep", args: ["60"], env: {}, ttlMs: 60_000, remainingMs: () => 60_000, ...options })
  } finally {
    if (before === undefined) delete process.env["NODE_OPTIONS"]
    else process.env["NODE_OPTIONS"] = before
  }
}

it.live("a command is not started when its guard fails, which says why", () =>
  Effect.promise(async () => {
    const ended = await runWithGuard("throw new Error('no room')")
    assert.deepInclude(ended, { _tag: "NotStarted", exitCode: 1 })
    assert.match(
      "problem" in ended ? ended.problem : "",
      /^sleep was not started: its guard process ended with exit code 1; it said: [^]*Error: no room/
    )
  }), 180_000)

/** Has a process write its id into a file, which then has it whole. */
const writesId = (file: string): string =>
  "import { renameSync, writeFileSync } from 'node:fs';" +
  `writeFileSync('${file}.next', String(process.pid)); renameSync('${file}.next', '${file}');`

const stuck = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"

const isGone = (pid: string): boolean => {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return true
  }
}

it.live(
  "a command is not started when its guard says nothing in time, and the guard is gone then",
  () =>
    Effect.gen(function*() {
      const file = `${yield* temporaryFolder}/pid`
      // However late it comes to that, it is stuck.
      const running = runWithGuard(`${writesId(file)}${stuck}`, { times: { ...lockTimes, readyMs: 300 } })
      const problem = "sleep was not started: its guard process said nothing for 300ms"
      assert.deepStrictEqual(yield* Effect.promise(() => running), { _tag: "NotStarted", exitCode: 1, problem })
      if (existsSync(file)) yield* eventually("the guard has ended", () => isGone(readFileSync(file, "utf8")))
    }).pipe(Effect.scoped),
  180_000
)

it.live(
  "a command ends when its guard is stopped: it would go on without a lock if this process ended",
  () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [guard, command] = [`${folder}/guard`, `${folder}/command`]
      const running = runWithGuard(writesId(guard), {
        program: "sh",
        args: ["-c", `echo $$ > ${command}.next; mv ${command}.next ${command}; sleep 60`],
        times: { ...lockTimes, silentMs: 1_000 },
        ttlMs: 1_000,
        remainingMs: () => 60_000
      })
      yield* eventually("the command runs", () => existsSync(command))
      process.kill(Number(readFileSync(guard, "utf8")), "SIGSTOP")
      assert.deepStrictEqual(yield* Effect.promise(() => running), {
        _tag: "Stopped",
        problem: "its guard process said nothing for 1s"
      })
      yield* eventually("both have ended", () => [guard, command].every((file) => isGone(readFileSync(file, "utf8"))))
    }).pipe(Effect.scoped),
  180_000
)

it.live(
  "a command that may end by itself, since its guard is gone, is killed once its lock is not held any more",
  () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [guard, command] = [`${folder}/guard`, `${folder}/command`]
      let leftMs = 60_000
      const running = runWithGuard(writesId(guard), {
        program: "sh",
        args: [
          "-c",
          `exec 2>/dev/null; trap "touch ${folder}/asked" TERM; echo $$ > ${command}; while :; do sleep 0.1; done`
        ],
        // It would be killed long after the end of this test.
        times: { ...lockTimes, stopMs: 3_600_000 },
        remainingMs: () => leftMs
      })
      yield* eventually("the command runs", () => existsSync(command))
      process.kill(Number(readFileSync(guard, "utf8")), "SIGKILL")
      yield* eventually("the command is asked to end", () => existsSync(`${folder}/asked`))
      leftMs = 0
      const problem = "its guard process ended with SIGKILL"
      assert.deepStrictEqual(yield* Effect.promise(() => running), { _tag: "Stopped", problem })
      assert.isTrue(isGone(readFileSync(command, "utf8").trim()))
    }).pipe(Effect.scoped),
  180_000
)

it.live("a command can be ended while its guard is stuck, and the guard is gone then", () =>
  Effect.gen(function*() {
    const file = `${yield* temporaryFolder}/pid`
    const running = runWithGuard(`${writesId(file)}${stuck}`)
    yield* eventually("the guard is stuck", () => existsSync(file))
    process.emit("SIGHUP", "SIGHUP")
    assert.deepStrictEqual(yield* Effect.promise(() => running), { _tag: "Exited", exitCode: 129 })
    yield* eventually("the guard has ended", () => isGone(readFileSync(file, "utf8")))
  }).pipe(Effect.scoped), 180_000)

it.live(
  "a guard that was stopped while the time to kill passed goes by the later one that it finds then",
  () =>
    Effect.gen(function*() {
      const command = spawn("sleep", ["60"], { stdio: "ignore" })
      const guard = spawn(process.execPath, ["src/cli/lock/GuardProcess.ts", randomUUID()], {
        stdio: ["pipe", "pipe", "ignore"]
      })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          guard.kill("SIGKILL")
          command.kill("SIGKILL")
        })
      )
      let answers = 0
      guard.stdout.on("data", (chunk: Uint8Array) => answers += chunk.toString().split("\n").length - 1)
      yield* eventually("it watches", () => answers === 1)
      const killAt = machineMs() + 3_000
      const lines = [{ root: rootOf(Number(command.pid)) }, { killAt }]
      guard.stdin.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
      yield* eventually("it has read both", () => answers === 3)
      guard.kill("SIGSTOP")
      guard.stdin.write(`${JSON.stringify({ killAt: killAt + 600_000 })}\n`)
      yield* eventually("the time to kill has passed", () => machineMs() > killAt + 100)
      guard.kill("SIGCONT")
      yield* eventually("it has read the later time", () => answers === 4)
      assert.isNull(command.signalCode)
      assert.isFalse(isGone(String(command.pid)))
    }).pipe(Effect.scoped),
  180_000
)
