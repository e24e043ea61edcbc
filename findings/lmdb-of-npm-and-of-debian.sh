#!/usr/bin/env bash
# lmdb (npm): Debian's tools for LMDB do not know its files, so that none of them backs up or looks into a store.
#
# Versions:  lmdb 3.5.6, Debian lmdb-utils and liblmdb0 0.9.24-1 (bookworm, amd64), Node.js 24.21.0. Seen 2026-11-30,
#            Linux x64.
# Expected:  the package is LMDB with an interface for JavaScript, so `mdb_copy` makes a backup of a store that is in
#            use, and `mdb_stat` and `mdb_dump` look into it, as LMDB's documents have it.
# Happens:   it brings a branch of LMDB whose files are other ones, and each tool says "File is not an LMDB file". An
#            operator who has the procedure for backups of LMDB has none, and one who reads that message at night
#            takes the store for damaged. The package's own `backup` makes the copy, from within the process.
# Setup:     a store of one key made by each of them. Each line is what a tool says of it.
# Output:    made by mdb_load: mdb_stat 1 entry, mdb_copy works
#            made by npm's lmdb: mdb_stat File is not an LMDB file, mdb_copy File is not an LMDB file
#            backup() of npm's lmdb, read again: 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in lmdb-utils liblmdb0; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=0.9.24-1"
  dpkg -x "$package"_*.deb .
done
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error lmdb@3.5.6 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >make.mjs <<'JS'
import { open } from "lmdb"

const store = open({ path: "npm", noSubdir: false })
await store.put("a", "1")
await store.backup("backup")
await store.close()
const copy = open({ path: "backup", noSubdir: false })
console.log(`backup() of npm's lmdb, read again: ${copy.get("a")}`)
await copy.close()
JS
mkdir debian backup
back=$(timeout 60 node_modules/.bin/node make.mjs)

# with TOOL ARGUMENT…: one of Debian's tools.
with() { LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" timeout 60 "usr/bin/$1" "${@:2}"; }
printf '%s\n' VERSION=3 format=print type=btree mapsize=1048576 HEADER=END ' a' ' 1' DATA=END >dump
with mdb_load -f dump debian

# look WHAT FOLDER: what the tools say of a store.
look() {
  local stat copy
  with mdb_stat "$2" >log 2>&1 && stat="$(sed -n 's/.*Entries: //p' log) entry" || stat=$(grep -o "File is not.*" log)
  rm -rf copy && mkdir copy
  with mdb_copy "$2" copy >log 2>&1 && copy=works || copy=$(grep -o "File is not[^)]*" log)
  echo "$1: mdb_stat $stat, mdb_copy $copy"
}
{
  look "made by mdb_load" debian
  look "made by npm's lmdb" npm
  echo "$back"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
made by mdb_load: mdb_stat 1 entry, mdb_copy works
made by npm's lmdb: mdb_stat File is not an LMDB file, mdb_copy File is not an LMDB file
backup() of npm's lmdb, read again: 1
EXPECTED
