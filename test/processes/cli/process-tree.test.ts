/** The processes of a locked command, which has to be gone whatever kept its supervisor from looking in time. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { endAll, rootOf } from "../../../src/cli/lock/ProcessTree.ts"

const mark = "mark-of-no-process"

it.live("a command whose time to be killed is long past is killed, and not given up", () =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn("sh", ["-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], {
          stdio: ["ignore", "pipe", "ignore"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    yield* Effect.promise(() => once(child.stdout, "data"))
    const root = rootOf(child.pid as number)
    assert.isDefined(root)
    // A supervisor that was stopped, or had no processor, comes late by any time.
    const longPastMs = performance.now() - 60_000
    yield* Effect.promise(() => endAll(root, mark, () => longPastMs))
    assert.isUndefined(rootOf(child.pid as number))
  }))
