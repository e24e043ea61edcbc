#!/usr/bin/env bash
# effect/sql: `sql.or` of no conditions holds for every row, while `sql.in` of no values holds for none.
#
# Versions:  effect 4.1.0, @effect/sql-pg 4.0.5, PGlite 0.5.14 (PostgreSQL 18), Node.js 24.21.0. Seen 2026-11-30.
# Expected:  "any of these" of nothing is false, as `[].some(f)` is and as `sql.in("id", [])` is; only "all of these" of
#            nothing is true.
# Happens:   `sql.or([])` is `1=1`, like `sql.and([])`. A delete by a list of pairs (`sql.in` takes one column) deletes
#            the whole table when the list is empty.
# Setup:     a table of three rows; each line deletes by a list of keys, in a transaction that is rolled back.
# Output:    or, keys of one row: deletes 1
#            or, no keys: deletes 3
#            in, no keys: deletes 0
#            Array.prototype.some, no keys: finds 0
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

const rows = [{ shelf: 1, place: 1 }, { shelf: 1, place: 2 }, { shelf: 2, place: 1 }]
const seen = await Effect.runPromise(
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table books (shelf int, place int)`
    yield* sql`insert into books ${sql.insert(rows)}`
    const deletes = (where) =>
      sql`delete from books where ${where} returning *`.pipe(
        Effect.flatMap(({ length }) => Effect.fail(length)),
        sql.withTransaction,
        Effect.flip
      )
    const pairs = (keys) => sql.or(keys.map(({ shelf, place }) => sql`(shelf = ${shelf} and place = ${place})`))
    return [
      `or, keys of one row: deletes ${yield* deletes(pairs([rows[2]]))}`,
      `or, no keys: deletes ${yield* deletes(pairs([]))}`,
      `in, no keys: deletes ${yield* deletes(sql.in("shelf", []))}`,
      `Array.prototype.some, no keys: finds ${rows.filter((row) => [].some((key) => key === row)).length}`
    ]
  }).pipe(Effect.provide(layer))
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "or, keys of one row: deletes 1",
  "or, no keys: deletes 3",
  "in, no keys: deletes 0",
  "Array.prototype.some, no keys: finds 0"
], "the behaviour has changed")
process.exit()
JS
timeout 120 node_modules/.bin/node finding.mjs
