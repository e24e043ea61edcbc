#!/usr/bin/env bash
# effect/cli: a Boolean flag swallows the next word when that reads like yes or no.
#
# Versions:  effect 4.1.0, @effect/platform-node 4.1.0, Node.js 24.21.0. Seen 2026-11-28.
# Expected:  `--json` is a switch (its documentation shows `--json` and `--no-json`), so the word behind it is an
#            argument.
# Happens:   `true yes on 1 y` and `false no off 0 n` behind the switch are its value. With a required argument that is
#            an error; with an optional one the command runs without its argument, or with the switch off. It depends on
#            the data: a key named `1` or `on` fails where `name` works. `--` or the switch at the end helps.
# Output:    --json name -> {"json":true,"key":"name"}
#            --json on -> {"json":true,"key":"(none)"}
#            --json 1 -> {"json":true,"key":"(none)"}
#            --json n -> {"json":false,"key":"(none)"}
#            --json off name -> {"json":false,"key":"name"}
#            --json -- 1 -> {"json":true,"key":"1"}
#            1 --json -> {"json":true,"key":"1"}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error effect@4.1.0 @effect/platform-node@4.1.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import assert from "node:assert/strict"

let seen
const get = Command.make(
  "get",
  { json: Flag.Boolean("json"), key: Argument.String("key").pipe(Argument.withDefault("(none)")) },
  ({ json, key }) => Effect.sync(() => { seen = { json, key } })
)
const run = Command.runWith(get, { version: "1.0.0" })

const lines = {
  "--json name": { json: true, key: "name" },
  "--json on": { json: true, key: "(none)" },
  "--json 1": { json: true, key: "(none)" },
  "--json n": { json: false, key: "(none)" },
  "--json off name": { json: false, key: "name" },
  "--json -- 1": { json: true, key: "1" },
  "1 --json": { json: true, key: "1" }
}
for (const [line, expected] of Object.entries(lines)) {
  await Effect.runPromise(run(line.split(" ")).pipe(Effect.provide(NodeServices.layer)))
  console.log(`${line} -> ${JSON.stringify(seen)}`)
  assert.deepEqual(seen, expected, "the behaviour has changed")
}
JS
node_modules/.bin/node finding.mjs
