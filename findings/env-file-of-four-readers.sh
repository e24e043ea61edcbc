#!/usr/bin/env bash
# env files: `PASSWORD=a#b` is "a" for Node.js and dotenv, and "a#b" for kubectl and systemd.
#
# Versions:  dotenv 18.0.10, Node.js 24.21.0; Debian kubernetes-client 1.20.5+really1.20.2-1.1+deb12u1, systemd and
#            libsystemd-shared 252.39-1~deb12u2 (bookworm, amd64). Seen 2026-11-30.
# Expected:  lines of `NAME=value` mean the same wherever they are read, so that the file of a developer can become a
#            ConfigMap or the environment of a service.
# Happens:   Node.js and dotenv cut an unquoted value at a `#`, also without a space in front of it, so that a password
#            or an address with a fragment is cut off; dotenv's page says so of any `#`. kubectl and systemd take it for
#            a part of the value, and a comment behind a value too. Quotes would help, but kubectl makes them part of
#            the value, so that no way to write "a#b c" means the same to all. systemd drops a backslash.
# Setup:     `util.parseEnv` (that of `--env-file`), `kubectl create configmap --from-env-file` without a server, and
#            what reads `environment.d` for systemd. Each line has a variable as it stands in the file.
# Output:    PASSWORD=a#b: Node.js <a>, dotenv <a>, kubectl <a#b>, systemd <a#b>
#            QUOTED="a#b c": Node.js <a#b c>, dotenv <a#b c>, kubectl <"a#b c">, systemd <a#b c>
#            SIZE=5 # in MB: Node.js <5>, dotenv <5>, kubectl <5 # in MB>, systemd <5 # in MB>
#            DIGITS=\d+: Node.js <\d+>, dotenv <\d+>, kubectl <\d+>, systemd <d+>
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in kubernetes-client=1.20.5+really1.20.2-1.1+deb12u1 systemd=252.39-1~deb12u2 \
  libsystemd-shared=252.39-1~deb12u2; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error dotenv@18.0.10 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

mkdir -p config/environment.d
cat >config/environment.d/finding.conf <<'ENV'
PASSWORD=a#b
QUOTED="a#b c"
SIZE=5 # in MB
DIGITS=\d+
ENV
cp config/environment.d/finding.conf finding.env
timeout 60 usr/bin/kubectl create configmap finding --from-env-file=finding.env --dry-run=client -o json >kubectl.json
# What it prints is for a shell, quoted where that needs it.
library="$folder/usr/lib/x86_64-linux-gnu"
env -i "LD_LIBRARY_PATH=$library/systemd:$library" "HOME=$folder" "XDG_CONFIG_HOME=$folder/config" \
  usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator |
  grep -E '^(PASSWORD|QUOTED|SIZE|DIGITS)=' >systemd.sh

cat >finding.mjs <<'JS'
import dotenv from "dotenv"
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { parseEnv } from "node:util"

const file = readFileSync("finding.env", "utf8")
const bySystemd = (name) =>
  execFileSync("bash", ["-c", `. ./systemd.sh; printf %s "$${name}"`], { encoding: "utf8" })
const kubectl = JSON.parse(readFileSync("kubectl.json", "utf8")).data
const [node, dotEnv] = [parseEnv(file), dotenv.parse(file)]

const seen = file.trimEnd().split("\n").map((line) => {
  const name = line.split("=")[0]
  const found = { "Node.js": node[name], dotenv: dotEnv[name], kubectl: kubectl[name], systemd: bySystemd(name) }
  return `${line}: ${Object.entries(found).map(([reader, value]) => `${reader} <${value}>`).join(", ")}`
})
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "PASSWORD=a#b: Node.js <a>, dotenv <a>, kubectl <a#b>, systemd <a#b>",
  "QUOTED=\"a#b c\": Node.js <a#b c>, dotenv <a#b c>, kubectl <\"a#b c\">, systemd <a#b c>",
  "SIZE=5 # in MB: Node.js <5>, dotenv <5>, kubectl <5 # in MB>, systemd <5 # in MB>",
  "DIGITS=\\d+: Node.js <\\d+>, dotenv <\\d+>, kubectl <\\d+>, systemd <d+>"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
