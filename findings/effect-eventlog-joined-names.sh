#!/usr/bin/env bash
# effect/eventlog: an encrypted event log server joins identity and store id with a slash, so that two pairs are one store.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  the server keeps batches "keyed by client public key and store id": what one identity stores is not another
#            one's, whatever characters the names have. Both are plain strings.
# Happens:   the key is `publicKey + "/" + storeId`. The store "b/c" of the identity "a" is the store "c" of "a/b": each
#            reads the other's batches, which it cannot decrypt, and a batch of the one takes a sequence of the other.
#            The SQL storage hashes the same text. The unencrypted server has no such pair.
# Output:    a writes to b/c, and reads sequences: 0
#            a/b reads from c, to which nothing was written: 0
#            a/b writes to c, and gets the sequence: 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Option, Stream } from "effect"
import { EventJournal, EventLogServerEncrypted } from "effect/eventlog"
import assert from "node:assert/strict"

const batch = () => ({
  entryIds: [EventJournal.makeEntryIdUnsafe()],
  iv: crypto.getRandomValues(new Uint8Array(12)),
  encryptedBatch: new Uint8Array(32)
})

const program = Effect.gen(function*() {
  const storage = yield* EventLogServerEncrypted.makeStorageMemory
  const first = (publicKey, storeId) =>
    storage.changes(publicKey, storeId, 0).pipe(Stream.runHead, Effect.timeout("1 second"), Effect.option)
  yield* storage.write("a", "b/c", [batch()])
  const own = yield* first("a", "b/c")
  const others = yield* first("a/b", "c")
  const [stored] = yield* storage.write("a/b", "c", [batch()])
  return [own, others].map((read) => Option.getOrUndefined(Option.flatten(read))?.sequence).concat(stored.sequence)
})

const [own, others, stored] = await Effect.runPromise(Effect.scoped(program))
console.log(`a writes to b/c, and reads sequences: ${own}`)
console.log(`a/b reads from c, to which nothing was written: ${others}`)
console.log(`a/b writes to c, and gets the sequence: ${stored}`)
assert.deepEqual([own, others, stored], [0, 0, 1], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
