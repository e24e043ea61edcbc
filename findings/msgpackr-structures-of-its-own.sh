#!/usr/bin/env bash
# msgpackr: with `structures: []`, what one process has packed comes out of another with the names of other fields.
#
# Versions:  msgpackr 2.1.4, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  a packed object names its fields, as MessagePack has them, or a reader that does not know them fails.
# Happens:   with `structures` an object is a number for its list of names, in the order in which this packer met them,
#            and its values; the names stay in the packer's memory. Another packer (that of the same program after a
#            restart, or of the other end) that has met other objects first takes its own list of that number. There is
#            no error when the lists are of one length. `getStructures` and `saveStructures` keep the names. Without
#            `structures` the names are packed along.
# Setup:     `{ amount: 5, fee: 1 }` is packed before a restart, and unpacked by a new packer that has packed
#            `{ from: 7, to: 8 }`.
# Output:    plain pack and unpack: {"amount":5,"fee":1}
#            structures, same packer: {"amount":5,"fee":1}
#            structures, new packer: Data read, but end of buffer not reached 64
#            structures, new packer that has packed: {"from":5,"to":1}
#            no structures, new packer that has packed: {"amount":5,"fee":1}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error msgpackr@2.1.4 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { pack, Packr, unpack } from "msgpackr"
import assert from "node:assert/strict"

const payment = { amount: 5, fee: 1 }
const move = { from: 7, to: 8 }
const seen = []
const look = (what, read) => {
  let back
  try {
    back = JSON.stringify(read())
  } catch ({ message }) {
    back = message
  }
  seen.push(`${what}: ${back}`)
}
const withStructures = () => new Packr({ structures: [] })
const thatHasPacked = (packer) => {
  packer.pack(move)
  return packer
}

const before = withStructures()
const kept = Buffer.from(before.pack(payment))
look("plain pack and unpack", () => unpack(pack(payment)))
look("structures, same packer", () => before.unpack(kept))
look("structures, new packer", () => withStructures().unpack(kept))
look("structures, new packer that has packed", () => thatHasPacked(withStructures()).unpack(kept))
look(
  "no structures, new packer that has packed",
  () => thatHasPacked(new Packr()).unpack(Buffer.from(new Packr().pack(payment)))
)
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'plain pack and unpack: {"amount":5,"fee":1}',
  'structures, same packer: {"amount":5,"fee":1}',
  "structures, new packer: Data read, but end of buffer not reached 64",
  'structures, new packer that has packed: {"from":5,"to":1}',
  'no structures, new packer that has packed: {"amount":5,"fee":1}'
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
