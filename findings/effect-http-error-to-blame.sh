#!/usr/bin/env bash
# effect/http: a row that does not decode is answered with 400, and a value that is missing with 404.
#
# Versions:  effect 4.1.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a failure that a route does not handle is the server's own: 500, whatever its type is. Only what decodes
#            the request (`schemaBodyJson` and the like) says that the request was bad.
# Happens:   any SchemaError that leaves a handler becomes "Bad Request", and any NoSuchElementError "Not Found": also
#            that of a row of the database, of another service's answer or of a missing setting. The caller is told that
#            the request is at fault, and not to try again; a cache may keep a 404; alerts on 5xx stay silent, and
#            the line in the log is at level Info. As a defect (`Effect.orDie`) the same error is a 500.
# Setup:     routes that are asked by requests without anything to decode.
# Output:    a row that does not decode: 400
#            the same as a defect: 500
#            an Option that is none: 404
#            any other error: 500
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { Effect, Layer, Option, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import assert from "node:assert/strict"

const User = Schema.Struct({ id: Schema.Number, email: Schema.String })
const row = Schema.decodeUnknownEffect(User)({ id: 1, email: null })
const failures = {
  "a row that does not decode": row,
  "the same as a defect": Effect.orDie(row),
  "an Option that is none": Effect.fromOption(Option.none()),
  "any other error": Effect.fail(new Error("connection lost"))
}

const routes = Object.values(failures).map((failure, i) => HttpRouter.add("GET", `/${i}`, failure))
const { dispose, handler } = HttpRouter.toWebHandler(
  Layer.mergeAll(...routes).pipe(Layer.provideMerge(HttpServer.layerServices)),
  { disableLogger: true }
)
const seen = []
for (const [i, what] of Object.keys(failures).entries()) {
  const { status } = await handler(new Request(`http://127.0.0.1/${i}`))
  seen.push(`${what}: ${status}`)
}
await dispose()
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "a row that does not decode: 400",
  "the same as a defect: 500",
  "an Option that is none: 404",
  "any other error: 500"
], "the behaviour has changed")
JS
timeout 120 node_modules/.bin/node finding.mjs
