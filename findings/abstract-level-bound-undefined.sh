#!/usr/bin/env bash
# abstract-level: a bound of a range that is `undefined` or `null` is the text "undefined" or "null".
#
# Versions:  classic-level 3.0.0, memory-level 3.1.0, lmdb 3.5.6, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a range of `{ gt: cursor, limit }` whose cursor is not set yet begins at the first key, as it does in lmdb
#            and where the option is left out.
# Happens:   the bound is encoded as a key would be, which makes the text "undefined" of it, for keys of bytes too. The
#            first page of a listing leaves out each key up to that word, and no other page has them: `job:1` and
#            `node:2` are never seen, `user:3` is, so that tests can pass. As an end it leaves out what comes behind,
#            and `clear` removes the wrong part. `null` is cut at "null". Nothing fails, though neither can be a key.
#            Its page says that such bounds mean something in some encodings, and not what they mean in these.
# Setup:     the keys job:1, node:2, user:3 and vote:4; a listing takes two a page and goes on behind the last one.
# Output:    classic-level, no bound: job:1 node:2 user:3 vote:4
#            classic-level, listed by pages: user:3 vote:4
#            classic-level, gt undefined: user:3 vote:4
#            classic-level, lt undefined: job:1 node:2
#            classic-level, gt null: user:3 vote:4
#            classic-level, left by clear of gte undefined: job:1 node:2
#            memory-level, gt undefined: user:3 vote:4
#            lmdb, start undefined: job:1 node:2 user:3 vote:4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error classic-level@3.0.0 memory-level@3.1.0 lmdb@3.5.6 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { ClassicLevel } from "classic-level"
import { open } from "lmdb"
import { MemoryLevel } from "memory-level"
import assert from "node:assert/strict"

const names = ["job:1", "node:2", "user:3", "vote:4"]
const fill = async (store) => {
  for (const name of names) await store.put(name, "")
  return store
}
const level = await fill(new ClassicLevel("level"))
const memory = await fill(new MemoryLevel())
const lmdb = await fill(open({ path: "lmdb" }))
const keys = async (store, range) => (await store.keys(range).all()).join(" ")
const byPages = async () => {
  const found = []
  let cursor
  for (;;) {
    const page = await level.keys({ gt: cursor, limit: 2 }).all()
    if (page.length === 0) return found.join(" ")
    found.push(...page)
    cursor = page.at(-1)
  }
}

const seen = [
  `classic-level, no bound: ${await keys(level, {})}`,
  `classic-level, listed by pages: ${await byPages()}`,
  `classic-level, gt undefined: ${await keys(level, { gt: undefined })}`,
  `classic-level, lt undefined: ${await keys(level, { lt: undefined })}`,
  `classic-level, gt null: ${await keys(level, { gt: null })}`
]
await level.clear({ gte: undefined })
seen.push(
  `classic-level, left by clear of gte undefined: ${await keys(level, {})}`,
  `memory-level, gt undefined: ${await keys(memory, { gt: undefined })}`,
  `lmdb, start undefined: ${[...lmdb.getKeys({ start: undefined })].join(" ")}`
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "classic-level, no bound: job:1 node:2 user:3 vote:4",
  "classic-level, listed by pages: user:3 vote:4",
  "classic-level, gt undefined: user:3 vote:4",
  "classic-level, lt undefined: job:1 node:2",
  "classic-level, gt null: user:3 vote:4",
  "classic-level, left by clear of gte undefined: job:1 node:2",
  "memory-level, gt undefined: user:3 vote:4",
  "lmdb, start undefined: job:1 node:2 user:3 vote:4"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
