#!/usr/bin/env bash
# publint and attw: both pass a package whose declarations import a package that it does not bring along.
#
# Versions:  publint 0.3.25, @arethetypeswrong/cli 0.18.5, typescript 7.0.2, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  "are the types wrong" covers an import in a declaration that leads nowhere for who installs the package:
#            one of a development dependency, or of none at all. An import of a file that is missing is found.
# Happens:   imports of other packages are not followed. The author has the package installed; who installs this one
#            does not, and with `skipLibCheck` (most projects) each type that comes from there is `any`, without an
#            error: any argument will do. Without it, the errors are in `node_modules`.
# Setup:     a package with `connect(socket: Socket): Socket`, where Socket comes from a development dependency, or, for
#            comparison, from a file that is not packed. A caller gives it a number.
# Output:    Socket of a development dependency: publint passes, attw passes, tsc passes connect(42)
#            Socket of a file that is not packed: publint passes, attw complains, tsc passes connect(42)
#            Socket of its own: publint passes, attw passes, tsc complains of connect(42)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error publint@0.3.25 @arethetypeswrong/cli@0.18.5 \
  typescript@7.0.2 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
export PATH="$folder/node_modules/.bin:$folder/node_modules/node/bin:$PATH"

mkdir library
cat >library/package.json <<'JSON'
{
  "name": "library", "version": "1.0.0", "type": "module", "license": "MIT",
  "exports": { ".": { "types": "./index.d.ts", "default": "./index.js" } },
  "files": ["index.js", "index.d.ts"],
  "devDependencies": { "socket-types": "1.0.0" }
}
JSON
echo 'export const connect = (socket) => socket' >library/index.js
cat >tsconfig.json <<'JSON'
{
  "compilerOptions": {
    "module": "nodenext", "strict": true, "skipLibCheck": true, "noEmit": true, "types": []
  },
  "files": ["caller.mts"]
}
JSON
printf '%s\n' 'import { connect } from "library"' 'connect(42)' >caller.mts

verdict() { if timeout 120 "$@" >>log 2>&1; then echo passes; else echo complains; fi; }
# look WHAT DECLARATION: the verdicts on a package with that declaration of Socket.
look() {
  printf '%s\n' "$2" 'export declare const connect: (socket: Socket) => Socket' >library/index.d.ts
  rm -rf node_modules/library
  (cd library && npm pack --silent >/dev/null)
  local first second third of=
  first=$(verdict publint run library --strict)
  second=$(verdict attw library/library-1.0.0.tgz --profile esm-only)
  mkdir node_modules/library
  tar -xzf library/library-1.0.0.tgz -C node_modules/library --strip-components 1
  third=$(verdict tsc -p .)
  [[ $third == passes ]] || of=" of"
  echo "$1: publint $first, attw $second, tsc $third$of connect(42)"
}
{
  look "Socket of a development dependency" 'import type { Socket } from "socket-types"'
  look "Socket of a file that is not packed" 'import type { Socket } from "./socket.js"'
  look "Socket of its own" 'export interface Socket { readonly port: number }'
} | tee output
diff - output <<'EXPECTED' || { cat log >&2; echo "the behaviour has changed" >&2; exit 1; }
Socket of a development dependency: publint passes, attw passes, tsc passes connect(42)
Socket of a file that is not packed: publint passes, attw complains, tsc passes connect(42)
Socket of its own: publint passes, attw passes, tsc complains of connect(42)
EXPECTED
