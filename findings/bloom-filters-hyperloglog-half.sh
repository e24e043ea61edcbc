#!/usr/bin/env bash
# bloom-filters: a HyperLogLog counts half of what it was given, as long as that is fewer than its registers.
#
# Versions:  bloom-filters 3.0.4, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  a HyperLogLog of 16384 registers is right to about 0.8 %, as its `accuracy()` says, and small counts, for
#            which it has a correction of their own, are nearly exact. More registers make it better.
# Happens:   small counts are half of the truth. A register is empty while it is 0, and every second element leaves 0
#            in its register, since the position of the first 1 bit is counted from 0 and not from 1. The correction
#            for small counts counts the empty registers. From about as many elements as there are registers on, the
#            other formula holds and the count is right, so that more registers make it worse, and the count of
#            clients jumps to twice its value one day.
# Setup:     distinct elements, counted with 128 and with 16384 registers.
# Output:    128 registers, accuracy 0.0919: 100 are 42, 1000 are 962
#            16384 registers, accuracy 0.0081: 100 are 41, 1000 are 507
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error bloom-filters@3.0.4 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import filters from "bloom-filters"
import assert from "node:assert/strict"

const count = (registers, elements) => {
  const sketch = new filters.HyperLogLog(registers)
  for (let n = 0; n < elements; n++) sketch.update(`user-${n}`)
  return `${elements} are ${sketch.count(true)}`
}
const sizes = [100, 1000]
const seen = [128, 16_384].map((registers) => {
  const accuracy = new filters.HyperLogLog(registers).accuracy().toFixed(4)
  return `${registers} registers, accuracy ${accuracy}: ${sizes.map((size) => count(registers, size)).join(", ")}`
})
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "128 registers, accuracy 0.0919: 100 are 42, 1000 are 962",
  "16384 registers, accuracy 0.0081: 100 are 41, 1000 are 507"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
