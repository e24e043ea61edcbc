#!/usr/bin/env bash
# iso8601-duration: the fraction of a date unit takes what is left of the duration away, so that `P1Y6.5M` is a year.
#
# Versions:  iso8601-duration 2.1.4, tinyduration 3.4.1, luxon 3.7.2, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  the smallest unit of a duration may have a fraction. The page of the library names `P0.5D` for that. What
#            it does not take, it refuses, as it does with a duration that makes no sense.
# Happens:   only hours, minutes and seconds may have one. `P0.5D` is refused as invalid. Behind a larger unit nothing
#            is refused: reading ends at the number with the fraction, and what came before is the result. So a week
#            and two and a half days are a week, and a year and six and a half months are a year, and a record that
#            is to be kept that long is deleted months too early.
# Setup:     the same durations, read by three libraries.
# Output:    P0.5D: iso8601-duration invalid duration: P0.5D, tinyduration 0.5 days, luxon 0.5 days
#            P1W2.5D: iso8601-duration 1 weeks, tinyduration 1 weeks 2.5 days, luxon 1 weeks 2.5 days
#            P1Y6.5M: iso8601-duration 1 years, tinyduration 1 years 6.5 months, luxon 1 years 6.5 months
#            P1DT6.5H: iso8601-duration 1 days 6.5 hours, tinyduration 1 days 6.5 hours, luxon 1 days 6.5 hours
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error iso8601-duration@2.1.4 tinyduration@3.4.1 \
  luxon@3.7.2 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import * as iso from "iso8601-duration"
import { Duration } from "luxon"
import assert from "node:assert/strict"
import * as tiny from "tinyduration"

const readers = {
  "iso8601-duration": iso.parse,
  tinyduration: tiny.parse,
  luxon: (text) => Duration.fromISO(text).toObject()
}
const read = (reader, text) => {
  try {
    const units = Object.entries(reader(text)).filter(([, count]) => count)
    return units.map(([unit, count]) => `${count} ${unit}`).join(" ")
  } catch (error) {
    return error.message
  }
}
const seen = ["P0.5D", "P1W2.5D", "P1Y6.5M", "P1DT6.5H"].map((text) =>
  `${text}: ${Object.entries(readers).map(([name, reader]) => `${name} ${read(reader, text)}`).join(", ")}`
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "P0.5D: iso8601-duration invalid duration: P0.5D, tinyduration 0.5 days, luxon 0.5 days",
  "P1W2.5D: iso8601-duration 1 weeks, tinyduration 1 weeks 2.5 days, luxon 1 weeks 2.5 days",
  "P1Y6.5M: iso8601-duration 1 years, tinyduration 1 years 6.5 months, luxon 1 years 6.5 months",
  "P1DT6.5H: iso8601-duration 1 days 6.5 hours, tinyduration 1 days 6.5 hours, luxon 1 days 6.5 hours"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
