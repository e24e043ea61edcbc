#!/usr/bin/env bash
# local-crontab: where the hour in UTC lies on another day, the converted lines run on the wrong day.
#
# Versions:  local-crontab 0.1.8, croner 11.0.1, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  the lines in UTC run when the line in local time would: the days are shifted where the hour goes past
#            midnight. The months and days of the two changes of the clock it does tell apart.
# Happens:   hours and minutes are converted, and the days of the week and of the month stay. 22:00 in New York from
#            Monday to Friday runs from Sunday to Thursday, and midnight of the 1st in Tokyo on the 2nd. A line whose
#            days are all `*`, such as those of its page, is right, and so is one in the middle of the day.
# Setup:     the runs of January 2026 of a line in its time zone, by croner, and those of the lines that it becomes, in
#            UTC; each number is how many of them the other one does not have.
# Output:    0 10 * * 1-5 New_York: 22 runs, 0 left out, 0 besides
#            0 22 * * * New_York: 31 runs, 0 left out, 0 besides
#            0 22 * * 1-5 New_York: 22 runs, 5 left out, 4 besides, the first one 2026-01-05T03:00Z
#            0 0 1 * * Tokyo: 1 runs, 1 left out, 1 besides, the first one 2026-01-01T15:00Z
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error local-crontab@0.1.8 croner@11.0.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Cron } from "croner"
import localCrontab from "local-crontab"
import assert from "node:assert/strict"

// The runs of a month of the zone, which the lines in UTC would have too, if they ran on the right days.
const runs = (line, zone, from, to) => {
  const all = new Cron(line, { timezone: zone, mode: "5-part" }).nextRuns(100, new Date(from - 1000))
  return all.filter((run) => run < to).map((run) => run.toISOString().slice(0, 16) + "Z")
}
const look = (line, zone, from, to) => {
  const local = runs(line, zone, Date.parse(from), new Date(to))
  const utc = localCrontab(line, zone).flatMap((each) => runs(each, "UTC", Date.parse(from), new Date(to)))
  const leftOut = local.filter((run) => !utc.includes(run))
  const besides = utc.filter((run) => !local.includes(run)).sort()
  const first = besides.length > 0 ? `, the first one ${besides[0]}` : ""
  return `${line} ${zone.split("/")[1]}: ${local.length} runs, ${leftOut.length} left out, ` +
    `${besides.length} besides${first}`
}
const newYork = ["America/New_York", "2026-01-01T05:00Z", "2026-02-01T05:00Z"]
const seen = [
  look("0 10 * * 1-5", ...newYork),
  look("0 22 * * *", ...newYork),
  look("0 22 * * 1-5", ...newYork),
  look("0 0 1 * *", "Asia/Tokyo", "2025-12-31T15:00Z", "2026-01-31T15:00Z")
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "0 10 * * 1-5 New_York: 22 runs, 0 left out, 0 besides",
  "0 22 * * * New_York: 31 runs, 0 left out, 0 besides",
  "0 22 * * 1-5 New_York: 22 runs, 5 left out, 4 besides, the first one 2026-01-05T03:00Z",
  "0 0 1 * * Tokyo: 1 runs, 1 left out, 1 besides, the first one 2026-01-01T15:00Z"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
