#!/usr/bin/env bash
# pg and @effect/sql-pg: an empty array stored in a JSON column comes back as an empty object.
#
# Versions:  pg 8.23.1, @effect/sql-pg 4.0.5, effect 4.1.0, PGlite 0.5.14 (PostgreSQL 18), Node.js 24.21.0. Seen
#            2026-11-30.
# Expected:  a value for a JSON column is sent as JSON, as an object is; or arrays, which PostgreSQL has as a type of
#            its own, are refused there.
# Happens:   an array is sent as PostgreSQL writes its arrays, in braces, whatever the column is. That of `[1]` is no
#            JSON and is an error. That of `[]` is `{}`, which is JSON, and is stored as an object. A list that starts
#            out empty passes each test that does not look at it again, and is no list when it is read.
#            `JSON.stringify`, or `sql.json`, helps.
# Setup:     a column of type jsonb. Each line is a value and what comes back.
# Output:    pg: {"a":1} -> {"a":1}, [1] -> refused, [] -> {}, JSON.stringify([]) -> []
#            @effect/sql-pg: {"a":1} -> refused, [1] -> refused, [] -> {}, sql.json([]) -> []
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error pg@8.23.1 effect@4.1.0 @effect/sql-pg@4.0.5 \
  @electric-sql/pglite@0.5.14 @electric-sql/pglite-socket@0.2.17 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { PgClient } from "@effect/sql-pg"
import { PGlite } from "@electric-sql/pglite"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"
import { Effect } from "effect"
import assert from "node:assert/strict"
import pg from "pg"

// A server of its own for each client, since it takes one connection at a time.
const serve = async () => {
  const server = new PGLiteSocketServer({ db: await PGlite.create(), host: "127.0.0.1", port: 0 })
  await server.start()
  return { host: "127.0.0.1", port: Number(server.getServerConn().split(":").at(-1)), database: "postgres" }
}

// What comes back of each value, by a function that stores it and reads it.
const look = async (what, values, store) => {
  const backs = []
  for (const [name, value] of values) {
    const back = await store(value).then(JSON.stringify, () => "refused")
    backs.push(`${name} -> ${back}`)
  }
  console.log(`${what}: ${backs.join(", ")}`)
  return backs.join(", ")
}
const plain = [[{ a: 1 }], [[1]], [[]]].map(([value]) => [JSON.stringify(value), value])

const client = new pg.Client({ ...await serve(), user: "postgres" })
await client.connect()
await client.query("create table documents (body jsonb)")
const ofPg = await look("pg", [...plain, ["JSON.stringify([])", JSON.stringify([])]], async (value) => {
  await client.query("delete from documents")
  await client.query("insert into documents values ($1)", [value])
  return (await client.query("select body from documents")).rows[0].body
})

const layer = PgClient.layer({ ...await serve(), username: "postgres", maxConnections: 1 })
const ofEffect = await Effect.runPromise(
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    yield* sql`create table documents (body jsonb)`
    return yield* Effect.promise(() =>
      look("@effect/sql-pg", [...plain, ["sql.json([])", sql.json([])]], (body) =>
        Effect.runPromise(Effect.gen(function*() {
          yield* sql`delete from documents`
          yield* sql`insert into documents ${sql.insert({ body })}`
          return (yield* sql`select body from documents`)[0].body
        })))
    )
  }).pipe(Effect.provide(layer))
)
assert.equal(
  ofPg,
  '{"a":1} -> {"a":1}, [1] -> refused, [] -> {}, JSON.stringify([]) -> []',
  "the behaviour has changed"
)
assert.equal(
  ofEffect,
  '{"a":1} -> refused, [1] -> refused, [] -> {}, sql.json([]) -> []',
  "the behaviour has changed"
)
process.exit()
JS
timeout 120 node_modules/.bin/node finding.mjs
