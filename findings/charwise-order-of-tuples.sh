#!/usr/bin/env bash
# charwise: within an array, a text sorts before a shorter one that it begins with, and a character 0 comes back as 1.
#
# Versions:  charwise 3.0.1, bytewise 1.1.0, lmdb 3.5.6, classic-level 3.0.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  an encoding of keys for Level keeps the order of the values, so that a range of them is a range of keys,
#            and gives back what was put in. Its page says that the order is that of bytewise.
# Happens:   elements end with a comma, so that each character below it, such as a space or any of `!"#$%&'()*+`,
#            makes the longer text the smaller one, which does not happen outside an array. A range from ["web"] on
#            leaves out ["web server"], which a range up to it has. A character 0 comes back as 1, and 1 as two of
#            them, so that a get by a key that was read finds nothing. bytewise and lmdb keep the order, and bytewise
#            these characters.
# Setup:     three keys of two elements in classic-level with `keyEncoding` charwise, and in lmdb; "|" is between keys.
# Output:    charwise, in an array: web server < web < webs
#            charwise, by itself: web < web server < webs
#            bytewise, in an array: web < web server < webs
#            charwise, from ["web"] on: web,1 | webs,1
#            lmdb, from ["web"] on: web,1 | web server,1 | webs,1
#            charwise, "a\u0000" comes back as "a\u0001", "\u0001" as "\u0001\u0001"
#            bytewise, "a\u0000" comes back as "a\u0000", "\u0001" as "\u0001"
#            charwise, a get by the key that was read finds nothing
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error charwise@3.0.1 bytewise@1.1.0 lmdb@3.5.6 \
  classic-level@3.0.0 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import bytewise from "bytewise"
import charwise from "charwise"
import { ClassicLevel } from "classic-level"
import { open } from "lmdb"
import assert from "node:assert/strict"

const names = ["webs", "web", "web server"]
const inOrder = (encode) => names.toSorted((a, b) => Buffer.compare(encode(a), encode(b))).join(" < ")
const byCharwise = (value) => Buffer.from(charwise.encode(value))
const level = new ClassicLevel("level", { keyEncoding: charwise })
const lmdb = open({ path: "lmdb" })
for (const name of names) {
  await level.put([name, 1], "")
  await lmdb.put([name, 1], "")
}
const comesBack = (codec) => {
  const [a, b] = ["a\u0000", "\u0001"].map((text) => JSON.stringify(codec.decode(codec.encode(text))))
  return `"a\\u0000" comes back as ${a}, "\\u0001" as ${b}`
}
const texts = new ClassicLevel("texts", { keyEncoding: charwise })
await texts.put("a\u0000", "value")
const [read] = await texts.keys().all()

const seen = [
  `charwise, in an array: ${inOrder((name) => byCharwise([name]))}`,
  `charwise, by itself: ${inOrder(byCharwise)}`,
  `bytewise, in an array: ${inOrder((name) => bytewise.encode([name]))}`,
  `charwise, from ["web"] on: ${(await level.keys({ gte: ["web"] }).all()).join(" | ")}`,
  `lmdb, from ["web"] on: ${[...lmdb.getKeys({ start: ["web"] })].join(" | ")}`,
  `charwise, ${comesBack(charwise)}`,
  `bytewise, ${comesBack(bytewise)}`,
  `charwise, a get by the key that was read finds ${(await texts.get(read)) ?? "nothing"}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "charwise, in an array: web server < web < webs",
  "charwise, by itself: web < web server < webs",
  "bytewise, in an array: web < web server < webs",
  "charwise, from [\"web\"] on: web,1 | webs,1",
  "lmdb, from [\"web\"] on: web,1 | web server,1 | webs,1",
  "charwise, \"a\\u0000\" comes back as \"a\\u0001\", \"\\u0001\" as \"\\u0001\\u0001\"",
  "bytewise, \"a\\u0000\" comes back as \"a\\u0000\", \"\\u0001\" as \"\\u0001\"",
  "charwise, a get by the key that was read finds nothing"
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
