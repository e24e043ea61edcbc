#!/usr/bin/env bash
# kubectl and @kubernetes/client-node: `defaultMode: 0400` in a manifest is 0400 for one, and 0620 for the other.
#
# Versions:  Debian kubernetes-client 1.20.5+really1.20.2-1.1+deb12u1 (bookworm, amd64), @kubernetes/client-node
#            2.0.1, yaml 2.9.1, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  the client library of the Kubernetes project reads a manifest as kubectl does, so that a controller or a
#            script in Node.js that applies it makes the same object.
# Happens:   kubectl reads YAML 1.1, where a number that begins with 0 is octal, the library YAML 1.2, where it is
#            decimal 400. That is a valid mode, 0620, so there is no error: the key of a server may be written by its
#            group, and its owner may write it too. `0o400`, 256 or JSON is the same for both.
# Setup:     a pod with a secret as a volume. Each line is the mode that it has, as octal digits.
# Output:    0400: kubectl 400, client-node 620, yaml 620
#            256: kubectl 400, client-node 400, yaml 400
#            0o400: kubectl 400, client-node 400, yaml 400
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root "kubernetes-client=1.20.5+really1.20.2-1.1+deb12u1"
dpkg -x kubernetes-client_*.deb .
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error @kubernetes/client-node@2.0.1 yaml@2.9.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null
export HOME="$folder"

cat >modes.mjs <<'JS'
import { loadYaml } from "@kubernetes/client-node"
import { readFileSync } from "node:fs"
import { parse } from "yaml"

const text = readFileSync("pod.yaml", "utf8")
const mode = (pod) => pod.spec.volumes[0].secret.defaultMode.toString(8)
console.log(`client-node ${mode(loadYaml(text))}, yaml ${mode(parse(text))}`)
JS
# look MODE: what each of them makes of it.
look() {
  cat >pod.yaml <<YAML
apiVersion: v1
kind: Pod
metadata: { name: store }
spec:
  volumes:
    - name: certificates
      secret: { secretName: store, defaultMode: $1 }
  containers:
    - { name: store, image: store }
YAML
  local mode
  mode=$(timeout 60 usr/bin/kubectl label --local -f pod.yaml a=b -o "jsonpath={.spec.volumes[0].secret.defaultMode}")
  printf '%s: kubectl %o, %s\n' "$1" "$mode" "$(timeout 60 node_modules/.bin/node modes.mjs)"
}
{
  look 0400
  look 256
  look 0o400
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
0400: kubectl 400, client-node 620, yaml 620
256: kubectl 400, client-node 400, yaml 400
0o400: kubectl 400, client-node 400, yaml 400
EXPECTED
