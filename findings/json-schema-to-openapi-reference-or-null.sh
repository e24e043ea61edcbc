#!/usr/bin/env bash
# @openapi-contrib/json-schema-to-openapi-schema: "a peer or null" becomes a reference, and null is no longer allowed.
#
# Versions:  @openapi-contrib/json-schema-to-openapi-schema 4.3.4, @openapi-contrib/openapi-schema-to-json-schema 5.1.0,
#            openapi-backend 5.21.2, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a schema that allows null, converted to OpenAPI 3.0, allows null, be it a text or a reference.
# Happens:   `{ "type": "null" }` in an `anyOf` becomes `nullable: true` at each of the others. At a reference that is
#            without effect: in OpenAPI 3.0 all that stands beside a `$ref` is ignored. So the answer of a server that
#            has no leader, with `"leader": null`, is wrong for whoever checks it, and the way back to JSON Schema
#            gives a schema without null. With a text in place of the reference all is well.
# Setup:     an answer of two fields that may be null, as JSON Schema; it is converted, put in a document, and an
#            answer is checked by openapi-backend.
# Output:    converted: {"anyOf":[{"$ref":"#/components/schemas/Peer","nullable":true}]}
#            and back: {"anyOf":[{"$ref":"#/components/schemas/Peer"}]}
#            {"leader":null}: /leader must be object
#            {"name":null}: valid
#            {"leader":{"id":1}}: valid
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  @openapi-contrib/json-schema-to-openapi-schema@4.3.4 @openapi-contrib/openapi-schema-to-json-schema@5.1.0 \
  openapi-backend@5.21.2 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { convert } from "@openapi-contrib/json-schema-to-openapi-schema"
import { openapiSchemaToJsonSchema } from "@openapi-contrib/openapi-schema-to-json-schema"
import assert from "node:assert/strict"
import { OpenAPIBackend } from "openapi-backend"

const orNull = (schema) => ({ anyOf: [schema, { type: "null" }] })
const status = {
  type: "object",
  properties: { leader: orNull({ $ref: "#/components/schemas/Peer" }), name: orNull({ type: "string" }) }
}
const schema = await convert(status)
const api = new OpenAPIBackend({
  definition: {
    openapi: "3.0.3",
    info: { title: "status", version: "1" },
    paths: {
      "/status": {
        get: {
          operationId: "status",
          responses: { 200: { description: "status", content: { "application/json": { schema } } } }
        }
      }
    },
    components: { schemas: { Peer: { type: "object", properties: { id: { type: "integer" } } } } }
  },
  quick: true,
  ajvOpts: { strict: false }
})
await api.init()
const check = (answer) => {
  const { errors } = api.validateResponse(answer, "status")
  const first = errors?.[0]
  return `${JSON.stringify(answer)}: ${first ? `${first.instancePath} ${first.message}` : "valid"}`
}
const seen = [
  `converted: ${JSON.stringify(schema.properties.leader)}`,
  `and back: ${JSON.stringify(openapiSchemaToJsonSchema(schema).properties.leader)}`,
  check({ leader: null }),
  check({ name: null }),
  check({ leader: { id: 1 } })
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'converted: {"anyOf":[{"$ref":"#/components/schemas/Peer","nullable":true}]}',
  'and back: {"anyOf":[{"$ref":"#/components/schemas/Peer"}]}',
  '{"leader":null}: /leader must be object',
  '{"name":null}: valid',
  '{"leader":{"id":1}}: valid'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
