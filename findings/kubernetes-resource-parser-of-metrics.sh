#!/usr/bin/env bash
# kubernetes-resource-parser: the 250 millicores that metrics-server writes are 250 million cores, and 1.5Gi is 1 byte.
#
# Versions:  kubernetes-resource-parser 0.1.0, k8s-resource-parser 0.2.2, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a parser of the quantities of Kubernetes knows their suffixes (n, u, m, k, M, Ki, Mi …), takes a fraction
#            before each, and refuses what it does not know.
# Happens:   for CPU it knows `m` alone, and takes the number before any other suffix as cores. The metrics of
#            Kubernetes have CPU in nanocores, with an `n`, so that usage is a thousand million times too high. For
#            memory it takes the digits up to the first other character: a fraction takes the suffix away with it,
#            `129e6` is 129, and a limit of `0.5Gi` is 0. Nothing is refused. The other library is right, but for
#            `n` and `u`, which it refuses.
# Setup:     quantities as they are in the answer of metrics-server and in manifests.
# Output:    CPU 250m: kubernetes-resource-parser 0.25, k8s-resource-parser 0.25
#            CPU 250000000n: kubernetes-resource-parser 250000000, k8s-resource-parser Invalid quanity provided.
#            CPU 500u: kubernetes-resource-parser 500, k8s-resource-parser Invalid quanity provided.
#            memory 1536Mi: kubernetes-resource-parser 1610612736, k8s-resource-parser 1610612736
#            memory 1.5Gi: kubernetes-resource-parser 1, k8s-resource-parser 1610612736
#            memory 0.5Gi: kubernetes-resource-parser 0, k8s-resource-parser 536870912
#            memory 129e6: kubernetes-resource-parser 129, k8s-resource-parser 129000000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  kubernetes-resource-parser@0.1.0 k8s-resource-parser@0.2.2 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import k8s from "k8s-resource-parser"
import kubernetes from "kubernetes-resource-parser"
import assert from "node:assert/strict"

const libraries = { "kubernetes-resource-parser": kubernetes, "k8s-resource-parser": k8s }
const quantities = { CPU: ["250m", "250000000n", "500u"], memory: ["1536Mi", "1.5Gi", "0.5Gi", "129e6"] }
const read = (parser, text) => {
  try {
    return parser(text)
  } catch (error) {
    return error.message
  }
}
const seen = Object.entries(quantities).flatMap(([kind, texts]) =>
  texts.map((text) => {
    const values = Object.entries(libraries).map(([name, { cpuParser, memoryParser }]) =>
      `${name} ${read(kind === "CPU" ? cpuParser : memoryParser, text)}`
    )
    return `${kind} ${text}: ${values.join(", ")}`
  })
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "CPU 250m: kubernetes-resource-parser 0.25, k8s-resource-parser 0.25",
  "CPU 250000000n: kubernetes-resource-parser 250000000, k8s-resource-parser Invalid quanity provided.",
  "CPU 500u: kubernetes-resource-parser 500, k8s-resource-parser Invalid quanity provided.",
  "memory 1536Mi: kubernetes-resource-parser 1610612736, k8s-resource-parser 1610612736",
  "memory 1.5Gi: kubernetes-resource-parser 1, k8s-resource-parser 1610612736",
  "memory 0.5Gi: kubernetes-resource-parser 0, k8s-resource-parser 536870912",
  "memory 129e6: kubernetes-resource-parser 129, k8s-resource-parser 129000000"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
