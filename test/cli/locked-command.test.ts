/** A signal that comes while a locked command is being started. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "../../src/cli/lock/LockedCommand.ts"

it.live("is not lost: the command is not started, and the exit code says why", () =>
  Effect.promise(async () => {
    const running = run({ program: "sleep", args: ["60"], env: {}, ttlMs: 60_000, remainingMs: () => 60_000 })
    process.emit("SIGHUP", "SIGHUP")
    assert.deepStrictEqual(await running, { _tag: "Exited", exitCode: 129 })
  }), 180_000)
