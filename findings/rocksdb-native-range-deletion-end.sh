#!/usr/bin/env bash
# rocksdb-native: a range deletion that ends where the next table begins has that table written again.
#
# Versions:  rocksdb-native 3.18.1 (RocksDB 10.5.1), Node.js 24.21.0. Seen 2026-11-28, Linux x64.
# Expected:  the end of a range deletion is not part of it, so a table whose first key is that end has nothing to do
#            with the deletion, and a compaction of the deleted range leaves it alone.
# Happens:   RocksDB counts the end among the keys of the table that holds the deletion. The two tables overlap then, and
#            the compaction writes the untouched one again. With an end between the two keys it does not.
# Output:    end at the next table's first key: the next table was written again
#            end right behind the last deleted key: the next table stayed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error rocksdb-native@3.18.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { mkdtempSync, readdirSync } from "node:fs"
import RocksDB from "rocksdb-native"

const key = (i) => `entry-${String(i).padStart(4, "0")}`

const look = async (what, end) => {
  const path = mkdtempSync("db-")
  const db = new RocksDB(path)
  await db.ready()
  const tables = () => readdirSync(path).filter((name) => name.endsWith(".sst"))
  const write = async (from, through) => {
    const batch = db.write()
    for (let i = from; i <= through; i++) batch.tryPut(key(i), "x".repeat(100))
    await batch.flush()
    batch.destroy()
    const before = tables()
    await db.flush()
    return tables().filter((name) => !before.includes(name))
  }
  await write(0, 299)
  const next = await write(300, 599)
  await db.deleteRange(key(0), end)
  await db.flush()
  await db.compactRange(key(0), key(299))
  const stayed = next.every((name) => tables().includes(name))
  assert.equal(String(await db.get(key(300))), "x".repeat(100))
  assert.equal(await db.get(key(299)), null)
  await db.close()
  console.log(`${what}: the next table ${stayed ? "stayed" : "was written again"}`)
  return stayed
}

const atNext = await look("end at the next table's first key", key(300))
const behindLast = await look("end right behind the last deleted key", `${key(299)}\0`)
assert.deepEqual([atNext, behindLast], [false, true], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
