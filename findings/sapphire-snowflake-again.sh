#!/usr/bin/env bash
# @sapphire/snowflake: of more than 4096 ids of one millisecond, the later ones are the first ones again.
#
# Versions:  @sapphire/snowflake 3.5.5, nodejs-snowflake 2.0.1, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a generator of snowflakes in one process makes no id twice, and ids sort in the order in which they were
#            made. When the 12 bits for one millisecond are used up it waits, or goes on with the next millisecond.
# Happens:   the number of 12 bits counts on from id to id whatever the time is, and begins again after 4095. With a
#            given time, as for records that are brought in with their own, each id after 4096 is there twice: with the
#            id as the key the second record replaces the first. Ids of the clock are not in order either: where the
#            number begins again within a millisecond the next id is below the last one. A fast machine repeats ids of
#            the clock as well.
# Setup:     5000 ids of one given time; then ids of the clock until one is below the one before it, 200000 at most.
#            nodejs-snowflake for comparison: 5000 ids of the clock.
# Output:    ids of one time: 5000, different 4096
#            the clock, ids below the one before: some
#            nodejs-snowflake: 5000, different 5000, below the one before: none
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @sapphire/snowflake@3.5.5 nodejs-snowflake@2.0.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Snowflake } from "@sapphire/snowflake"
import assert from "node:assert/strict"
import { Snowflake as Other } from "nodejs-snowflake"

const different = (ids) => `${ids.length}, different ${new Set(ids).size}`
const backwards = (next, count) => {
  let last = next()
  for (let made = 1; made < count; made++) {
    const id = next()
    if (id < last) return "some"
    last = id
  }
  return "none"
}
const snowflake = new Snowflake(new Date("2026-01-01T00:00:00Z"))
const timestamp = Date.parse("2026-06-01T12:00:00Z")
const ofOneTime = Array.from({ length: 5000 }, () => snowflake.generate({ timestamp }))
const other = new Other({ custom_epoch: Date.parse("2026-01-01T00:00:00Z"), instance_id: 1 })
const ofOther = Array.from({ length: 5000 }, () => other.getUniqueID())
const seen = [
  `ids of one time: ${different(ofOneTime)}`,
  `the clock, ids below the one before: ${backwards(() => snowflake.generate(), 200000)}`,
  `nodejs-snowflake: ${different(ofOther)}, below the one before: ${backwards(() => ofOther.shift(), 5000)}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "ids of one time: 5000, different 4096",
  "the clock, ids below the one before: some",
  "nodejs-snowflake: 5000, different 5000, below the one before: none"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
