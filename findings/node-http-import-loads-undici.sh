#!/usr/bin/env bash
# node:http: an import of it loads undici, though only `get` is imported. `require` and `getBuiltinModule` do not.
#
# Versions:  Node.js 24.21.0. Seen 2026-11-30.
# Expected:  undici, which is behind `fetch` and `WebSocket`, is loaded by the first use of one of them.
# Happens:   the names of a module that is imported are read at once. `http.WebSocket` is a getter that loads undici, so
#            that `import { get } from "node:http"` takes two to three times the processor time of a process that imports nothing.
#            FlareDB takes the module from `process.getBuiltinModule` (`src/http/NodeHttp.ts`).
# Setup:     the names of the modules that a process has loaded, after each of the three.
# Output:    import: undici
#            require: no undici
#            getBuiltinModule: no undici
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

undici='process.moduleLoadList.some((name) => name.includes("undici/undici")) ? "undici" : "no undici"'
echo "import { get } from \"node:http\"; void get; console.log(\"import:\", $undici)" >import.mjs
echo "const { get } = require(\"node:http\"); void get; console.log(\"require:\", $undici)" >require.cjs
echo "const { get } = process.getBuiltinModule(\"node:http\"); void get; console.log(\"getBuiltinModule:\", $undici)" \
  >get.mjs

printed=$(for file in import.mjs require.cjs get.mjs; do timeout 60 node_modules/.bin/node "$file"; done)
echo "$printed"
[[ $printed == $'import: undici\nrequire: no undici\ngetBuiltinModule: no undici' ]] ||
  { echo "the behaviour has changed" >&2; exit 1; }
