/** What a schedule writes for the collector of metrics. */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import type { ScheduleState } from "../../../src/cli/backups/ScheduleMetrics.ts"
import { scheduleMetrics } from "../../../src/cli/backups/ScheduleMetrics.ts"

const state: ScheduleState = {
  clusterId: "prod",
  attemptMs: 5_000,
  succeeded: true,
  newestMs: 4_000,
  backups: 3,
  bytes: 100,
  tookMs: 250,
  revision: 9,
  failures: 2
}

const names = (page: string): ReadonlyArray<string> =>
  [...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? "")

it("has a help, a type and a value for each metric, and docs/backups.md has all of them", () => {
  const page = scheduleMetrics(state)
  const lines = page.trimEnd().split("\n")
  assert.strictEqual(lines.length, 3 * names(page).length)
  assert.include(lines, `flaredb_backup_newest_timestamp_seconds{cluster="prod"} 4`)
  assert.include(lines, `flaredb_backup_duration_seconds{cluster="prod"} 0.25`)
  const documented = readFileSync("docs/backups.md", "utf8").match(/(?<=`)flaredb_[a-z_]+(?=`)/g)
  assert.sameMembers([...new Set(documented)], [...names(page)])
})

it("leaves out what is not known, and no name of a cluster can break a line", () => {
  const unknown = { ...state, clusterId: undefined, newestMs: undefined, bytes: undefined, revision: undefined }
  const page = scheduleMetrics({ ...unknown, succeeded: false, backups: 0 })
  assert.notMatch(page, /newest|bytes|revision|cluster/)
  assert.match(page, /^flaredb_backup_attempt_succeeded 0$/m)
  assert.notMatch(scheduleMetrics({ ...state, clusterId: "a\"\nb" }), /^b/m)
})
