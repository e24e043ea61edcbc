#!/usr/bin/env bash
# @apidevtools/swagger-parser: `validate` checks a document of Swagger 2 for more than one of OpenAPI 3.
#
# Versions:  @apidevtools/swagger-parser 13.0.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  the newer the format, the more is checked; a mistake that is found in a document of version 2 is found
#            after it was converted to version 3.
# Happens:   what the JSON schema of the format cannot say is looked at for version 2 only: that a path and its
#            parameters fit each other, that an `operationId` is there once. In version 3 they pass, and what is made
#            of the document has an address with `{key}` in it, or lacks an operation. A step of CI that was there for
#            this finds nothing more since the conversion.
# Setup:     one document for each mistake, in three versions.
# Output:    no mistake: 2.0 passes, 3.0.3 passes, 3.1.0 passes
#            path parameter not declared: 2.0 refused, 3.0.3 passes, 3.1.0 passes
#            operationId twice: 2.0 refused, 3.0.3 passes, 3.1.0 passes
#            parameter of another path: 2.0 refused, 3.0.3 passes, 3.1.0 passes
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @apidevtools/swagger-parser@13.0.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import SwaggerParser from "@apidevtools/swagger-parser"
import assert from "node:assert/strict"

const versions = ["2.0", "3.0.3", "3.1.0"]
// An operation for a version, with the names of its path parameters.
const operation = (version, operationId, ...names) => ({
  operationId,
  parameters: names.map((name) => ({
    name,
    in: "path",
    required: true,
    ...(version === "2.0" ? { type: "string" } : { schema: { type: "string" } })
  })),
  responses: { 200: { description: "the value" } }
})
const cases = {
  "no mistake": (version) => ({ "/keys/{key}": { get: operation(version, "get", "key") } }),
  "path parameter not declared": (version) => ({ "/keys/{key}": { get: operation(version, "get") } }),
  "operationId twice": (version) => ({
    "/keys/{key}": { get: operation(version, "get", "key") },
    "/leases/{id}": { get: operation(version, "get", "id") }
  }),
  "parameter of another path": (version) => ({ "/keys/{key}": { get: operation(version, "get", "key", "id") } })
}
const seen = []
for (const [what, pathsOf] of Object.entries(cases)) {
  const found = []
  for (const version of versions) {
    const format = version === "2.0" ? { swagger: version } : { openapi: version }
    const document = { ...format, info: { title: "store", version: "1" }, paths: pathsOf(version) }
    found.push(`${version} ${await SwaggerParser.validate(document).then(() => "passes", () => "refused")}`)
  }
  seen.push(`${what}: ${found.join(", ")}`)
}
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "no mistake: 2.0 passes, 3.0.3 passes, 3.1.0 passes",
  "path parameter not declared: 2.0 refused, 3.0.3 passes, 3.1.0 passes",
  "operationId twice: 2.0 refused, 3.0.3 passes, 3.1.0 passes",
  "parameter of another path: 2.0 refused, 3.0.3 passes, 3.1.0 passes"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
