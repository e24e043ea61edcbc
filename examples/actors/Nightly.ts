/**
 * A report that one process of many writes, at its times, each time once. Whoever owns the job's shard runs it; if that
 * one dies, the next owner goes on, and catches up on what was missed.
 */
import { Cron, DateTime, Effect } from "effect"
import { ClusterCron } from "effect/cluster"
import { KeyValueStore } from "effect/persistence"

const prefix = "reports/"

/** The job, for every runner: at the given times (cron's five fields, or six with seconds). */
export const reports = (cron: string) =>
  ClusterCron.make({
    name: "nightly-report",
    cron: Cron.parseUnsafe(cron),
    // One run after the other, and none left out.
    calculateNextRunFromPrevious: true,
    skipIfOlderThan: "1 day",
    execute: Effect.gen(function*() {
      const store = yield* KeyValueStore.KeyValueStore
      const due = DateTime.formatIso(yield* ClusterCron.CurrentScheduledTime)
      // A run that is repeated after a crash writes the same key.
      yield* store.set(`${prefix}${due}`, `written at ${DateTime.formatIso(yield* DateTime.now)}`)
    })
  })

/** The times for which there is a report, earliest first. */
export const written = Effect.gen(function*() {
  const store = yield* KeyValueStore.KeyValueStore
  const keys = yield* store.keys
  return keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)).sort()
})
