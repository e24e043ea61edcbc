#!/usr/bin/env bash
# effect/sql: a migration whose number is below the highest one that ran is never run, and nothing says so.
#
# Versions:  effect 4.1.0, @effect/sql-pg 4.0.5, PGlite 0.5.14 (PostgreSQL 18), Node.js 24.21.0. Seen 2026-11-30.
# Expected:  the table of migrations has a row for each that ran, so the next start runs those that have none, or
#            refuses the gap.
# Happens:   only the highest number counts. Of two branches with 2 and 3, when 3 is merged and deployed first, 2 is
#            left out on every database that has 3, at each start, with success; a new database, such as that of the
#            tests, gets all. A number that is used again under another name is left out as well.
# Setup:     two databases, here two tables of migrations. Each line is what a start ran.
# Output:    first start with 1_users 3_orders: ran 1_users 3_orders
#            then with 1_users 2_emails 3_orders: ran nothing
#            then with 1_users 2_emails 3_invoices 4_notes: ran 4_notes
#            a new database with 1_users 2_emails 3_orders: ran 1_users 2_emails 3_orders
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
import { Migrator, SqlClient } from "effect/sql"
import assert from "node:assert/strict"

const database = await PGlite.create()
const server = new PGLiteSocketServer({ db: database, host: "127.0.0.1", port: 0 })
await server.start()
const port = Number(server.getServerConn().split(":").at(-1))
const layer = PgClient.layer({ host: "127.0.0.1", port, username: "postgres", database: "postgres", maxConnections: 1 })

const start = Effect.fnUntraced(function*(what, table, names) {
  const sql = yield* SqlClient.SqlClient
  const really = []
  const migrations = names.split(" ").map((name) => [
    name,
    Effect.andThen(sql`insert into ran values (${name})`, Effect.sync(() => really.push(name)))
  ])
  const told = yield* Migrator.make({})({ loader: Migrator.fromRecord(Object.fromEntries(migrations)), table })
  assert.deepEqual(told.map(([id, name]) => `${id}_${name}`), really)
  return `${what} with ${names}: ran ${really.join(" ") || "nothing"}`
})
const seen = await Effect.runPromise(
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table ran (name text)`
    return [
      yield* start("first start", "deployed", "1_users 3_orders"),
      yield* start("then", "deployed", "1_users 2_emails 3_orders"),
      yield* start("then", "deployed", "1_users 2_emails 3_invoices 4_notes"),
      yield* start("a new database", "fresh", "1_users 2_emails 3_orders")
    ]
  }).pipe(Effect.provide(layer))
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "first start with 1_users 3_orders: ran 1_users 3_orders",
  "then with 1_users 2_emails 3_orders: ran nothing",
  "then with 1_users 2_emails 3_invoices 4_notes: ran 4_notes",
  "a new database with 1_users 2_emails 3_orders: ran 1_users 2_emails 3_orders"
], "the behaviour has changed")
process.exit()
JS
timeout 120 node_modules/.bin/node finding.mjs
