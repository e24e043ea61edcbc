#!/usr/bin/env bash
# @effect/sql-pg: the transforms of names rename keys within JSON values too, on the way in and out, and lose some.
#
# Versions:  @effect/sql-pg 4.0.5, effect 4.1.0, PGlite 0.5.14 (PostgreSQL 18), Node.js 24.21.0. Seen 2026-11-30.
# Expected:  `camelToSnake` for queries and `snakeToCamel` for results rename columns. What is in a column is data, and
#            comes back as it was written.
# Happens:   plain objects within a value are renamed as well, at any depth, unless `transformJson: false` is given.
#            Neither step is the reverse of the other. A map whose keys are data (parts, users, labels) comes back with
#            other keys, and of two keys that become one, one value is lost without an error.
# Setup:     a JSON column `stock_by_item`, written and read as `stockByItem`; what is stored is seen as text.
# Output:    written: {"bolt_m4":7,"boltM4":2,"Nut":5}
#            by default: stored {"_nut":5,"bolt_m4":2}, read {"_nut":5,"boltM4":2}
#            transformJson false: stored {"Nut":5,"boltM4":2,"bolt_m4":7}, read {"Nut":5,"boltM4":2,"bolt_m4":7}
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
import { Effect, String } from "effect"
import { Reactivity } from "effect/reactivity"
import assert from "node:assert/strict"

const database = await PGlite.create()
const server = new PGLiteSocketServer({ db: database, host: "127.0.0.1", port: 0, maxConnections: 2 })
await server.start()
const client = (options) =>
  PgClient.make({
    host: "127.0.0.1",
    port: Number(server.getServerConn().split(":").at(-1)),
    username: "postgres",
    database: "postgres",
    maxConnections: 1,
    transformResultNames: String.snakeToCamel,
    transformQueryNames: String.camelToSnake,
    ...options
  })

const stock = { bolt_m4: 7, boltM4: 2, Nut: 5 }
const seen = [`written: ${JSON.stringify(stock)}`]
const look = Effect.fnUntraced(function*(what, options) {
  const sql = yield* client(options)
  yield* sql`insert into stores ${sql.insert({ stockByItem: sql.json(stock) })}`
  const [{ stored }] = yield* sql`select stock_by_item::text as stored from stores`
  const [{ stockByItem }] = yield* sql`delete from stores returning *`
  seen.push(`${what}: stored ${stored.replaceAll(" ", "")}, read ${JSON.stringify(stockByItem)}`)
})
await database.query("create table stores (stock_by_item json)")
await Effect.runPromise(
  Effect.gen(function*() {
    yield* look("by default", {})
    yield* look("transformJson false", { transformJson: false })
  }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'written: {"bolt_m4":7,"boltM4":2,"Nut":5}',
  'by default: stored {"_nut":5,"bolt_m4":2}, read {"_nut":5,"boltM4":2}',
  'transformJson false: stored {"Nut":5,"boltM4":2,"bolt_m4":7}, read {"Nut":5,"boltM4":2,"bolt_m4":7}'
], "the behaviour has changed")
process.exit()
JS
timeout 120 node_modules/.bin/node finding.mjs
