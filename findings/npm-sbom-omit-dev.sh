#!/usr/bin/env bash
# npm sbom: --omit=dev leaves out what is shipped, when a development dependency needs it too.
#
# Versions:  npm 11.19.1, with ws 8.18.0 as a dependency and isomorphic-ws 5.0.0, which has ws as its peer, for
#            development. Seen 2026-11-28.
# Expected:  a bill of materials with --omit=dev lists what `npm ci --omit=dev` installs.
# Happens:   it lists what no development dependency reaches. A direct dependency of production that is also a
#            dependency or peer of a test library is missing, and nothing says so; --omit=peer drops it as well. The lock
#            file's own `dev` and `peer` marks are right.
# Output:    npm ci --omit=dev installs: ws
#            npm sbom lists: isomorphic-ws ws
#            npm sbom --omit=dev lists:
#            npm sbom --omit=peer lists: isomorphic-ws
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir tool shop
(cd tool && npm init -y >/dev/null && npm install --no-audit --no-fund --loglevel=error npm@11.19.1 >/dev/null)
npm_pinned() { node "$folder/tool/node_modules/npm/bin/npm-cli.js" --no-audit --no-fund --loglevel=error "$@"; }
cd shop
cat >package.json <<'JSON'
{
  "name": "shop",
  "version": "1.0.0",
  "dependencies": { "ws": "8.18.0" },
  "devDependencies": { "isomorphic-ws": "5.0.0" }
}
JSON
npm_pinned install --package-lock-only >/dev/null
npm_pinned ci --omit=dev >/dev/null
installed=$(cd node_modules && echo *)
echo "npm ci --omit=dev installs: $installed"
[ "$installed" = ws ]

listed() {
  npm_pinned sbom --sbom-format=cyclonedx --package-lock-only "$@" |
    node -e 'const { components } = JSON.parse(require("fs").readFileSync(0)); console.log(components.map((c) => c.name).join(" "))'
}
expect() {
  local wanted=$1 found
  shift
  found=$(listed "$@")
  echo "npm sbom${*:+ $*} lists: $found"
  [ "$found" = "$wanted" ] || { echo "the behaviour has changed" >&2; exit 1; }
}
expect "isomorphic-ws ws"
expect "" --omit=dev
expect "isomorphic-ws" --omit=peer
