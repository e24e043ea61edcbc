#!/usr/bin/env bash
# effect/sql: `sql.insert` of several rows takes its columns from the first, and drops what the others have besides.
#
# Versions:  effect 4.1.0, @effect/sql-pg 4.0.5, PGlite 0.5.14 (PostgreSQL 18), Node.js 24.21.0. Seen 2026-11-30.
# Expected:  rows with optional fields go in as if each was inserted alone: the columns are those of all rows together,
#            and a row that has no value for a column gets its default; or rows that differ are an error.
# Happens:   a field that the first row lacks is left out of all, without a word, and the other way round a field that
#            only the first one has is NULL in the others, where their default would be another value. So what is
#            stored depends on the order of the batch. `sql.updateValues` takes its columns from the first row as well.
# Setup:     a table with a column `note` whose default is `none`; one row has a note and one has not.
# Output:    one by one: 1 none, 2 paid
#            together, the one without a note first: 1 none, 2 none
#            together, the one with a note first: 1 null, 2 paid
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 @effect/sql-pg@4.0.5 \
  @electric-sql/pglite@0.5.14 @electric-sql/pglite-socket@0.2.17 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { PgClient } from "@effect/sql-pg"
import { PGlite } from "@electric-sql/pglite"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import assert from "node:assert/strict"

const database = await PGlite.create()
const server = new PGLiteSocketServer({ db: database, host: "127.0.0.1", port: 0 })
await server.start()
const port = Number(server.getServerConn().split(":").at(-1))
const layer = PgClient.layer({ host: "127.0.0.1", port, username: "postgres", database: "postgres", maxConnections: 1 })

const plain = { id: 1 }
const noted = { id: 2, note: "paid" }
const seen = await Effect.runPromise(
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table bills (id int, note text default 'none')`
    const look = Effect.fnUntraced(function*(what, batches) {
      for (const batch of batches) yield* sql`insert into bills ${sql.insert(batch)}`
      const rows = yield* sql`select id, note from bills order by id`
      yield* sql`delete from bills`
      return `${what}: ${rows.map(({ id, note }) => `${id} ${note}`).join(", ")}`
    })
    return [
      yield* look("one by one", [[plain], [noted]]),
      yield* look("together, the one without a note first", [[plain, noted]]),
      yield* look("together, the one with a note first", [[noted, plain]])
    ]
  }).pipe(Effect.provide(layer))
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "one by one: 1 none, 2 paid",
  "together, the one without a note first: 1 none, 2 none",
  "together, the one with a note first: 1 null, 2 paid"
], "the behaviour has changed")
process.exit()
JS
timeout 120 node_modules/.bin/node finding.mjs
