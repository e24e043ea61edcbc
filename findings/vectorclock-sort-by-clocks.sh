#!/usr/bin/env bash
# vectorclock: sorted by their clocks, an effect comes before its cause, and a read repair drops the newest value.
#
# Versions:  vectorclock 0.0.0, @thi.ng/vclock 0.1.10, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  `sort(ascSort)`, as the page of vectorclock has it, puts a value behind those that it knows of, in whatever
#            order the replicas answered. The read repair of that page keeps the greatest, and all that are concurrent
#            with it.
# Happens:   two concurrent clocks compare as 0, which `sort` takes for equal. But old and new are both "equal" to a
#            third one that is concurrent with them, so that this is no order: where the third one stands in between,
#            old and new are never compared, and stay as they came. The read repair then takes the old value for the
#            greatest, and drops the new one that replaces it, from the answer and from all replicas. With the third
#            one at the top it keeps the old value besides. All of it depends on the order of the answers, so that it
#            happens now and then. @thi.ng/vclock compares in the same way.
# Setup:     an old value, a new one that was made of it, and one that is concurrent with both, in each order of the
#            answers. Right are "old" before "new", and "new" and "other" as what is kept.
# Output:    old new other: sorted old new other, the same by vclock, kept new other
#            old other new: sorted old other new, the same by vclock, kept old other
#            new old other: sorted old new other, the same by vclock, kept new other
#            new other old: sorted new other old, the same by vclock, kept new other
#            other old new: sorted other old new, the same by vclock, kept other new old
#            other new old: sorted other old new, the same by vclock, kept other new old
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error vectorclock@0.0.0 @thi.ng/vclock@0.1.10 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import * as vclock from "@thi.ng/vclock"
import assert from "node:assert/strict"
import vectorclock from "vectorclock"

const old = { name: "old", clock: { a: 1 } }
const newer = { name: "new", clock: vectorclock.increment({ ...old.clock }, "a") }
const other = { name: "other", clock: { b: 1 } }
assert.equal(vectorclock.compare(old, newer), -1)
assert.equal(vectorclock.compare(old, other), 0)
assert.equal(vectorclock.compare(newer, other), 0)

// What the page describes: sort with the greatest first, then keep that one and what is concurrent with it.
const repair = (answers) => {
  const [greatest, ...rest] = answers.toSorted(vectorclock.descSort)
  const concurrent = (value) =>
    vectorclock.isConcurrent(value, greatest) && !vectorclock.isIdentical(value, greatest)
  return [greatest, ...rest.filter(concurrent)]
}
const names = (values) => values.map(({ name }) => name).join(" ")
const orders = [
  [old, newer, other],
  [old, other, newer],
  [newer, old, other],
  [newer, other, old],
  [other, old, newer],
  [other, newer, old]
]
const seen = orders.map((answers) => {
  const sorted = names(answers.toSorted(vectorclock.ascSort))
  const byVclock = names(answers.toSorted((one, two) => vclock.compare(one.clock, two.clock)))
  const same = sorted === byVclock ? "the same" : byVclock
  return `${names(answers)}: sorted ${sorted}, ${same} by vclock, kept ${names(repair(answers))}`
})
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "old new other: sorted old new other, the same by vclock, kept new other",
  "old other new: sorted old other new, the same by vclock, kept old other",
  "new old other: sorted old new other, the same by vclock, kept new other",
  "new other old: sorted new other old, the same by vclock, kept new other",
  "other old new: sorted other old new, the same by vclock, kept other new old",
  "other new old: sorted other old new, the same by vclock, kept other new old"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
