/**
 * When the next backup of a schedule is due. Names of backups have the time of the node that served them, and wall
 * clocks jump: a backup of the future is no reason to wait, nor to take one behind the other, and no reason to call the
 * backups fresh.
 */
import type { Clock } from "effect"
import { Effect } from "effect"
import { monotonicMsOf } from "../../Monotonic.ts"
import type { ScheduledBackup } from "../../storage/backup/BackupNames.ts"

/** The clocks of nodes and of this machine may differ by so much, in milliseconds. */
const clockDifferenceMs = 60_000

/** The longest sleep: a machine that slept, or whose clock was set, is noticed behind it. */
const maxSleepMs = 30_000

/** Whether a time lies further in the future than clocks differ. */
export const isOfTheFuture = (ms: number, nowMs: number): boolean => ms > nowMs + clockDifferenceMs

/** The newest backup that was taken, `backups` being in order, the newest first. */
export const newestTaken = (backups: ReadonlyArray<ScheduledBackup>, nowMs: number): ScheduledBackup | undefined =>
  backups.find(({ createdMs }) => !isOfTheFuture(createdMs, nowMs))

/** `takenMs` is when this process last took one, by the clock of this machine. */
export const nextDueMs = (
  takenMs: number | undefined,
  backups: ReadonlyArray<ScheduledBackup>,
  { everyMs, nowMs }: { readonly everyMs: number; readonly nowMs: number }
): number => {
  const lastMs = takenMs ?? newestTaken(backups, nowMs)?.createdMs
  return lastMs === undefined || isOfTheFuture(lastMs, nowMs) ? nowMs : lastMs + everyMs
}

/**
 * Sleeps until the wall clock shows `dueMs`, and no longer than that takes now: a clock that is set back meanwhile does
 * not make it longer.
 */
export const sleepUntil = Effect.fnUntraced(function*(clock: Clock.Clock, dueMs: number) {
  const endMs = monotonicMsOf(clock) + dueMs - clock.currentTimeMillisUnsafe()
  for (;;) {
    const leftMs = Math.min(dueMs - clock.currentTimeMillisUnsafe(), endMs - monotonicMsOf(clock))
    if (leftMs <= 0) return
    yield* Effect.sleep(Math.min(leftMs, maxSleepMs))
  }
})
