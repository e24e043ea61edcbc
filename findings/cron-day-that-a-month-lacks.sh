#!/usr/bin/env bash
# aws-cron-parser and @cheap-glitch/mi-cron: in a month without a 30th, its run is on the 2nd of the next month.
#
# Versions:  aws-cron-parser 1.1.12, @cheap-glitch/mi-cron 1.0.1, cron-parser 5.10.6, croner 11.0.1, Node.js 24.21.0.
#            Seen 2026-12-01.
# Expected:  a month without that day has no run: cron leaves it out, and so does AWS, whose lines aws-cron-parser
#            reads. A run that a page or a test foretells is one that happens, on a day that the line names.
# Happens:   both put month and day into a date, which goes on into the next month where the day is not there. After
#            January the 31st comes March the 3rd, and February the 29th is March the 1st. A scheduler that is built
#            on them runs a job of the 31st at the start of five months besides, and one of the leap day each year.
# Setup:     the first two runs after a time for the same line; aws-cron-parser takes `?` and a year as well.
# Output:    0 0 30 * *: aws-cron-parser 03-02 03-30, mi-cron 03-02 03-30, cron-parser 03-30 04-30, croner 03-30 04-30
#            0 0 31 * *: aws-cron-parser 03-03 03-31, mi-cron 03-03 03-31, cron-parser 03-31 05-31, croner 03-31 05-31
#            0 0 29 2 *: aws-cron-parser 03-01, mi-cron 03-01, cron-parser 2028-02-29, croner 2028-02-29
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error aws-cron-parser@1.1.12 @cheap-glitch/mi-cron@1.0.1 \
  cron-parser@5.10.6 croner@11.0.1 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import miCron from "@cheap-glitch/mi-cron"
import aws from "aws-cron-parser"
import { CronExpressionParser } from "cron-parser"
import { Cron } from "croner"
import assert from "node:assert/strict"

const from = new Date("2026-02-01T12:00:00Z")
const libraries = {
  "aws-cron-parser": (line, after) => aws.next(aws.parse(line.replace(/\*$/, "? *")), after),
  "mi-cron": (line, after) => miCron.parseCron.nextDate(line, after),
  "cron-parser": (line, after) => CronExpressionParser.parse(line, { currentDate: after, tz: "UTC" }).next().toDate(),
  croner: (line, after) => new Cron(line, { timezone: "UTC" }).nextRun(after)
}
const shown = (date) => date.toISOString().slice(0, 10).replace("2026-", "")
const look = (line, count) => {
  const each = Object.entries(libraries).map(([name, next]) => {
    const runs = []
    for (let after = from; runs.length < count; after = new Date(runs.at(-1).getTime() + 60_000)) {
      runs.push(next(line, after))
    }
    return `${name} ${runs.map(shown).join(" ")}`
  })
  return `${line}: ${each.join(", ")}`
}
const seen = [look("0 0 30 * *", 2), look("0 0 31 * *", 2), look("0 0 29 2 *", 1)]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "0 0 30 * *: aws-cron-parser 03-02 03-30, mi-cron 03-02 03-30, cron-parser 03-30 04-30, croner 03-30 04-30",
  "0 0 31 * *: aws-cron-parser 03-03 03-31, mi-cron 03-03 03-31, cron-parser 03-31 05-31, croner 03-31 05-31",
  "0 0 29 2 *: aws-cron-parser 03-01, mi-cron 03-01, cron-parser 2028-02-29, croner 2028-02-29"
], "the behaviour has changed")
JS
TZ=UTC timeout 60 node_modules/.bin/node finding.mjs
