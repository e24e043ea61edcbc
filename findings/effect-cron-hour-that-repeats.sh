#!/usr/bin/env bash
# effect `Cron`: in a time zone, nothing runs in the hour that autumn repeats, not even what runs each quarter.
#
# Versions:  effect 4.1.0, croner 11.0.1, cron-parser 5.10.6, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  "every quarter of an hour" is every 15 minutes, also in the night when clocks are set back. That a job of
#            a fixed time (`30 2 * * *`) is not run twice in that night is another matter.
# Happens:   the second of the two hours is skipped for every expression: a schedule of minutes stops for an hour, and
#            the next run is an hour and a quarter after the last one. A lease, a heartbeat or a pull that is planned
#            for less runs out once a year, at night. The other two run on. Without a time zone, which is UTC, all do.
# Setup:     the runs after 00:30 UTC on 31 October 2027; clocks in Berlin are set back at 01:00 UTC.
# Output:    effect, Europe/Berlin, */15 * * * *: 00:45 02:00 02:15 02:30 02:45
#            croner, Europe/Berlin, */15 * * * *: 00:45 01:00 01:15 01:30 01:45
#            cron-parser, Europe/Berlin, */15 * * * *: 00:45 01:00 01:15 01:30 01:45
#            effect, UTC, */15 * * * *: 00:45 01:00 01:15 01:30 01:45
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 croner@11.0.1 cron-parser@5.10.6 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { CronExpressionParser } from "cron-parser"
import { Cron as Croner } from "croner"
import { Cron } from "effect"
import assert from "node:assert/strict"

const start = new Date("2027-10-31T00:30:00Z")
const quarters = "*/15 * * * *"
const five = (next) => Array.from({ length: 5 }, () => next().toISOString().slice(11, 16)).join(" ")

const ofEffect = (zone) => {
  const runs = Cron.sequence(Cron.parseUnsafe(quarters, zone), start)
  return five(() => runs.next().value)
}
const ofCroner = (zone) => {
  const runs = new Croner(quarters, { timezone: zone, paused: true }).nextRuns(5, start)
  return five(() => runs.shift())
}
const ofCronParser = (zone) => {
  const runs = CronExpressionParser.parse(quarters, { currentDate: start, tz: zone })
  return five(() => runs.next().toDate())
}
const seen = [
  `effect, Europe/Berlin, ${quarters}: ${ofEffect("Europe/Berlin")}`,
  `croner, Europe/Berlin, ${quarters}: ${ofCroner("Europe/Berlin")}`,
  `cron-parser, Europe/Berlin, ${quarters}: ${ofCronParser("Europe/Berlin")}`,
  `effect, UTC, ${quarters}: ${ofEffect("UTC")}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "effect, Europe/Berlin, */15 * * * *: 00:45 02:00 02:15 02:30 02:45",
  "croner, Europe/Berlin, */15 * * * *: 00:45 01:00 01:15 01:30 01:45",
  "cron-parser, Europe/Berlin, */15 * * * *: 00:45 01:00 01:15 01:30 01:45",
  "effect, UTC, */15 * * * *: 00:45 01:00 01:15 01:30 01:45"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
