#!/usr/bin/env bash
# duration-fns: 30.5 seconds are written as `PT30,5S`, which Day.js and pomeranian-durations read as no time at all.
#
# Versions:  duration-fns 3.0.2, dayjs 1.11.23, pomeranian-durations 1.11.4, parse-iso-duration 1.1.0, luxon 3.7.2,
#            iso8601-duration 2.1.4, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a library for ISO 8601 durations writes `PT30.5S`, as `Temporal.Duration`, Java and .NET do, and another
#            one that reads such durations gets the same length, or says that it cannot.
# Happens:   `toString` of duration-fns has a decimal comma, which the standard allows too. Day.js takes such a number
#            for NaN and that for 0, as does pomeranian-durations: the whole number before the comma is gone as well,
#            so that a timeout of 30.5 s is none. Without a fraction all agree, so that it shows with milliseconds only.
# Setup:     duration-fns writes two durations, and each of the others reads them, in seconds.
# Output:    duration-fns writes PT30S and PT30,5S
#            dayjs reads 30 and 0
#            pomeranian-durations reads 30 and 0
#            parse-iso-duration reads 30 and Invalid duration
#            luxon reads 30 and 30.5
#            iso8601-duration reads 30 and 30.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  duration-fns@3.0.2 dayjs@1.11.23 pomeranian-durations@1.11.4 parse-iso-duration@1.1.0 luxon@3.7.2 \
  iso8601-duration@2.1.4 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import dayjs from "dayjs"
import durationOfDayjs from "dayjs/plugin/duration.js"
import { toString } from "duration-fns"
import { parse, toSeconds } from "iso8601-duration"
import { Duration } from "luxon"
import assert from "node:assert/strict"
import parseIsoDuration from "parse-iso-duration"
import { asDecimalSeconds } from "pomeranian-durations"

dayjs.extend(durationOfDayjs)
const written = [{ seconds: 30 }, { seconds: 30, milliseconds: 500 }].map((duration) => toString(duration))
const readers = {
  dayjs: (text) => dayjs.duration(text).asSeconds(),
  "pomeranian-durations": asDecimalSeconds,
  "parse-iso-duration": (text) => parseIsoDuration(text) / 1000,
  luxon: (text) => Duration.fromISO(text).as("seconds"),
  "iso8601-duration": (text) => toSeconds(parse(text))
}
const read = (reader, text) => {
  try {
    return reader(text)
  } catch (error) {
    return error.message
  }
}
const seen = [
  `duration-fns writes ${written.join(" and ")}`,
  ...Object.entries(readers).map(([name, reader]) =>
    `${name} reads ${written.map((text) => read(reader, text)).join(" and ")}`
  )
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "duration-fns writes PT30S and PT30,5S",
  "dayjs reads 30 and 0",
  "pomeranian-durations reads 30 and 0",
  "parse-iso-duration reads 30 and Invalid duration",
  "luxon reads 30 and 30.5",
  "iso8601-duration reads 30 and 30.5"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
