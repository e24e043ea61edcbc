#!/usr/bin/env bash
# msgpackr and cbor-x: an integer of more than 32 bits is packed as a floating point number.
#
# Versions:  msgpackr 2.1.4, cbor-x 1.6.9, @msgpack/msgpack 3.1.3, cborg 6.1.5, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  MessagePack and CBOR have integers of 64 bits, and a number without a fraction is packed as one.
# Happens:   beyond 32 bits these two write a float of 64 bits, and other packers an integer. So a small revision is
#            an integer and a large one is not, and a time in milliseconds never is. JavaScript does not show it. A
#            reader that has both types gets a float, and the same record has other bytes than those of another
#            packer, where a checksum, a signature or a key is made of them. A BigInt is packed as an integer.
# Setup:     the type on the wire of three integers, and what a reader of MessagePack that has integers of 64 bits
#            gets.
# Output:    msgpackr: 4294967295 integer, 4294967296 float, 1796040000000 float, 4294967296n integer
#            @msgpack/msgpack: 4294967295 integer, 4294967296 integer, 1796040000000 integer
#            cbor-x: 4294967295 integer, 4294967296 float, 1796040000000 float, 4294967296n integer
#            cborg: 4294967295 integer, 4294967296 integer, 1796040000000 integer, 4294967296n integer
#            4294967296, read with useBigInt64: of @msgpack/msgpack a bigint, of msgpackr a number
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  cbor-x@1.6.9 msgpackr@2.1.4 @msgpack/msgpack@3.1.3 cborg@6.1.5 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { decode, encode } from "@msgpack/msgpack"
import * as cborX from "cbor-x"
import * as cborg from "cborg"
import { pack } from "msgpackr"
import assert from "node:assert/strict"

const large = 2 ** 32
const numbers = [large - 1, large, 1_796_040_000_000]
const withBigInt = [...numbers, BigInt(large)]
/** The first byte says the type: CBOR has it in its upper three bits, MessagePack in all of them. */
const typeInCbor = (first) => first >> 5 === 0 ? "integer" : first === 0xfb ? "float" : "other"
const typeInMessagePack = (first) => first >= 0xcc && first <= 0xd3 ? "integer" : first === 0xcb ? "float" : "other"
const text = (value) => typeof value === "bigint" ? `${value}n` : value
const line = (name, values, packed, typeOf) =>
  `${name}: ${values.map((value) => `${text(value)} ${typeOf(packed(value)[0])}`).join(", ")}`
const read = (bytes) => typeof decode(bytes, { useBigInt64: true })

const seen = [
  line("msgpackr", withBigInt, pack, typeInMessagePack),
  line("@msgpack/msgpack", numbers, encode, typeInMessagePack),
  line("cbor-x", withBigInt, cborX.encode, typeInCbor),
  line("cborg", withBigInt, cborg.encode, typeInCbor),
  `4294967296, read with useBigInt64: of @msgpack/msgpack a ${read(encode(large))}, of msgpackr a ${read(pack(large))}`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "msgpackr: 4294967295 integer, 4294967296 float, 1796040000000 float, 4294967296n integer",
  "@msgpack/msgpack: 4294967295 integer, 4294967296 integer, 1796040000000 integer",
  "cbor-x: 4294967295 integer, 4294967296 float, 1796040000000 float, 4294967296n integer",
  "cborg: 4294967295 integer, 4294967296 integer, 1796040000000 integer, 4294967296n integer",
  "4294967296, read with useBigInt64: of @msgpack/msgpack a bigint, of msgpackr a number"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
