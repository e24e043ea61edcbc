#!/usr/bin/env bash
# unstorage: `job?id=1` and `job?id=2` are one key, and the text "4e10" comes back as a number.
#
# Versions:  unstorage 1.17.6 (its drivers `memory` and `fs-lite`), Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a key-value store keeps two keys apart, or refuses one that it cannot take, and what was stored as a text
#            is a text again.
# Happens:   a key ends at its first question mark, and `/`, `\` and `:` are one character in it, all at the beginning
#            and at the end left out: the second write replaces the first, in memory as well. A text is stored as it is
#            and read as JSON where it can be: a token or the beginning of a commit's hash that is digits with an "e"
#            is a number, of which the text is gone, or infinity; "null" is a missing value, and "true" true. Texts
#            such as "job-1" and "007" stay, so that tests with these find nothing. `getItemRaw` gives what is stored.
# Setup:     two keys are written; what is then read under the first, and which keys there are. Then texts, each as it
#            is read again.
# Output:    memory: job?id=1 is "second", keys job
#            memory: jobs/mail is "second", keys jobs:mail
#            memory: "4e10" 40000000000, "9e999" Infinity, "1.0" 1, "null" null, "true" true, "job-1" "job-1"
#            fs-lite: job?id=1 is "second", keys job
#            fs-lite: jobs/mail is "second", keys jobs:mail
#            fs-lite: "4e10" 40000000000, "9e999" Infinity, "1.0" 1, "null" null, "true" true, "job-1" "job-1"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error unstorage@1.17.6 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { createStorage } from "unstorage"
import files from "unstorage/drivers/fs-lite"
import memory from "unstorage/drivers/memory"

const shown = (value) => typeof value === "string" ? JSON.stringify(value) : String(value)
const seen = []
for (const [name, driver] of [["memory", memory()], ["fs-lite", files({ base: "./data" })]]) {
  const storage = createStorage({ driver })
  for (const [first, second] of [["job?id=1", "job?id=2"], ["jobs/mail", ":jobs:mail"]]) {
    await storage.setItem(first, "first")
    await storage.setItem(second, "second")
    const keys = (await storage.getKeys()).join(" ")
    seen.push(`${name}: ${first} is ${shown(await storage.getItem(first))}, keys ${keys}`)
    await storage.clear()
  }
  const texts = []
  for (const text of ["4e10", "9e999", "1.0", "null", "true", "job-1"]) {
    await storage.setItem("text", text)
    texts.push(`${shown(text)} ${shown(await storage.getItem("text"))}`)
  }
  seen.push(`${name}: ${texts.join(", ")}`)
}
console.log(seen.join("\n"))
const texts = '"4e10" 40000000000, "9e999" Infinity, "1.0" 1, "null" null, "true" true, "job-1" "job-1"'
assert.deepEqual(seen, [
  'memory: job?id=1 is "second", keys job',
  'memory: jobs/mail is "second", keys jobs:mail',
  `memory: ${texts}`,
  'fs-lite: job?id=1 is "second", keys job',
  'fs-lite: jobs/mail is "second", keys jobs:mail',
  `fs-lite: ${texts}`
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
