/** When a backup is due, whatever the clocks of nodes and of this machine do. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { newestTaken, nextDueMs, sleepUntil } from "../../../src/cli/backups/Due.ts"
import { backupCheck } from "../../../src/cli/commands/Doctor.ts"
import type { ScheduledBackup } from "../../../src/storage/backup/BackupNames.ts"
import { backupName } from "../../../src/storage/backup/BackupNames.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"
import { withWall } from "../../WallClock.ts"

const hourMs = 3_600_000
const nowMs = Date.UTC(2026, 10, 29, 12)

const takenAt = (...times: ReadonlyArray<number>): ReadonlyArray<ScheduledBackup> =>
  times.map((createdMs) => ({ name: `at ${createdMs}`, clusterId: "c", createdMs, revision: 1 }))

const due = (takenMs: number | undefined, ...times: ReadonlyArray<number>) =>
  nextDueMs(takenMs, takenAt(...times), { everyMs: hourMs, nowMs })

it("a backup is due behind the newest one, and at once where there is none", () => {
  assert.strictEqual(due(undefined), nowMs)
  assert.strictEqual(due(undefined, nowMs - 1_000), nowMs - 1_000 + hourMs)
})

it("a backup of the future neither stops the schedule nor has it take one behind the other", () => {
  const future = nowMs + 10 * hourMs
  assert.strictEqual(due(undefined, future), nowMs)
  assert.strictEqual(due(undefined, future, nowMs - 1_000), nowMs - 1_000 + hourMs)
  assert.strictEqual(due(nowMs, future), nowMs + hourMs)
  // The clock of this machine was set back since it took one.
  assert.strictEqual(due(future, future), nowMs)
  assert.isUndefined(newestTaken(takenAt(future), nowMs))
})

it.effect("a clock that is set back does not make a wait longer", () =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    let backMs = 0
    const setBack = withWall(clock, () => clock.currentTimeMillisUnsafe() - backMs)
    const fiber = yield* Effect.forkChild(sleepUntil(setBack, clock.currentTimeMillisUnsafe() + hourMs))
    yield* TestClock.adjust(hourMs / 2)
    backMs = 100 * hourMs
    yield* TestClock.adjust(hourMs / 2)
    yield* Fiber.join(fiber)
  }))

it.live("doctor does not call backups of the future fresh", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const add = (createdMs: number) => writeFileSync(join(folder, backupName("c", createdMs, 1)), "")
    add(nowMs + 10 * hourMs)
    assert.strictEqual(backupCheck(folder, hourMs, nowMs).status, "failure")
    add(nowMs - 2 * hourMs)
    assert.strictEqual(backupCheck(folder, hourMs, nowMs).status, "warning")
    add(nowMs - 1_000)
    assert.strictEqual(backupCheck(folder, hourMs, nowMs).status, "ok")
  }).pipe(Effect.scoped))
