#!/usr/bin/env bash
# tar and tar-fs of npm: a sparse file in an archive of GNU tar is missing, or has another content.
#
# Versions:  Debian tar 1.34+dfsg-1.2+deb12u1 (bookworm, amd64), tar 7.5.23, tar-fs 3.1.3 (npm), Node.js 24.21.0.
#            Seen 2026-11-30.
# Expected:  `tar --sparse` leaves out the holes of files such as a store's map or log, whose place is reserved ahead.
#            A reader brings them back, or fails.
# Happens:   in the GNU format the library that npm itself uses leaves the whole file out, and tar-fs fails. In the
#            POSIX format both write, in a folder `GNUSparseFile.…`, a file of another size that has the list of the
#            pieces and the pieces. tar says nothing in both formats, even to `onwarn` and with `strict`, so a restore
#            looks as if it had worked.
# Setup:     a file `data` of 1 MiB that has "begin", a hole and "end", beside a file `plain`.
# Output:    gnu, GNU tar: data as it was, plain as it was
#            gnu, tar: plain as it was
#            gnu, tar-fs: failed
#            posix, GNU tar: data as it was, plain as it was
#            posix, tar: GNUSparseFile.N/data changed, plain as it was
#            posix, tar-fs: GNUSparseFile.N/data changed, plain as it was
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root tar=1.34+dfsg-1.2+deb12u1
dpkg -x tar_*.deb debian
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error tar@7.5.23 tar-fs@3.1.3 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

mkdir source
printf 'begin' >source/data
truncate --size=1048573 source/data
printf 'end' >>source/data
echo plain >source/plain
# A file with a hole is searched for zeros, so that the pieces do not depend on the file system.
for format in gnu posix; do
  debian/bin/tar --sparse --hole-detection=raw --format="$format" -C source -cf "$format.tar" data plain
  mkdir "gnu-tar-$format"
  debian/bin/tar -C "gnu-tar-$format" -xf "$format.tar"
done

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { basename, join, relative } from "node:path"
import { pipeline } from "node:stream/promises"
import * as tar from "tar"
import tarFs from "tar-fs"

const warnings = []
const withTar = (file, cwd) => tar.x({ file, cwd, strict: true, onwarn: (code) => warnings.push(code) })
const withTarFs = (file, cwd) => pipeline(fs.createReadStream(file), tarFs.extract(cwd))
/** What is in a folder, against what was packed. */
const look = (folder) =>
  fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => {
    const path = join(entry.parentPath, entry.name)
    const isSame = fs.readFileSync(path).equals(fs.readFileSync(join("source", basename(path))))
    return `${relative(folder, path).replace(/\d+/, "N")} ${isSame ? "as it was" : "changed"}`
  }).sort().join(", ")
const unpack = async (format, unpacker) => {
  const folder = fs.mkdtempSync("unpacked-")
  return unpacker(`${format}.tar`, folder).then(() => look(folder), () => "failed")
}

const seen = []
for (const format of ["gnu", "posix"]) {
  seen.push(
    `${format}, GNU tar: ${look(`gnu-tar-${format}`)}`,
    `${format}, tar: ${await unpack(format, withTar)}`,
    `${format}, tar-fs: ${await unpack(format, withTarFs)}`
  )
}
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "gnu, GNU tar: data as it was, plain as it was",
  "gnu, tar: plain as it was",
  "gnu, tar-fs: failed",
  "posix, GNU tar: data as it was, plain as it was",
  "posix, tar: GNUSparseFile.N/data changed, plain as it was",
  "posix, tar-fs: GNUSparseFile.N/data changed, plain as it was"
], "the behaviour has changed")
assert.deepEqual(warnings, [], "tar warns now")
JS
timeout 60 node_modules/.bin/node finding.mjs
