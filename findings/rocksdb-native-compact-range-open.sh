#!/usr/bin/env bash
# rocksdb-native: `compactRange` without bounds fails once keys have an encoding, and then `close` never ends.
#
# Versions:  rocksdb-native 3.18.1, Node.js 24.21.0. Seen 2026-11-29.
# Expected:  both bounds are optional, `null` by default, and stand for the whole family, whatever the encoding is.
# Happens:   the default is handed to the encoding, which throws. The request was counted already and is never
#            finished, so that `close` waits for it for ever.
# Setup:     a database with an encoding that asks its keys for their length, as any does.
# Output:    without an encoding: compacted, closed
#            with an encoding: Cannot read properties of null (reading 'length'), not closed within 2 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rocksdb-native@3.18.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import RocksDB from "rocksdb-native"

const keyEncoding = {
  preencode: (state, text) => {
    state.end += text.length
  },
  encode: (state, text) => {
    state.start += state.buffer.write(text, state.start, "latin1")
  }
}

const tried = async (name, options) => {
  const db = new RocksDB(`./${name.replaceAll(/\W/g, "-")}`, options)
  await db.ready()
  await db.put("a", "1")
  const said = await db.compactRange().then(() => "compacted", ({ message }) => message)
  const waited = new Promise((resolve) => setTimeout(resolve, 2_000, "not closed within 2 s"))
  const closed = await Promise.race([db.close().then(() => "closed"), waited])
  console.log(`${name}: ${said}, ${closed}`)
  return [said, closed]
}

const seen = [await tried("without an encoding", {}), await tried("with an encoding", { keyEncoding })]
assert.deepEqual(seen, [
  ["compacted", "closed"],
  ["Cannot read properties of null (reading 'length')", "not closed within 2 s"]
], "the behaviour has changed")
process.exit(0)
JS
node_modules/.bin/node finding.mjs
