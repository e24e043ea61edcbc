#!/usr/bin/env bash
# effect `Cron` and npm's cron parsers: `0 3 */2 * 1` is three times in March for one, and eighteen times for others.
#
# Versions:  effect 4.1.0, croner 11.0.1, cron-parser 5.10.6, cron-schedule 6.0.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  five fields mean the same wherever they are read, so a schedule moves between them as it is. When both
#            the day of the month and that of the week are given, a day that fits either one is a day (`0 3 1 * 1`).
# Happens:   they do not agree on what is given. For effect a field that begins with a star, as `*/2` does, is not, as
#            in Vixie's cron, so that a day has to fit both. For the others only a star by itself is not given, so
#            that any of the two will do. A backup that is moved to effect runs a sixth as often, without a word.
# Setup:     how often each expression runs in March 2027.
# Output:    0 3 1 * 1: effect 5, croner 5, cron-parser 5, cron-schedule 5
#            0 3 */2 * 1: effect 3, croner 18, cron-parser 18, cron-schedule 18
#            0 3 1-31/2 * 1: effect 18, croner 18, cron-parser 18, cron-schedule 18
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  effect@4.1.0 croner@11.0.1 cron-parser@5.10.6 cron-schedule@6.0.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { CronExpressionParser } from "cron-parser"
import { parseCronExpression } from "cron-schedule"
import { Cron as Croner } from "croner"
import { Cron } from "effect"
import assert from "node:assert/strict"

const start = new Date("2027-02-28T12:00:00Z")
const end = new Date("2027-04-01T00:00:00Z")
const parsers = {
  effect: (text) => {
    const runs = Cron.sequence(Cron.parseUnsafe(text, "UTC"), start)
    return () => runs.next().value
  },
  croner: (text) => {
    const runs = new Croner(text, { timezone: "UTC", paused: true }).nextRuns(40, start)
    return () => runs.shift()
  },
  "cron-parser": (text) => {
    const runs = CronExpressionParser.parse(text, { currentDate: start, tz: "UTC" })
    return () => runs.next().toDate()
  },
  "cron-schedule": (text) => {
    const runs = parseCronExpression(text).getNextDates(40, start)
    return () => runs.shift()
  }
}
const runsInMarch = (next) => {
  let number = 0
  while (next() < end) number++
  return number
}
const seen = ["0 3 1 * 1", "0 3 */2 * 1", "0 3 1-31/2 * 1"].map((text) =>
  `${text}: ${Object.entries(parsers).map(([name, parse]) => `${name} ${runsInMarch(parse(text))}`).join(", ")}`
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "0 3 1 * 1: effect 5, croner 5, cron-parser 5, cron-schedule 5",
  "0 3 */2 * 1: effect 3, croner 18, cron-parser 18, cron-schedule 18",
  "0 3 1-31/2 * 1: effect 18, croner 18, cron-parser 18, cron-schedule 18"
], "the behaviour has changed")
JS
TZ=UTC timeout 60 node_modules/.bin/node finding.mjs
