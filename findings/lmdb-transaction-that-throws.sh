#!/usr/bin/env bash
# lmdb (npm): what a transaction wrote before it threw is stored.
#
# Versions:  lmdb 3.5.6, Node.js 24.21.0. Seen 2026-11-30, Linux x64.
# Expected:  a transaction is all or nothing: the promise of one whose callback throws is rejected, and what it wrote
#            is undone, as with `transactionSync` of the same library.
# Happens:   the promise is rejected, and the writes stay. `transaction` gathers callbacks to one commit, and an error
#            of one does not undo it. So a transfer that finds out halfway that it must not be leaves the half, and
#            whoever tries again does it twice. `childTransaction` and `transactionSync` undo; `transaction` is the
#            usual one.
# Setup:     50 are taken from `from`, which has 100, and then the callback throws.
# Output:    transaction: rejected, from is 50
#            transaction, async callback: rejected, from is 50
#            childTransaction: rejected, from is 100
#            transactionSync: rejected, from is 100
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error lmdb@3.5.6 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { open } from "lmdb"
import assert from "node:assert/strict"

const store = open({ path: "database" })
const transfer = () => {
  store.put("from", store.get("from") - 50)
  throw new Error("the other account is closed")
}
const asynchronous = async () => {
  await null
  transfer()
}
const seen = []
const look = async (name, run) => {
  await store.put("from", 100)
  const is = await Promise.resolve().then(run).then(() => "resolved", () => "rejected")
  await store.flushed
  seen.push(`${name}: ${is}, from is ${store.get("from")}`)
}
await look("transaction", () => store.transaction(transfer))
await look("transaction, async callback", () => store.transaction(asynchronous))
await look("childTransaction", () => store.childTransaction(transfer))
await look("transactionSync", () => store.transactionSync(transfer))
await store.close()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "transaction: rejected, from is 50",
  "transaction, async callback: rejected, from is 50",
  "childTransaction: rejected, from is 100",
  "transactionSync: rejected, from is 100"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
