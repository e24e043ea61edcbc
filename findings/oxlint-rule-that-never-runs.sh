#!/usr/bin/env bash
# oxlint: a rule that is set to "error" is not run when its plugin is not named or its types are not asked for.
#
# Versions:  oxlint 1.89.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a rule that the configuration sets to "error" is run. Where it cannot be, that is an error of the
#            configuration, as a misspelt rule is.
# Happens:   the configuration is accepted, and the rule is left out without a word, in two cases: its plugin is one of
#            those that are off by default, such as `import`, and is not in `plugins`; or it needs types, as
#            `typescript/no-floating-promises` does, and `--type-aware` is not given. The names are known all the same,
#            since a misspelt rule of the plugin that is off is refused. "0 errors", exit code 0.
# Setup:     two modules that import each other, one with a promise that nobody waits for.
# Output:    import/no-cycle, plugin not named: exit code 0, Found 0 warnings and 0 errors.
#            import/no-cycle, plugin named: exit code 1, Found 0 warnings and 2 errors.
#            import/no-cycel, plugin not named: exit code 1, Rule 'no-cycel' not found in plugin 'import'
#            typescript/no-floating-promises: exit code 0, Found 0 warnings and 0 errors.
#            typescript/no-floating-promises, --type-aware: exit code 1, Found 0 warnings and 1 error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error oxlint@1.89.0 oxlint-tsgolint@7.0.2008 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
export PATH="$folder/node_modules/node/bin:$PATH"

mkdir src
cat >src/a.ts <<'TS'
import { b } from "./b.ts"
export const a = (): void => b()
export const later = async (): Promise<void> => {}
later()
TS
cat >src/b.ts <<'TS'
import { a } from "./a.ts"
export const b = (): void => a()
TS
echo '{ "compilerOptions": { "allowImportingTsExtensions": true, "noEmit": true } }' >tsconfig.json

# look WHAT CONFIGURATION ARGUMENT…: the exit code and what oxlint says.
look() {
  local what=$1 code=0
  echo "$2" >oxlint.json
  shift 2
  timeout 120 node_modules/.bin/oxlint -c oxlint.json "$@" src >log 2>&1 || code=$?
  echo "$what: exit code $code, $(grep -o 'Found .*\|Rule .*' log)"
}
promises='{ "rules": { "typescript/no-floating-promises": "error" } }'
{
  look "import/no-cycle, plugin not named" '{ "rules": { "import/no-cycle": "error" } }'
  look "import/no-cycle, plugin named" '{ "plugins": ["import"], "rules": { "import/no-cycle": "error" } }'
  look "import/no-cycel, plugin not named" '{ "rules": { "import/no-cycel": "error" } }'
  look "typescript/no-floating-promises" "$promises"
  look "typescript/no-floating-promises, --type-aware" "$promises" --type-aware
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
import/no-cycle, plugin not named: exit code 0, Found 0 warnings and 0 errors.
import/no-cycle, plugin named: exit code 1, Found 0 warnings and 2 errors.
import/no-cycel, plugin not named: exit code 1, Rule 'no-cycel' not found in plugin 'import'
typescript/no-floating-promises: exit code 0, Found 0 warnings and 0 errors.
typescript/no-floating-promises, --type-aware: exit code 1, Found 0 warnings and 1 error.
EXPECTED
