/** What comes between while a locked command is being started: a signal, or a guard that does not watch. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { run } from "../../../src/cli/lock/LockedCommand.ts"
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
const runWithGuard = (code: string) => {
  const before = process.env["NODE_OPTIONS"]
  process.env["NODE_OPTIONS"] = `--import data:text/javascript,${encodeURIComponent(code)}`
  try {
    return run({ program: "sleep", args: ["60"], env: {}, ttlMs: 60_000, remainingMs: () => 60_000 })
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

it.live("a command can be ended while its guard is stuck, and the guard is gone then", () =>
  Effect.gen(function*() {
    const file = `${yield* temporaryFolder}/pid`
    const running = runWithGuard(
      "import { renameSync, writeFileSync } from 'node:fs';" +
        `writeFileSync('${file}.next', String(process.pid)); renameSync('${file}.next', '${file}');` +
        "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"
    )
    yield* eventually("the guard is stuck", () => existsSync(file))
    process.emit("SIGHUP", "SIGHUP")
    assert.deepStrictEqual(yield* Effect.promise(() => running), { _tag: "Exited", exitCode: 129 })
    const pid = readFileSync(file, "utf8")
    yield* eventually("the guard has ended", () => !existsSync(`/proc/${pid}`))
  }).pipe(Effect.scoped), 180_000)
